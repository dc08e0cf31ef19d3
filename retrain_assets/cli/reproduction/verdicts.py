"""Recorded verdicts against recomputed ones: canonical JSON, but for what a clock measured, of which only the limit counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retrain_assets.cli.reproduction.results import Cause, CauseKind, Result, Status
from retrain_assets.cli.reproduction.stored import Stored
from retrain_assets.contract import Contract, CustodyError, Gate, Verdict, digest_of
from retrain_assets.ledger import Event, EventKind

MEASURED = frozenset({(Gate.TRAINING, "within_budget"), (Gate.OFFLINE, "latency_within_budget")})
"""Checks of what a clock or the operating system measured: they cannot be equal, their limit can hold."""


@dataclass(frozen=True, slots=True)
class Record:
    """What stands in the ledger of a gate, as recorded last with these checks.

    Args:
        event: the event.
        document: its full verdicts; None where that evidence is gone or was changed.
        fault: what is wrong with the evidence; empty where nothing is.
    """

    event: Event
    document: Mapping[str, Any] | None
    fault: str = ""

    @property
    def digest(self) -> str:
        """Digest of the full verdicts, as the ledger has it."""
        return str(self.event.payload["evidence"])

    @property
    def checks(self) -> list[str]:
        """Names of the checks."""
        return [verdict["check"] for verdict in self.event.payload["verdicts"]]

    @property
    def limits(self) -> str | None:
        """Digest of the thresholds it was judged by."""
        found = self.event.payload["subjects"].get("limits")
        return None if found is None else str(found)


def gate_records(stored: Stored, gate: Gate) -> list[Record]:
    """What is recorded of a gate: of the same checks the last record, in order."""
    last: dict[tuple[str, ...], Event] = {}
    for event in stored.of(EventKind.GATE_EVALUATED):
        if event.payload["gate"] == gate.value:
            last[tuple(verdict["check"] for verdict in event.payload["verdicts"])] = event
    return [record_of(stored, event) for event in sorted(last.values(), key=lambda event: event.sequence)]


def record_of(stored: Stored, event: Event) -> Record:
    """One recorded judgement with its evidence."""
    try:
        return Record(event, stored.evidence.get(event.payload["evidence"]))
    except CustodyError as error:
        return Record(event, None, error.what)


def own_as_recorded(record: Record, contract: Contract, gate: Gate) -> list[Verdict]:
    """The recorded verdicts of the team's own checks: only their stage, run again, has what they were given."""
    names = {own.check for own in contract.gates.own_in(gate.value)}
    return [Verdict.from_json(value) for value in (record.document or {}).get("verdicts", ()) if value["check"] in names]


def judged_again(
    step: str, what: str, record: Record, verdicts: Sequence[Verdict], causes: tuple[Cause, ...], *, clock: bool = False
) -> Result:
    """A recorded judgement against the same judged again.

    Args:
        step: the step.
        what: the gate.
        record: what is recorded.
        verdicts: what was found now.
        causes: of a difference.
        clock: whether something was measured anew, so that checks of the clock are compared by their outcome alone.
    """
    found = [verdict.to_json() for verdict in verdicts]
    measured: list[dict[str, Any]] = []
    over: list[Cause] = []
    if clock and record.document is not None:
        recorded = {verdict["check"]: verdict for verdict in record.document["verdicts"]}
        for place, verdict in enumerate(found):
            before = recorded.get(verdict["check"])
            if before is None or (Gate(verdict["gate"]), verdict["check"]) not in MEASURED:
                continue
            told = {"recorded": before["message"], "here": verdict["message"]}
            measured.append({"what": verdict["check"], **told, "outcomes": [before["outcome"], verdict["outcome"]]})
            if before["outcome"] == verdict["outcome"]:
                found[place] = before
            else:
                over.append(Cause(CauseKind.MEASURED, f"{verdict['check']}: {verdict['message']}"))
    document = {**(record.document or _document(record.event)), "verdicts": found}
    again = digest_of(document)
    if record.fault:
        fault = Cause(CauseKind.EVIDENCE, record.fault)
        if again == record.digest:
            return Result(step, what, Status.DIFFERENT, record.digest, again, "recomputed it has the recorded digest", (fault,))
        return Result(step, what, Status.DIFFERENT, record.digest, again, causes=(fault, *causes), measured=tuple(measured))
    if again == record.digest:
        return Result(step, what, Status.EQUAL, record.digest, again, measured=tuple(measured))
    named = tuple(over) or causes
    return Result(step, what, Status.DIFFERENT, record.digest, again, _differing(record, found), named, measured=tuple(measured))


def _differing(record: Record, found: list[dict[str, Any]]) -> str:
    """Which checks differ, and how the first of them reads."""
    recorded = {verdict["check"]: verdict for verdict in (record.document or {}).get("verdicts", ())}
    here = {verdict["check"]: verdict for verdict in found}
    names = [name for name in {**recorded, **here} if recorded.get(name) != here.get(name)]
    if not names:
        return "subjects differ"
    first = names[0]
    before, now = (side[first]["message"] if first in side else "absent" for side in (recorded, here))
    more = f" and {len(names) - 1} more checks" if len(names) > 1 else ""
    said = f"{before!r}, here {now!r}" if before != now else "the same sentence, other details"
    return f"{first}{more}: {said}"


def _document(event: Event) -> dict[str, Any]:
    told = event.payload
    return {"model": event.model, "retrain": event.retrain, "gate": told["gate"], "subjects": told["subjects"]}
