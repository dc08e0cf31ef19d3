"""What an action changed for many models: switches, freezes and owners from what to what, and the models it moved with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC

from retrain_assets.cli.changes import Change, compared, is_answered, opened_by, say_events, say_opened
from retrain_assets.cli.options import Order
from retrain_assets.cli.show import say, say_json
from retrain_assets.ledger import Actor, Event
from retrain_assets.release import ModelState, PlatformState, ReleaseController, platform_view


@dataclass(frozen=True, slots=True)
class PlatformChange:
    """One action's effect.

    Args:
        before: what held for many models before.
        after: and after.
        models: the effect on each model that it had one on.
        events: the events that record it.
    """

    before: PlatformState
    after: PlatformState
    models: tuple[Change, ...]
    events: tuple[Event, ...]

    @property
    def differences(self) -> list[dict[str, str | None]]:
        """What differs for many models, ``{"what", "from", "to"}``; None where it is not there."""
        return compared(_facts(self.before), _facts(self.after))


def carry_out(controller: ReleaseController, actor: Actor, action: Callable[[], object]) -> PlatformChange:
    """Do it and find out what it changed; a registry that could not follow is said on stderr, as any later command repairs it."""
    states, before = controller.snapshot()
    head, _ = controller.ledger.head()
    try:
        action()
    except Exception as error:
        recorded = [event for event in controller.ledger.events(after=head) if event.actor == actor]
        if not is_answered(error, recorded, controller, done="recorded"):
            raise
    later, after = controller.snapshot()
    events = tuple(controller.ledger.events(after=head))
    moved = [name for name in later if any(event.model == name for event in events)]
    models = tuple(
        Change(states.get(name, ModelState(name)), later[name], tuple(event for event in events if event.model == name))
        for name in moved
    )
    return PlatformChange(before, after, models, events)


def report(change: PlatformChange, order: Order, *, notes: Sequence[str] = ()) -> None:
    """Print what an action changed.

    Args:
        change: its effect.
        order: who asked for it, why, and how to answer.
        notes: what else must be known, a line each.
    """
    opened = opened_by(change.events, change.after)
    if order.as_json:
        say_json(
            {
                **platform_view(change.after),
                "changed": change.differences,
                "models": {one.after.model: one.differences for one in change.models},
                "actor": str(order.actor),
                "reason": order.reason,
                "notes": list(notes),
                "follow_ups": [one.number for one in opened],
                "events": [event.to_json() for event in change.events],
            }
        )
        return
    for one in change.differences:
        say(f"{one['what']}: {one['from'] or 'none'} → {one['to'] or 'none'}")
    for moved in change.models:
        for one in moved.differences:
            say(f"{moved.after.model}: {one['what']}: {one['from'] or 'none'} → {one['to'] or 'none'}")
    if not change.events:
        say("nothing changed; it was so already")
    for note in notes:
        say(note)
    say_events(change.events)
    say_opened(opened)


def _facts(platform: PlatformState) -> dict[str, str]:
    switches = {f"kill switch of {one.scope}": f"engaged ({one.reason})" for one in platform.kill_switches.values()}
    freezes = {f"freeze {one.number} of {one.scope}": f"{one.start} to {one.end} ({one.reason})" for one in platform.freezes}
    owners = {
        f"owner {one.owner}": f"left on {one.since.astimezone(UTC):%Y-%m-%d} ({one.reason})"
        for one in platform.owners_left.values()
    }
    return {**switches, **freezes, **owners}
