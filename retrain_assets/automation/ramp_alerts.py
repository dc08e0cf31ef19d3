"""What people are told of a challenger in its ramp: stages, holds, guardrails near their limit, looks nobody can judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from retrain_assets.automation.alerts import Alert
from retrain_assets.automation.event_words import BOTH, EXPERIMENT, RELEASE, Background, Command, about, closes, said_by
from retrain_assets.automation.guardrails import Guarded, Nearness, nearest
from retrain_assets.automation.notifications import Urgency
from retrain_assets.contract import CustodyError
from retrain_assets.experiment import Look
from retrain_assets.ledger import Event, EventKind
from retrain_assets.reports import words
from retrain_assets.reports.measure_line import changes_of, is_relative


def _stepped(event: Event, background: Background) -> Alert:
    before, after = event.payload.get("from_stage"), event.payload.get("to_stage")
    share = float(event.payload.get("share") or 0)
    split = "It scores along and answers nobody." if after == "shadow" else f"It answers {words.share(share)} of the cohort."
    return about(
        event,
        Urgency.TO_KNOW,
        EXPERIMENT,
        f"retrain {event.retrain} goes {f'from {words.stage(before)} ' if before else ''}to {words.stage(after)}",
        [f"{split} {words.sentence(event.reason).rstrip('.')}.", said_by(event)],
        *_watch(event),
    )


def _held(event: Event, background: Background) -> Alert:
    return about(
        event,
        Urgency.TO_KNOW,
        BOTH,
        f"toggle {event.toggle} is held: {event.reason}",
        [
            "The traffic stays divided as it is. Harm and expiry still roll it back.",
            said_by(event),
        ],
        (f'retrain toggle resume {event.toggle} --reason "what you found"', "Let it go on"),
        (f'retrain toggle rollback {event.toggle} --reason "what you found"', "Or end it"),
        *([closes(event)] if event.payload.get("unsigned") else []),
    )


def _resumed(event: Event, background: Background) -> Alert:
    return about(event, Urgency.TO_KNOW, BOTH, f"toggle {event.toggle} goes on: {event.reason}", [said_by(event)], *_watch(event))


def _extended(event: Event, background: Background) -> Alert:
    expires = words.moment(event.payload["expires_at"])
    return about(
        event,
        Urgency.TO_KNOW,
        BOTH,
        f"toggle {event.toggle} expires later, {expires}: {event.reason}",
        [f"It got {event.payload.get('by')} more.", said_by(event)],
    )


def _looked(event: Event, background: Background) -> Alert | None:
    """Of a look only what is new in its stage; what it led to by itself is told as that."""
    if event.payload["action"] in ("roll_back", "reject"):
        return None
    look = _look(event, background)
    if look is None:
        return None
    closer = _closer(event, look, background)
    begins = look.unusable_since is not None and look.unusable_since == look.at
    if not closer and not begins:
        return None
    lines = [_line(one) for one in closer]
    if begins:
        failing = [check.message for check in look.health if not check.ok] or [look.reason]
        lines += [f"The look cannot be judged: {'; '.join(failing).rstrip('.')}."]
    if any(one.nearness is Nearness.SHOWN for one in closer):
        again = f" The next look is due {words.moment(look.again_at.isoformat())}." if look.again_at else ""
        lines.append(f"It rolls back by itself when the next looks confirm it.{again}")
    else:
        lines.append("Nothing is decided by it; the ramp goes on as the looks call for.")
    worst = max((one.nearness for one in closer), default=Nearness.PAST)
    return about(
        event,
        Urgency.THIS_WEEK if worst is Nearness.NEAR and not begins else Urgency.TODAY,
        EXPERIMENT | (RELEASE if worst is Nearness.SHOWN else frozenset()),
        f"retrain {event.retrain} at {words.stage(look.stage)}: {_headline(closer)}",
        lines,
        *_watch(event),
        (f'retrain toggle hold {event.toggle} --reason "what you want to find out"', "Stop the ramp where it stands"),
        (f'retrain toggle rollback {event.toggle} --reason "what you saw"', "Or give the traffic back"),
        evidence=background.file(event.payload["evidence"]),
    )


def _look(event: Event, background: Background) -> Look | None:
    """The look of an event; None where its evidence is gone, damaged or of another form, which ``retrain audit verify`` tells."""
    try:
        return Look.from_json(background.evidence.get(event.payload["evidence"]))
    except (CustodyError, KeyError, TypeError, ValueError):
        return None


def _closer(event: Event, look: Look, background: Background) -> list[Guarded]:
    """The guardrails that are nearer their limit than at any earlier look of the stage, the nearest first."""
    near = nearest(look)
    if not near:
        return []
    told: dict[str, Nearness] = {}
    for earlier in background.ledger.events(model=event.model, retrain=event.retrain, kinds=[EventKind.CANARY_LOOKED]):
        same = (earlier.toggle, earlier.payload["revision"]) == (event.toggle, event.payload["revision"])
        if same and earlier.sequence < event.sequence and (before := _look(earlier, background)) is not None:
            told |= {name: max(one.nearness, told.get(name, one.nearness)) for name, one in nearest(before).items()}
    new = [one for name, one in near.items() if one.nearness > told.get(name, Nearness.CLEAR)]
    return sorted(new, key=lambda one: (-one.nearness, -one.used))


def _headline(closer: list[Guarded]) -> str:
    if not closer:
        return "the look cannot be judged"
    first = closer[0]
    more = f" (and {len(closer) - 1} more)" if len(closer) > 1 else ""
    return f"{words.words(first.name)} {_SAID[first.nearness]}{more}"


_SAID = {
    Nearness.NEAR: "is near its limit",
    Nearness.PAST: "is past its limit, by its estimate",
    Nearness.SHOWN: "is shown past its limit",
}


def _line(one: Guarded) -> str:
    result = one.result
    relative = is_relative(result.spec)
    if result.spec.role == "success":
        return f"{result.message}."
    change = words.change(*changes_of(result, relative=relative), relative=relative)
    units = f"{result.n_champion + result.n_challenger:,} units"
    return f"{one.name} {_SAID[one.nearness]}: {change}, {words.whole_share(one.used)} of the margin is used, on {units}."


def _watch(event: Event) -> tuple[Command, ...]:
    return ((f"retrain canary {event.model} {event.retrain}", "See champion against challenger"),)


RAMP: Mapping[EventKind, Callable[[Event, Background], Alert | None]] = {
    EventKind.TOGGLE_STEPPED: _stepped,
    EventKind.TOGGLE_HELD: _held,
    EventKind.TOGGLE_RESUMED: _resumed,
    EventKind.TOGGLE_EXTENDED: _extended,
    EventKind.CANARY_LOOKED: _looked,
}
"""The kinds of events this file tells of."""
