"""Step 7: every evidence pack made again on the record of then."""

from __future__ import annotations

from collections.abc import Iterator

from retrain_assets.cli.reproduction.causes import nothing_known, surroundings
from retrain_assets.cli.reproduction.results import Cause, CauseKind, Result, Status, compared, skipped
from retrain_assets.cli.reproduction.stored import Stored
from retrain_assets.contract import CustodyError, RetrainError, canonical_json, digest_of
from retrain_assets.ledger import EventKind
from retrain_assets.reports.pack import pack_of

STEP = "7 pack"


def pack_results(stored: Stored) -> Iterator[Result]:
    """Each recorded pack against the same made again."""
    events = stored.of(EventKind.AUDIT_RECORDED)
    if not events:
        yield skipped(STEP, "evidence pack", "none is recorded")
    for event in events:
        what, recorded = f"evidence pack, event {event.sequence}", str(event.payload["evidence"])
        try:
            again = pack_of(stored.before(event.sequence), stored.evidence, stored.home, stored.model, stored.retrain)
        except RetrainError as error:
            yield Result(STEP, what, Status.DIFFERENT, recorded, None, error.line, surroundings(stored))
            continue
        why, causes = "", surroundings(stored)
        try:
            before = stored.evidence.get(recorded)
            parts = [name for name in {**before, **again} if canonical_json(before.get(name)) != canonical_json(again.get(name))]
            why = f"parts that differ: {', '.join(parts)}" if parts else ""
            if faults := [fault for fault in again["faults"] if fault not in before["faults"]]:
                causes = (Cause(CauseKind.EVIDENCE, "; ".join(faults)), *causes)
        except CustodyError as error:
            causes = (Cause(CauseKind.EVIDENCE, error.what), *causes)
        yield compared(STEP, what, recorded, digest_of(again), causes or (nothing_known(stored),), why=why)
