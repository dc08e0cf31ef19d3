"""A stored row as an event, and an event as a row."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from retrain_assets.contract import CustodyError, RetrainError, sha256_hex
from retrain_assets.ledger.canonical import LARGEST, payload_text
from retrain_assets.ledger.chain import COLUMNS, StoredRow, canonical_text
from retrain_assets.ledger.events import Actor, Event, EventDraft, EventKind, timestamp
from retrain_assets.ledger.versions import require_known, stamped


def linked(draft: EventDraft, sequence: int, previous: str, recorded_at: datetime) -> StoredRow:
    """The row a draft becomes at its place in the chain, its columns in the order of ``chain.COLUMNS``.

    Raises:
        RetrainError: for a payload that is not JSON, text no database holds, or a time without timezone.
    """
    try:
        row: tuple[Any, ...] = (
            sequence,
            timestamp(draft.at),
            timestamp(recorded_at),
            draft.actor.kind,
            draft.actor.name,
            str(draft.kind),
            draft.model,
            draft.retrain,
            draft.toggle,
            _integer(draft.revision_before),
            _integer(draft.revision_after),
            draft.reason,
            payload_text(stamped(draft.kind, draft.payload)),
            previous,
        )
        text = canonical_text((*row, ""))
        if "\\u0000" in text and any("\0" in value for value in row if isinstance(value, str)):
            raise ValueError("a text has a NUL in it")
        return (*row, sha256_hex(text.encode()))
    except (TypeError, ValueError) as error:
        raise RetrainError(
            f"the event cannot be written as JSON ({error})",
            where=f"{draft.kind} of {draft.model}",
            remedy="give plain JSON values",
        ) from error


def event_of(row: StoredRow) -> Event:
    """A stored row as the event it is.

    Raises:
        CustodyError: when it is none any more, or a later version of this program wrote it.
    """
    stored = dict(zip(COLUMNS, row, strict=True))
    try:
        payload = json.loads(stored["payload"])
        if not isinstance(payload, dict):
            raise ValueError("its payload is no JSON object")
        if type(stored["kind"]) is str:
            require_known(stored["sequence"], stored["kind"], payload)
        actor = Actor(stored.pop("actor_kind"), stored.pop("actor_name"))
        times = {name: datetime.fromisoformat(stored[name]) for name in ("at", "recorded_at")}
        return Event(**{**stored, **times, "actor": actor, "kind": EventKind(stored["kind"]), "payload": payload})
    except (ValueError, TypeError) as error:
        raise CustodyError(
            f"stored event {stored['sequence']} is not an event any more ({error})",
            where="ledger",
            remedy="run retrain audit verify and restore the ledger from a backup",
        ) from error


def _integer(value: int | None) -> int | None:
    if value is not None and (type(value) is not int or abs(value) > LARGEST):
        raise ValueError(f"{value!r} is no integer of JSON")
    return value
