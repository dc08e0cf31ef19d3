"""What people are told because it happened: rollbacks, promotions, kill switches, freezes, new owners, retirement by policy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from retrain_assets.automation.alerts import Alert
from retrain_assets.automation.notifications import Urgency
from retrain_assets.automation.outbox import EVENT
from retrain_assets.home import Home
from retrain_assets.ledger import EVERY_MODEL, Event, EventKind
from retrain_assets.reports import words

Command = tuple[str, str]


def alerts_of(events: Iterable[Event], home: Home) -> list[Alert]:
    """The alerts about some events, in their order; an event that nobody is told of gives none."""
    return [alert for event in events if event.kind in TOLD and (alert := TOLD[event.kind](event, home)) is not None]


def pack_of(home: Home, model: str, retrain: str | None) -> str:
    """Where the evidence pack of a retrain is, or will be a minute or two after the retrain ended."""
    path = home.reports_dir(model) / f"{retrain}.html"
    return str(path) if path.is_file() else f"{path} (written within minutes)"


def _rolled_back(event: Event, home: Home) -> Alert | None:
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
    lines += [f"Version {version} answers everybody; no harm is left to stop.", _who(event)]
    grave = before == "promoted" or cause in ("harm", "champion_rolled_back")
    return _alert(
        event,
        Urgency.TODAY if grave else Urgency.TO_KNOW,
        f"retrain {event.retrain} rolled back {_where(before, payload.get('stage'))}: {because}",
        lines,
        (f"retrain audit show {event.model} {event.retrain}", "Read why"),
        (f"retrain status {event.model}", "See what serves now"),
        evidence=pack_of(home, event.model, event.retrain),
    )


def _promoted(event: Event, home: Home) -> Alert:
    return _alert(
        event,
        Urgency.TO_KNOW,
        f"retrain {event.retrain} is promoted, its challenger is champion",
        [f"Toggle {event.toggle}: {event.reason.rstrip('.')}.", _who(event)],
        (f'retrain toggle rollback {event.toggle} --reason "what you saw"', "If it hurts, give the traffic back"),
        evidence=pack_of(home, event.model, event.retrain),
    )


def _engaged(event: Event, home: Home) -> Alert:
    return _alert(
        event,
        Urgency.NOW,
        f"kill switch of {_scope(event)} engaged: {event.reason}",
        [
            f"Every active toggle of {_scope(event)} is rolled back, champions answer everybody.",
            "Nothing is armed, stepped, put to approval or promoted until a person releases the switch.",
            _who(event),
        ],
        ("retrain status" if event.model == EVERY_MODEL else f"retrain status {event.model}", "See what serves now"),
        (f'retrain kill --release {_target(event)} --reason "why it is safe"', "When its cause is gone"),
    )


def _released(event: Event, home: Home) -> Alert:
    return _alert(
        event,
        Urgency.TO_KNOW,
        f"kill switch of {_scope(event)} released: {event.reason}",
        ["Challengers may be armed again; what was rolled back stays rolled back.", _who(event)],
    )


def _frozen(event: Event, home: Home) -> Alert:
    return _alert(
        event,
        Urgency.TO_KNOW,
        f"change freeze of {_scope(event)} from {event.payload['start']} to {event.payload['end']}: {event.reason}",
        ["Nothing is launched, armed, stepped or promoted in these days. Rolling back and holding always work.", _who(event)],
        (f'retrain freeze lift {event.sequence} --reason "why"', "To take it back"),
    )


def _thawed(event: Event, home: Home) -> Alert:
    return _alert(event, Urgency.TO_KNOW, f"change freeze of {_scope(event)} lifted: {event.reason}", [_who(event)])


def _transferred(event: Event, home: Home) -> Alert:
    owner = event.payload["owner"]
    return _alert(
        event,
        Urgency.TO_KNOW,
        f"toggle {event.toggle} now belongs to {owner}",
        [f"Until now it was {event.payload.get('from')}'s: {event.reason.rstrip('.')}.", _who(event)],
    )


def _retired(event: Event, home: Home) -> Alert | None:
    """A person who retires a toggle knows it; that policy did so is told."""
    if event.actor.is_person:
        return None
    return _alert(
        event,
        Urgency.TO_KNOW,
        f"toggle {event.toggle} retired by policy: {event.reason}",
        ["Its challenger's alias and serving copy are gone; its record stays.", _who(event)],
        (f"retrain audit show {event.model} {event.retrain}", "Read its record"),
    )


def _alert(event: Event, urgency: Urgency, headline: str, lines: list[str], *commands: Command, evidence: str = "") -> Alert:
    return Alert(
        key=f"{EVENT}{event.sequence}",
        at=event.at,
        urgency=urgency,
        headline=headline,
        lines=tuple(lines),
        commands=commands,
        evidence=evidence,
        shared=event.model == EVERY_MODEL,
    )


def _where(before: str | None, stage: str | None) -> str:
    if before == "promoted":
        return "after its promotion"
    return "in shadow" if stage == "shadow" else f"at {words.stage(stage)}" if stage else "before it got traffic"


def _scope(event: Event) -> str:
    return "all models" if event.model == EVERY_MODEL else event.model


def _target(event: Event) -> str:
    return "--all" if event.model == EVERY_MODEL else event.model


def _who(event: Event) -> str:
    return f"By {words.actor(str(event.actor))}, {words.moment(event.at.isoformat())}."


TOLD: Mapping[EventKind, Callable[[Event, Home], Alert | None]] = {
    EventKind.ROLLED_BACK: _rolled_back,
    EventKind.PROMOTED: _promoted,
    EventKind.KILL_SWITCH_ENGAGED: _engaged,
    EventKind.KILL_SWITCH_RELEASED: _released,
    EventKind.FREEZE_DECLARED: _frozen,
    EventKind.FREEZE_LIFTED: _thawed,
    EventKind.TOGGLE_TRANSFERRED: _transferred,
    EventKind.TOGGLE_RETIRED: _retired,
}
"""The kinds of events that people are told of."""
