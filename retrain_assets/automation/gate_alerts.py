"""What people are told of a retrain before it meets traffic: that it began, that a gate opened or stayed closed, that it died."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from retrain_assets.automation.alerts import Alert
from retrain_assets.automation.event_words import RELEASE, Background, Command, about, said_by
from retrain_assets.automation.notifications import Urgency
from retrain_assets.contract import CustodyError, Gate, Outcome, Verdict
from retrain_assets.contract.notify import Role
from retrain_assets.ledger import Event, EventKind
from retrain_assets.reports import words
from retrain_assets.reports.gates import FALLBACKS
from retrain_assets.reports.reading import readable, worst_first
from retrain_assets.reports.trigger import trigger_sentence

NAMED = 4
"""Checks that did not hold which a message tells in words; the others it counts."""

OF_GATE: Mapping[Gate, frozenset[Role]] = {
    Gate.DATA: frozenset({Role.DATA}),
    Gate.TRAINING: frozenset({Role.TRAINING}),
    Gate.OFFLINE: frozenset({Role.EVALUATION}),
}
"""Whom a gate before traffic concerns. What comes of gates canary and promotion is told as a stage, a rollback, a promotion."""

OF_STAGE: Mapping[str, frozenset[Role]] = {
    "dataset": OF_GATE[Gate.DATA],
    "features": OF_GATE[Gate.DATA],
    "training": OF_GATE[Gate.TRAINING],
    "evaluation": OF_GATE[Gate.OFFLINE],
}
"""Whom a failed stage concerns; what is not listed, such as a run that died, the release's people."""


def _launched(event: Event, background: Background) -> Alert:
    return about(
        event,
        Urgency.TO_KNOW,
        OF_GATE[Gate.DATA] | RELEASE,
        f"retrain {event.retrain} is launched",
        [trigger_sentence(event.payload["trigger"], str(event.actor)), said_by(event)],
        (f"retrain status {event.model}", "See how far it is"),
    )


def _judged(event: Event, background: Background) -> Alert | None:
    gate = Gate(event.payload["gate"])
    if gate not in OF_GATE:
        return None
    verdicts = worst_first([Verdict.from_json({**value, "evidence": {}}) for value in event.payload["verdicts"]])
    closed = [verdict for verdict in verdicts if verdict.outcome is not Outcome.PASS]
    return _stays_closed(event, background, gate, closed, len(verdicts)) if closed else _opens(event, background, gate, verdicts)


def _opens(event: Event, background: Background, gate: Gate, verdicts: list[Verdict]) -> Alert:
    """The gates of one retrain that open within one tick are told as one."""
    return about(
        event,
        Urgency.TO_KNOW,
        OF_GATE[gate],
        f"retrain {event.retrain} passed gate {gate.value}",
        [f"{_judged_what(event, gate).capitalize()}: {_all(len(verdicts))}."],
        (f"retrain audit show {event.model} {event.retrain}", "Read what was judged"),
        evidence=background.file(event.payload["evidence"]),
        series=f"passed:{event.retrain}",
        part=f"gate {gate.value}",
    )


def _stays_closed(event: Event, background: Background, gate: Gate, closed: list[Verdict], judged: int) -> Alert:
    named = [f"- {one.check}, {words.words(one.outcome.value)}: {readable(one.message).rstrip('.')}." for one in closed[:NAMED]]
    more = [f"- and {len(closed) - NAMED} more."] if len(closed) > NAMED else []
    what = "cannot be judged by" if all(one.outcome in _UNKNOWN for one in closed) else "did not pass"
    return about(
        event,
        Urgency.TODAY,
        OF_GATE[gate],
        f"retrain {event.retrain} {what} gate {gate.value}: {words.words(closed[0].check)}",
        [
            f"Of {_counted(judged)} of {_judged_what(event, gate)} {_not_holding(len(closed))}:",
            *named,
            *more,
            f"What follows by itself: {FALLBACKS[gate]}.",
            "To try again, mend the cause and launch a new retrain; this one keeps its record.",
        ],
        (f"retrain audit show {event.model} {event.retrain}", "Read every check with its tables"),
        (f"retrain status {event.model}", "See what serves meanwhile"),
        *_override(event, background, closed),
        evidence=background.file(event.payload["evidence"]),
    )


def _override(event: Event, background: Background, closed: list[Verdict]) -> Iterator[Command]:
    """What two approvers type when the one check is wrong; nothing where the contract allows no overrides, nor for an error."""
    if len(closed) != 1 or closed[0].outcome is Outcome.ERROR:
        return
    launches = background.ledger.events(model=event.model, retrain=event.retrain, kinds=[EventKind.RETRAIN_LAUNCHED])
    digest = next((one.payload["contract_digest"] for one in launches), "")
    try:
        allowed = bool(digest and background.evidence.get(digest)["approval"]["overrides"])
    except (CustodyError, KeyError, TypeError):
        return
    if allowed:
        name = f"{closed[0].gate.value}.{closed[0].check}"
        command = f'retrain override {event.model} {event.retrain} --check {name} --reason "why the check is wrong"'
        yield command, "If the check is wrong, by two approvers"


def _counted(checks: int) -> str:
    return "1 check" if checks == 1 else f"{checks} checks"


def _all(checks: int) -> str:
    return "its check holds" if checks == 1 else f"all {checks} checks hold"


def _not_holding(checks: int) -> str:
    return "1 does not hold" if checks == 1 else f"{checks} do not hold"


_UNKNOWN = (Outcome.NO_DATA, Outcome.ERROR)


def _judged_what(event: Event, gate: Gate) -> str:
    """Gate data is judged in two steps."""
    if gate is not Gate.DATA:
        return f"gate {gate.value}"
    return "gate data, features" if "features" in event.payload["subjects"] else "gate data, source rows"


def _failed(event: Event, background: Background) -> Alert:
    stage, message = str(event.payload["stage"]), str(event.payload["message"])
    return about(
        event,
        Urgency.TODAY,
        OF_STAGE.get(stage, RELEASE),
        f"retrain {event.retrain} failed in {stage}: {message}",
        [
            f"{words.sentence(message).rstrip('.')}.",
            "The retrain is rejected and keeps its record; the champion goes on serving. To try again, launch a new one.",
        ],
        (f"retrain audit show {event.model} {event.retrain}", "Read how far it came"),
        (f"retrain status {event.model}", "See what serves meanwhile"),
        evidence=background.pack(event.model, event.retrain),
    )


GATES: Mapping[EventKind, Callable[[Event, Background], Alert | None]] = {
    EventKind.RETRAIN_LAUNCHED: _launched,
    EventKind.GATE_EVALUATED: _judged,
    EventKind.STAGE_FAILED: _failed,
}
"""The kinds of events this file tells of."""
