"""The release controller on the record of a moment, rehearsing an action: what it appends is linked, and written nowhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from retrain_assets.cli.reproduction.stored import Stored
from retrain_assets.contract import canonical_json, digest_of
from retrain_assets.contract.approval import PolicyAnswer
from retrain_assets.home.clock import FixedClock
from retrain_assets.ledger import Event, EventDraft, EvidenceStore, event_hash
from retrain_assets.release import RegistryProtocol, ReleaseController
from retrain_assets.reports.query.records import EventsRead


class Rehearsal(ReleaseController):
    """A controller as of just before an event.

    Args:
        stored: the retrain.
        recorded: the events of the action, as they were recorded; it is rehearsed at their time.
    """

    def __init__(self, stored: Stored, recorded: Sequence[Event]) -> None:
        first = recorded[0]
        self.appended = RehearsedLedger(stored.before(first.sequence).events(), first.recorded_at)
        self._answer = next((event.payload["policy"] for event in recorded if event.payload.get("policy")), None)
        registry = cast(RegistryProtocol, stored.bundles)
        evidence = ReadOnlyEvidence(stored.home.evidence_dir)
        super().__init__(stored.home, self.appended, evidence, registry, FixedClock(first.at))

    def project(self) -> None:
        """Nothing is projected."""

    def catch_up(self) -> None:
        """Nothing is projected."""

    def _asked(self, model: str, retrain: str, case: dict[str, Any]) -> PolicyAnswer | None:
        """What the policy answered then; nobody is asked again."""
        if self._answer is None:
            return None
        told = self._answer
        return PolicyAnswer(**{**told, "reasons": tuple(told["reasons"]), "at": datetime.fromisoformat(told["at"])})


class RehearsedLedger(EventsRead):
    """The record as of a moment, and what a rehearsal adds to it in memory.

    Args:
        events: what was recorded before.
        recorded_at: the machine's time that new events get: the recorded one, so that equal events have equal hashes.
    """

    def __init__(self, events: Sequence[Event], recorded_at: datetime) -> None:
        super().__init__(events)
        self._recorded_at = recorded_at
        self.new: list[Event] = []

    def append_all(
        self,
        drafts: Sequence[EventDraft],
        *,
        expect_revision: tuple[str, int] | None = None,
        expect_model: tuple[str, int] | None = None,
    ) -> list[Event]:
        """Link the events to the chain in memory."""
        made: list[Event] = []
        for draft in drafts:
            sequence, previous = self.head()
            event = Event(
                sequence=sequence + 1,
                at=draft.at,
                recorded_at=self._recorded_at,
                actor=draft.actor,
                kind=draft.kind,
                model=draft.model,
                retrain=draft.retrain,
                toggle=draft.toggle,
                revision_before=draft.revision_before,
                revision_after=draft.revision_after,
                reason=draft.reason,
                payload=json.loads(canonical_json(dict(draft.payload))),
                previous_hash=previous,
                hash="",
            )
            made.append(_sealed(event))
            self.add(made[-1])
        self.new += made
        return made

    def set_projection(self, name: str, sequence: int) -> None:
        """Nothing is projected."""


class ReadOnlyEvidence(EvidenceStore):
    """The evidence of a home; what is put is given its digest and not stored."""

    def put(self, value: Any) -> str:
        """The digest the value would have."""
        return digest_of(value)


def _sealed(event: Event) -> Event:
    from dataclasses import replace

    fields: Mapping[str, Any] = event.to_json()
    return replace(event, hash=event_hash(fields))
