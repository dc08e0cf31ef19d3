"""What retention deleted, as the ledger has it: the one place that tells a file that was due from one that is missing."""

from __future__ import annotations

from collections.abc import Iterable

from retrain_assets.ledger import Event, EventKind


def deletions(events: Iterable[Event]) -> dict[str, int]:
    """Digest of everything that retention deleted, with the event that says so."""
    return {
        str(file["digest"]): event.sequence
        for event in events
        if event.kind is EventKind.RETENTION_APPLIED
        for file in event.payload.get("files", ())
    }


def deleted_by_retention(events: Iterable[Event]) -> set[str]:
    """Digests of files that are not there any more because their time had passed; missing, they are no fault."""
    return set(deletions(events))
