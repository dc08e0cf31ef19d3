"""``retrain owner …``: who left and answers for no toggle any more."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from retrain_assets.cli.options import Order, changing, json_option
from retrain_assets.cli.show import moment, say, say_json, say_table
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.release import ModelState, ReleaseController

owner_argument = click.argument("name", metavar="OWNER")


@click.group()
def owner() -> None:
    """Owners who left.

    OWNER is team:NAME or an e-mail address. While an owner is gone, the owner's toggles are neither armed, stepped, put to
    approval nor promoted, until somebody else accepts them.
    """


@owner.command()
@owner_argument
@changing
def left(name: str, order: Order) -> None:
    """Record that OWNER left."""
    from retrain_assets.cli import platform_changes
    from retrain_assets.cli.opening import open_controller

    actor = order.actor
    controller = open_controller(Home.from_environment())
    change = platform_changes.carry_out(controller, actor, lambda: controller.mark_owner_left(name, actor, order.reason))
    platform_changes.report(change, order, notes=_orphaned(controller, name))


@owner.command()
@owner_argument
@changing
def back(name: str, order: Order) -> None:
    """Record that OWNER is back."""
    from retrain_assets.cli import platform_changes
    from retrain_assets.cli.opening import open_controller

    actor = order.actor
    controller = open_controller(Home.from_environment())
    change = platform_changes.carry_out(controller, actor, lambda: controller.mark_owner_back(name, actor, order.reason))
    platform_changes.report(change, order)


@owner.command("list")
@json_option
def list_owners(as_json: bool) -> None:
    """Who left, since when, and why."""
    from retrain_assets.cli.opening import is_recorded, open_controller

    home = Home.from_environment()
    gone = list(open_controller(home).platform().owners_left.values()) if is_recorded(home) else []
    if as_json:
        say_json([{"owner": one.owner, "since": one.since.isoformat(), "by": one.by, "reason": one.reason} for one in gone])
    elif not gone:
        say("nobody left")
    else:
        say_table(
            ["owner", "left", "recorded by", "reason"], [[one.owner, moment(one.since), one.by, one.reason] for one in gone]
        )


def _orphaned(controller: ReleaseController, name: str) -> list[str]:
    """What now stands still, each with the way on; and that it is nothing, where the name may be wrong."""
    from retrain_assets.release import DebtKind, toggle_debt
    from retrain_assets.release.platform import principal

    (states, platform), now = controller.snapshot(), controller.clock.now()
    orphaned = {
        debt.toggle: debt.ways[0].line
        for state in states.values()
        for debt in toggle_debt(state, platform, now)
        if debt.kind is DebtKind.OWNER_LEFT and principal(state.toggles[debt.toggle].owner) == principal(name)
    }
    owners = {model: owner for model, state in states.items() if (owner := _next_owner(controller, state)) is not None}
    named = [model for model, owner in owners.items() if principal(owner) == principal(name)]
    lines = [f"{toggle} stands still until somebody else accepts it: {way}" for toggle, way in orphaned.items()]
    lines += [f"nothing of {model} is armed until its contract names another toggle.owner" for model in named]
    if not lines:
        known = {*owners.values(), *(toggle.owner for state in states.values() for toggle in state.toggles.values())}
        close = get_close_matches(name, known, n=1)
        hint = f'; did you mean {close[0]}? to take it back: retrain owner back {name} --reason "why"' if close else ""
        lines.append(f"no toggle and no contract on record is {name}'s{hint}")
    return lines


def _next_owner(controller: ReleaseController, state: ModelState) -> str | None:
    """Whom the contract recorded last names as owner of the next toggle; None without one, or where its evidence is gone."""
    from retrain_assets.contract import Contract, CustodyError

    try:
        recorded = [controller.evidence.get(retrain.contract_digest) for retrain in [*state.retrains.values()][-1:]]
    except CustodyError:
        return None
    return next((Contract.recorded(one).toggle.owner for one in recorded), None)
