"""Why a retrain was lost: its failure mode with evidence, from what was recorded. One rule for each way to end."""

from __future__ import annotations

from collections.abc import Mapping

from retrain_assets.contract import Gate, Outcome
from retrain_assets.experiment import Action
from retrain_assets.experiment.loss.failure_modes import (
    Evidence,
    Failure,
    FailureMode,
    failure_of_stage,
    failure_of_verdicts,
    strongest,
)
from retrain_assets.gates.canary_view import failure_of_document
from retrain_assets.ledger import Event, EventKind
from retrain_assets.reports import words
from retrain_assets.reports.record import Record

_LOST = (EventKind.ROLLED_BACK, EventKind.REJECTED)


def failure_of(record: Record) -> Failure | None:
    """Why a retrain was lost; None while it is open, and of one that serves.

    - Stopped by a gate before traffic: from that gate's verdicts.
    - Failed in a stage: from the stage's message.
    - Rolled back or rejected by a look: as recorded with the look.
    - Taken off by a person, at expiry, or because the champion it was compared with was: from the last look, if that shows harm
      or unsound records; else ``inconclusive`` with what happened.
    """
    promoted, lost = record.last(EventKind.PROMOTED), record.last(*_LOST)
    if record.last(EventKind.CHAMPION_BOOTSTRAPPED) is not None and lost is None:
        return None
    if record.toggle is None:
        return _before_traffic(record, lost)
    if lost is None or (promoted is not None and lost.sequence < promoted.sequence):
        return None
    look = record.last(EventKind.CANARY_LOOKED)
    document = record.read(look.payload.get("evidence"), "the last look") if look is not None else None
    shown = failure_of_document(document) if isinstance(document, Mapping) else None
    taken_off = record.last(EventKind.ROLLED_BACK) or lost
    if shown is not None and look is not None and taken_off.payload.get("evidence") == look.payload.get("evidence"):
        return shown
    asked = look is not None and look.payload.get("action") == Action.ASK_APPROVAL
    happened = _happened(taken_off, asked=asked)
    known = [one for one in shown.evidence if one.mode is not FailureMode.INCONCLUSIVE] if shown and promoted is None else []
    return strongest([*known, happened])


def _before_traffic(record: Record, lost: Event | None) -> Failure | None:
    closed = [
        check.verdict
        for gate in (Gate.DATA, Gate.TRAINING, Gate.OFFLINE)
        if (judged := record.known.verdicts.get(gate)) is not None and judged.outcome is not Outcome.PASS
        for check in judged.checks.values()
    ]
    if (found := failure_of_verdicts(closed)) is not None:
        return found
    failed = record.last(EventKind.STAGE_FAILED)
    if failed is not None and record.known.failure is not None:
        return failure_of_stage(str(failed.payload.get("stage", "unknown")), str(failed.payload.get("message") or failed.reason))
    return strongest([_happened(lost, asked=False)]) if lost is not None else None


def _happened(event: Event, *, asked: bool) -> Evidence:
    """What took it off, where no look did; ``asked``: the last look had shown everything and asked people."""
    cause = str(event.payload.get("cause") or "")
    if event.actor.is_person:
        sentence = f"{words.actor(str(event.actor))} took it off: {event.reason}; the records alone do not say why it was lost"
        return Evidence(FailureMode.INCONCLUSIVE, "person", sentence)
    if (cause == "expired" or event.reason == "expired") and asked:
        sentence = "all was shown and people were asked, but no approval held when the toggle expired"
        return Evidence(FailureMode.INCONCLUSIVE, "expiry", sentence)
    if cause == "expired" or event.reason == "expired":
        return Evidence(FailureMode.INCONCLUSIVE, "expiry", "the toggle expired before anything was decided: time ran out")
    if cause == "champion_rolled_back":
        return Evidence(FailureMode.INCONCLUSIVE, "champion", f"nothing was decided about it: {event.reason}")
    if cause == "kill_switch":
        return Evidence(FailureMode.INCONCLUSIVE, "kill_switch", f"nothing was decided about it: {event.reason}")
    return Evidence(FailureMode.INCONCLUSIVE, cause or "ledger", f"nothing on record says why it was lost: {event.reason}")
