"""What people are told because it happened; by kind of event what is said, what to type next, and whose role it concerns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from retrain_assets.automation.alerts import Alert
from retrain_assets.automation.custody_alerts import CUSTODY
from retrain_assets.automation.event_words import BOTH, RELEASE, Background, about, closes, said_by, scope
from retrain_assets.automation.gate_alerts import GATES
from retrain_assets.automation.notifications import Urgency
from retrain_assets.automation.ramp_alerts import RAMP
from retrain_assets.ledger import EVERY_MODEL, Event, EventKind
from retrain_assets.reports import words


def alerts_of(events: Iterable[Event], background: Background) -> list[Alert]:
    """The alerts about some events, in their order; an event that nobody is told of gives none."""
    found = (TOLD[event.kind](event, background) for event in events if event.kind in TOLD)
    return [alert for alert in found if alert is not None]


def _rolled_back(event: Event, background: Background) -> Alert | None:
    """What a kill switch rolled back, the alert about the switch tells."""
    payload = event.payload
    cause, before = str(payload.get("cause")), payload.get("from")
    if cause == "kill_switch":
        return None
    because = "it expired" if cause == "expired" else event.reason
    lines = [f"Toggle {event.toggle} was rolled back {_where(before, payload.get('stage'))}: {because.rstrip('.')}."]
    if sentence := (payload.get("failure") or {}).get("sentence"):
        lines.append(f"What was found: {sentence}")
    version = (payload.get("restored") or {}).get("version")
    lines += [f"Version {version} answers everybody; no harm is left to stop.", said_by(event)]
    grave = before == "promoted" or cause in ("harm", "champion_rolled_back")
    return about(
        event,
        Urgency.TODAY if grave else Urgency.TO_KNOW,
        BOTH,
        f"retrain {event.retrain} rolled back {_where(before, payload.get('stage'))}: {because}",
        lines,
        (f"retrain audit show {event.model} {event.retrain}", "Read why"),
        (f"retrain status {event.model}", "See what serves now"),
        *([closes(event)] if cause == "person" and event.actor.is_person else []),
        evidence=background.pack(event.model, event.retrain),
    )


def _promoted(event: Event, background: Background) -> Alert:
    return about(
        event,
        Urgency.TO_KNOW,
        BOTH,
        f"retrain {event.retrain} is promoted, its challenger is champion",
        [f"Toggle {event.toggle}: {event.reason.rstrip('.')}.", said_by(event)],
        (f'retrain toggle rollback {event.toggle} --reason "what you saw"', "If it hurts, give the traffic back"),
        evidence=background.pack(event.model, event.retrain),
    )


def _bootstrapped(event: Event, background: Background) -> Alert:
    return about(
        event,
        Urgency.TO_KNOW,
        BOTH,
        f"retrain {event.retrain} is the first champion",
        [f"{event.reason.rstrip('.')}. It was compared with nothing, as there was no champion.", said_by(event)],
        (f"retrain status {event.model}", "See what serves now"),
        evidence=background.pack(event.model, event.retrain),
    )


def _engaged(event: Event, background: Background) -> Alert:
    return about(
        event,
        Urgency.NOW,
        BOTH,
        f"kill switch of {scope(event)} engaged: {event.reason}",
        [
            f"Every active toggle of {scope(event)} is rolled back, champions answer everybody.",
            "Nothing is armed, stepped, put to approval or promoted until a person releases the switch.",
            said_by(event),
        ],
        ("retrain status" if event.model == EVERY_MODEL else f"retrain status {event.model}", "See what serves now"),
        (f'retrain kill --release {_target(event)} --reason "why it is safe"', "When its cause is gone"),
        closes(event),
    )


def _released(event: Event, background: Background) -> Alert:
    return about(
        event,
        Urgency.TO_KNOW,
        BOTH,
        f"kill switch of {scope(event)} released: {event.reason}",
        ["Challengers may be armed again; what was rolled back stays rolled back.", said_by(event)],
    )


def _frozen(event: Event, background: Background) -> Alert:
    return about(
        event,
        Urgency.TO_KNOW,
        RELEASE,
        f"change freeze of {scope(event)} from {event.payload['start']} to {event.payload['end']}: {event.reason}",
        ["Nothing is launched, armed, stepped or promoted in these days. Rolling back and holding always work.", said_by(event)],
        (f'retrain freeze lift {event.sequence} --reason "why"', "To take it back"),
    )


def _thawed(event: Event, background: Background) -> Alert:
    return about(event, Urgency.TO_KNOW, RELEASE, f"change freeze of {scope(event)} lifted: {event.reason}", [said_by(event)])


def _transferred(event: Event, background: Background) -> Alert:
    owner = event.payload["owner"]
    return about(
        event,
        Urgency.TO_KNOW,
        BOTH,
        f"toggle {event.toggle} now belongs to {owner}",
        [f"Until now it was {event.payload.get('from')}'s: {event.reason.rstrip('.')}.", said_by(event)],
    )


def _retired(event: Event, background: Background) -> Alert | None:
    """A person who retires a toggle knows it; that policy did so is told."""
    if event.actor.is_person:
        return None
    return about(
        event,
        Urgency.TO_KNOW,
        RELEASE,
        f"toggle {event.toggle} retired by policy: {event.reason}",
        ["Its challenger's alias and serving copy are gone; its record stays.", said_by(event)],
        (f"retrain audit show {event.model} {event.retrain}", "Read its record"),
    )


def _where(before: str | None, stage: str | None) -> str:
    if before == "promoted":
        return "after its promotion"
    return "in shadow" if stage == "shadow" else f"at {words.stage(stage)}" if stage else "before it got traffic"


def _target(event: Event) -> str:
    return "--all" if event.model == EVERY_MODEL else event.model


TOLD: Mapping[EventKind, Callable[[Event, Background], Alert | None]] = {
    **GATES,
    **RAMP,
    **CUSTODY,
    EventKind.ROLLED_BACK: _rolled_back,
    EventKind.PROMOTED: _promoted,
    EventKind.CHAMPION_BOOTSTRAPPED: _bootstrapped,
    EventKind.KILL_SWITCH_ENGAGED: _engaged,
    EventKind.KILL_SWITCH_RELEASED: _released,
    EventKind.FREEZE_DECLARED: _frozen,
    EventKind.FREEZE_LIFTED: _thawed,
    EventKind.TOGGLE_TRANSFERRED: _transferred,
    EventKind.TOGGLE_RETIRED: _retired,
}
"""The kinds of events that people are told of."""
