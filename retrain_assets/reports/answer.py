"""The answer a pack begins with: how the retrain ended or where it stands, why, by whom, when. One rule for each ending."""

from __future__ import annotations

from typing import Any

from retrain_assets.contract import Gate, Outcome
from retrain_assets.ledger import Event, EventKind, timestamp
from retrain_assets.release import Ending, ToggleStatus
from retrain_assets.reports import words
from retrain_assets.reports.failure import failure_of
from retrain_assets.reports.record import Record

_OPEN = {
    ToggleStatus.REGISTERED: ("Registered", "The challenger is registered and gets no traffic."),
    ToggleStatus.ARMED: ("Armed", "The challenger is armed and gets no traffic yet."),
    ToggleStatus.SHADOW: ("In shadow", "The challenger scores along; the champion answers every request."),
    ToggleStatus.AWAITING_APPROVAL: ("Waiting for approval", "The ramp is finished; a person decides about the promotion."),
}


def answer_of(record: Record) -> dict[str, Any]:
    """The answer as JSON.

    Keys: ``outcome`` (machine word), ``word`` (what the reader sees first), ``tone`` (``good``, ``bad``, ``note``, ``open``),
    ``headline``, ``why``, ``by`` (actors), ``at`` (ISO time), ``gate`` and ``stage`` where it ended, else None;
    ``live`` (``at``, ``why``) of a promotion that was undone, else None; ``failure`` (``mode``, ``sentence``, ``evidence``): why
    a retrain was lost, None for one that was not.
    """
    failure = failure_of(record)
    return {**_ending(record), "failure": failure.to_json() if failure else None}


def _ending(record: Record) -> dict[str, Any]:
    ending, rolled = record.known.ended, record.last(EventKind.ROLLED_BACK)
    promoted, crowned = record.last(EventKind.PROMOTED), record.last(EventKind.CHAMPION_BOOTSTRAPPED)
    rejected, failed = record.last(EventKind.REJECTED), record.last(EventKind.STAGE_FAILED)
    if promoted is not None:
        return _rolled_back(record, rolled) if rolled is not None else _promoted(record, promoted)
    if crowned is not None:
        return _bootstrapped(record, crowned)
    if record.toggle is None and (closed := _closed_gate(record)) is not None and ending in (None, Ending.STOPPED):
        return _stopped(record, closed)
    if failed is not None and (ending is Ending.FAILED or (ending is None and record.known.failure is not None)):
        return _failed(record, failed)
    if rejected is not None and ending is not Ending.ROLLED_BACK:
        return _rejected(record, rejected)
    if rolled is not None:
        return _rolled_back(record, rolled)
    return _open(record)


def _promoted(record: Record, event: Event) -> dict[str, Any]:
    toggle = record.toggle
    headline = "The challenger became champion"
    if toggle is not None:
        headline = f"Version {toggle.challenger.version} replaced version {toggle.previous_champion.version} as champion"
    answer = _answer("promoted", "Promoted", "good", f"{headline} of {record.model}.", event.reason, event)
    return {**answer, "by": _approvers(record) or answer["by"]}


def _rolled_back(record: Record, event: Event) -> dict[str, Any]:
    toggle, promoted = record.toggle, record.last(EventKind.PROMOTED)
    stage = None
    if toggle is not None and promoted is not None:
        headline = (
            f"Version {toggle.challenger.version} was champion from {words.day(timestamp(promoted.at))} to "
            f"{words.day(timestamp(event.at))}; version {toggle.previous_champion.version} serves again."
        )
    elif toggle is not None:
        stage = event.payload.get("stage") or _stage_before(record, event)
        where = "in shadow" if stage == "shadow" else f"at stage {words.stage(stage)}" if stage else "before it got traffic"
        headline = (
            f"Version {toggle.challenger.version} was taken off {where}; version {toggle.previous_champion.version} kept serving."
        )
    else:
        headline = "The challenger was taken off; the champion serves."
    answer = {**_answer("rolled_back", "Rolled back", "bad", headline, event.reason, event), "stage": stage}
    return {**answer, "live": {"at": timestamp(promoted.at), "why": promoted.reason}} if promoted is not None else answer


def _bootstrapped(record: Record, event: Event) -> dict[str, Any]:
    headline = (
        f"Version {event.payload.get('version', '?')} became the first champion of {record.model}. There was no champion to "
        "compare it with: nothing here shows that it is better than another model. It passed the absolute limits of the gates "
        "and serves because a person accepted that."
    )
    return _answer("bootstrapped", "First champion", "note", headline, event.reason, event)


def _rejected(record: Record, event: Event) -> dict[str, Any]:
    stage = _stage_before(record, event)
    who = "challenger" if record.toggle is not None else "candidate"
    headline = f"The {who} was rejected; {_champion_stays(record)}."
    return {**_answer("rejected", "Rejected", "bad", headline, event.reason, event), "stage": stage}


def _failed(record: Record, event: Event) -> dict[str, Any]:
    stage = str(event.payload.get("stage", "unknown"))
    headline = f"Stage {stage} could not produce its result, so no gate after it was reached; {_champion_stays(record)}."
    why = str(event.payload.get("message") or event.reason)
    return _answer("failed", f"Failed in {stage}", "bad", headline, why, event)


def _stopped(record: Record, gate: Gate) -> dict[str, Any]:
    gate_record = record.known.verdicts[gate]
    closing = [check for check in gate_record.checks.values() if not check.verdict.passed]
    first = min(closing, key=lambda check: _SEVERITY.index(check.verdict.outcome))
    event = next(event for event in record.events if event.sequence == first.sequence)
    names = ", ".join(words.words(check.verdict.check) for check in closing[:3])
    more = f" and {len(closing) - 3} more" if len(closing) > 3 else ""
    headline = f"Gate {gate.value} did not open ({names}{more}), so nothing of it met traffic; {_champion_stays(record)}."
    answer = _answer("stopped", f"Stopped at gate {gate.value}", "bad", headline, first.verdict.message, event)
    return {**answer, "gate": gate.value}


def _open(record: Record) -> dict[str, Any]:
    event, toggle = record.events[-1], record.toggle
    if toggle is None:
        passed = [gate.value for gate in Gate if gate in record.known.verdicts]
        headline = f"Gates passed so far: {', '.join(passed)}." if passed else "No gate has been judged yet."
        return _answer("open", "Under way", "open", headline, event.reason, event)
    if toggle.state is ToggleStatus.HELD:
        at = f" at {words.stage(toggle.stage)}" if toggle.stage else ""
        word, headline = f"Held{at}", "The ramp is paused; traffic stays divided as it is until it is resumed or rolled back."
    elif toggle.state is ToggleStatus.RAMPING:
        word, headline = (
            f"On trial at {words.stage(toggle.stage)}",
            f"The challenger answers {words.share(toggle.share)} of the cohort.",
        )
    else:
        word, headline = _OPEN.get(toggle.state, ("Under way", f"The toggle is {toggle.state}."))
    return {**_answer("open", word, "open", headline, event.reason, event), "stage": toggle.stage}


_SEVERITY = (Outcome.FAIL, Outcome.ERROR, Outcome.NO_DATA, Outcome.INCONCLUSIVE)


def _closed_gate(record: Record) -> Gate | None:
    gates = record.known.verdicts
    return next((gate for gate in Gate if gate in gates and gates[gate].outcome is not Outcome.PASS), None)


def _approvers(record: Record) -> list[str]:
    decision = record.known.decision
    given = (
        decision.approvals if decision is not None and decision.approvals else record.toggle.approvals if record.toggle else ()
    )
    return list(dict.fromkeys(f"person:{approval.approver}" for approval in given))


def _stage_before(record: Record, event: Event) -> str | None:
    stages = [one.payload.get("to_stage") for one in record.of(EventKind.TOGGLE_STEPPED) if one.sequence < event.sequence]
    return stages[-1] if stages else None


def _champion_stays(record: Record) -> str:
    champion = record.champion_then
    return f"version {champion.version} kept serving" if champion else "the model still has no champion"


def _answer(outcome: str, word: str, tone: str, headline: str, why: str, event: Event) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "word": word,
        "tone": tone,
        "headline": headline,
        "why": why,
        "by": [str(event.actor)],
        "at": timestamp(event.at),
        "gate": None,
        "stage": None,
        "live": None,
    }
