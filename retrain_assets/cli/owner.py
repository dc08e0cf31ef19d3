"""``retrain owner …``: who left and answers for no toggle any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from retrain_assets.cli.options import Order, changing, json_option
from retrain_assets.cli.show import moment, say, say_json, say_table
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.release import ReleaseController

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
    """The toggles that now stand still, each with the way on."""
    from retrain_assets.release import ToggleStatus

    states, platform = controller.snapshot()
    return [
        f"{toggle.name} stands still: an approver offers it to somebody with retrain toggle transfer {toggle.name} --to OWNER"
        for state in states.values()
        for toggle in state.toggles.values()
        if (toggle.active or toggle.state is ToggleStatus.PROMOTED)
        and (gone := platform.left(toggle.owner)) is not None
        and gone == platform.left(name)
    ]
