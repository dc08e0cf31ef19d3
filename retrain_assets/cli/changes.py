"""What an action changed, from what to what, read off the model's state before and after, with the events that record it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retrain_assets.cli.exits import is_registry_fault, tell
from retrain_assets.cli.options import Order
from retrain_assets.cli.show import at_stage, moment, say, say_json
from retrain_assets.contract import CustodyError, RetrainError, first_line
from retrain_assets.ledger import Actor, Event, named
from retrain_assets.release import FollowUp, ModelState, PlatformState, ReleaseController, follow_up_view, toggle_view


@dataclass(frozen=True, slots=True)
class Change:
    """One action's effect.

    Args:
        before: the model before.
        after: the model after.
        events: the events that record it.
    """

    before: ModelState
    after: ModelState
    events: tuple[Event, ...]

    @property
    def differences(self) -> list[dict[str, str | None]]:
        """What differs, ``{"what", "from", "to"}``; None where it is not there."""
        return compared(_facts(self.before), _facts(self.after))


def carry_out(controller: ReleaseController, model: str, actor: Actor, action: Callable[[], object]) -> Change:
    """Do it and find out what it changed.

    What is recorded and routed counts as done, also when the registry could not follow; that is said on stderr, and any later
    command repairs it.
    """
    before = controller.state(model)
    try:
        action()
    except Exception as error:
        recorded = [event for event in controller.ledger.events(model=model, after=before.sequence) if event.actor == actor]
        if not is_answered(error, recorded, controller, done="recorded and routed"):
            raise
    after = controller.state(model)
    return Change(before, after, tuple(controller.ledger.events(model=model, after=before.sequence)))


def report(
    change: Change,
    controller: ReleaseController,
    order: Order,
    *,
    note: str = "",
    toggle: str | None = None,
    following: str = "",
    more: Mapping[str, Any] | None = None,
) -> None:
    """Print what an action changed.

    Args:
        change: its effect.
        controller: for the time.
        order: who asked for it, why, and how to answer.
        note: one more line, such as which toggle a model's name stood for or what happens next.
        toggle: the toggle the action was about.
        following: what somebody else has to do now, with the command.
        more: what else stands in the answer in JSON.
    """
    model, opened = change.after.model, opened_by(change.events, controller.platform())
    if order.as_json:
        known = change.after.toggles.get(toggle or "")
        say_json(
            {
                "model": model,
                "toggle": toggle_view(known, controller.clock.now(), controller.platform()) if known else None,
                "changed": change.differences,
                "actor": str(order.actor),
                "reason": order.reason,
                "note": note or None,
                "next": following or None,
                "follow_ups": [follow_up_view(one, controller.clock.now()) for one in opened],
                "events": [event.to_json() for event in change.events],
                **(more or {}),
            }
        )
        return
    if note:
        say(f"{model}: {note}")
    for one in change.differences:
        say(f"{model}: {one['what']}: {one['from'] or 'none'} → {one['to'] or 'none'}")
    if not change.events:
        say(f"{model}: nothing changed; it was so already")
    if following:
        say(f"{model}: next: {following}")
    say_events(change.events)
    say_opened(opened)


def opened_by(events: Iterable[Event], platform: PlatformState) -> list[FollowUp]:
    """The follow-ups that a change opened."""
    return [platform.follow_ups[event.sequence] for event in events if event.sequence in platform.follow_ups]


def say_opened(opened: Iterable[FollowUp]) -> None:
    """What a change left open, and the command that closes it."""
    for one in opened:
        unsigned = f" UNSIGNED: {one.unsigned}." if one.unsigned else ""
        by = f"  # by {one.closed_by}" if one.closed_by else ""
        say(f"FOLLOW-UP {one.number} is open until somebody names the cause.{unsigned} When it is known: {one.command}{by}")


def is_answered(error: Exception, recorded: Sequence[Event], controller: ReleaseController, *, done: str) -> bool:
    """Whether a fault only means that the registry could not follow what is recorded; then it is said on stderr.

    Args:
        error: what the action raised.
        recorded: the events it recorded all the same.
        controller: for the place of the flag document.
        done: what stands, in words.

    Raises:
        CustodyError: something is not what was recorded; it says what stands.
        RetrainError: serving does not read the change.
    """
    if recorded and isinstance(error, OSError):
        raise not_routed(recorded, error, controller) from error
    if recorded and isinstance(error, CustodyError):
        what = f"event {recorded[-1].sequence} ({recorded[-1].kind}) is recorded, but {error.what}"
        raise CustodyError(what, where=error.where, remedy=error.remedy) from error
    if not recorded or not is_registry_fault(error):
        return False
    tell(f"note: {done}, but the registry is behind ({first_line(error)}); run retrain reconcile when it answers")
    return True


def not_routed(recorded: Sequence[Event], error: OSError, controller: ReleaseController) -> RetrainError:
    """The fault of a change that is on record and could not be written where serving reads it."""
    what = error.strerror or first_line(error)
    return RetrainError(
        f"event {recorded[-1].sequence} ({recorded[-1].kind}) is recorded, but flags.json does not show it ({what}): traffic is "
        "divided as before",
        where=str(controller.home.flags_path),
        remedy="make room or make it writable, then: retrain reconcile",
    )


def say_events(events: Iterable[Event]) -> None:
    """The events that record a change, a line each."""
    for event in events:
        say(f"recorded: event {event.sequence} {event.kind} at {moment(event.at)} by {named(event.actor)}: {event.reason}")


def compared(old: Mapping[str, str], new: Mapping[str, str]) -> list[dict[str, str | None]]:
    """What differs between two sets of facts, ``{"what", "from", "to"}``; None where it is not there."""
    changed = [what for what in {**old, **new} if old.get(what) != new.get(what)]
    return [{"what": what, "from": old.get(what), "to": new.get(what)} for what in changed]


def _facts(state: ModelState) -> dict[str, str]:
    """Everything an action can change, in words, by what it is about."""
    facts: dict[str, Any] = {"champion": f"version {state.champion.version}" if state.champion else None}
    for toggle in state.toggles.values():
        facts |= {
            f"toggle {toggle.name}": at_stage(str(toggle.state), toggle.stage),
            f"share of {toggle.name}": f"{toggle.share if toggle.active else 0:.6g}",
            f"revision of {toggle.name}": str(toggle.revision),
            f"owner of {toggle.name}": toggle.owner,
            f"offer of {toggle.name}": f"to {toggle.offer.owner}, not accepted yet" if toggle.offer else None,
            f"review of {toggle.name}": f"{moment(toggle.reviewed_at)} by {toggle.reviewed_by}" if toggle.reviewed_at else None,
            f"expiry of {toggle.name}": moment(toggle.expires_at),
            f"approvals of {toggle.name}": ", ".join(approval.approver for approval in toggle.approvals),
        }
    for retrain in state.retrains.values():
        facts[f"retrain {retrain.key}"] = str(retrain.ended) if retrain.ended else "open"
    return {what: value for what, value in facts.items() if value}
