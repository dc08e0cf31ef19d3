"""``retrain toggle …``: the named release controls, shown and moved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.options import (
    Order,
    changing,
    json_option,
    moving,
    optional_model_argument,
    optional_retrain_argument,
    toggle_argument,
)
from retrain_assets.cli.show import at_stage, moment, say, say_json, say_table, short
from retrain_assets.contract import parse_duration
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.cli.targets import Target
    from retrain_assets.ledger import Actor
    from retrain_assets.release import ModelState, ReleaseController

    Find = Callable[[Mapping[str, ModelState], str], Target]
    Move = Callable[[ReleaseController, str, Actor, int], object]


@click.group()
def toggle() -> None:
    """The named release controls of challengers.

    TOGGLE|MODEL takes a toggle's name, or a model's: then its active toggle is meant.
    """


@toggle.command("list")
@optional_model_argument
@json_option
def list_toggles(model: str | None, as_json: bool) -> None:
    """All toggles of MODEL, or of all models."""
    from retrain_assets.cli.opening import is_recorded, known_model, open_controller

    home = Home.from_environment()
    views: list[dict[str, Any]] = []
    if model is not None or is_recorded(home):
        controller = open_controller(home)
        from retrain_assets.release import toggle_view

        states = [known_model(controller, model)] if model else list(controller.states().values())
        views = [toggle_view(one, controller.clock.now()) for state in states for one in state.toggles.values()]
    if as_json:
        say_json(views)
        return
    say_table(
        ["toggle", "state", "share", "challenger", "against", "owner", "expires", "remove by", "revision"],
        [_row(view) for view in views],
    )


@toggle.command()
@toggle_argument
@json_option
def show(toggle: str, as_json: bool) -> None:
    """One toggle, and what can be done to it."""
    from retrain_assets.cli import targets
    from retrain_assets.cli.opening import open_controller

    controller = open_controller(Home.from_environment())
    from retrain_assets.release import toggle_view

    target = targets.to_show(controller.states(), toggle)
    view = toggle_view(target.toggle, controller.clock.now())
    if as_json:
        say_json(view)
        return
    if target.chosen:
        say(f"{target.chosen}:")
    for name, value in _lines(view):
        say(f"{name + ':':<16}{value}")


@toggle.command()
@toggle_argument
@optional_retrain_argument
@changing
def arm(toggle: str, retrain: str | None, order: Order) -> None:
    """Arm a retrain's candidate at 0 %.

    Name it as MODEL RETRAIN. Its toggle is registered first.
    """
    from retrain_assets.cli import changes, targets
    from retrain_assets.cli.contracts import contract_of
    from retrain_assets.cli.opening import known_model, open_controller, require_retrain

    actor = order.actor
    controller = open_controller(Home.from_environment())
    model, key = targets.retrain_to_arm(controller, toggle, retrain)
    require_retrain(known_model(controller, model), key)
    contract = contract_of(model)
    change = changes.carry_out(controller, model, actor, lambda: controller.register_and_arm(contract, key, actor, order.reason))
    changes.report(change, controller, order, toggle=f"{model}-{key}")


@toggle.command()
@moving
def step(toggle: str, order: Order) -> None:
    """On to the next stage of the ramp."""
    _move(toggle, order, lambda door, one, actor, seen: door.step(one, actor, order.reason, revision=seen))


@toggle.command()
@moving
def hold(toggle: str, order: Order) -> None:
    """Stop the ramp; traffic stays as it is divided."""
    _move(toggle, order, lambda door, one, actor, seen: door.hold(one, actor, order.reason, revision=seen))


@toggle.command()
@moving
def resume(toggle: str, order: Order) -> None:
    """Let a held toggle go on."""
    _move(toggle, order, lambda door, one, actor, seen: door.resume(one, actor, order.reason, revision=seen))


@toggle.command()
@moving
def rollback(toggle: str, order: Order) -> None:
    """All traffic back to the champion.

    After a promotion the previous champion serves again.

    A model's name means its active toggle, or, without one, the promoted toggle that made the present champion.
    """
    from retrain_assets.cli.targets import to_roll_back

    _move(toggle, order, lambda door, one, actor, seen: door.rollback(one, actor, order.reason, revision=seen), to_roll_back)


@toggle.command()
@click.option("--by", required=True, metavar="DURATION", help="How much later it expires, such as 7d or 36h.")
@moving
def extend(toggle: str, by: str, order: Order) -> None:
    """Let the toggle expire later.

    Not after its removal date.
    """
    later = _duration(by)
    _move(toggle, order, lambda door, one, actor, seen: door.extend(one, later, actor, order.reason, revision=seen))


@toggle.command()
@click.option("--to", "owner", required=True, metavar="OWNER", help="team:NAME or an e-mail address.")
@moving
def transfer(toggle: str, owner: str, order: Order) -> None:
    """Give the toggle another owner."""
    _move(toggle, order, lambda door, one, actor, seen: door.transfer(one, owner, actor, order.reason, revision=seen))


@toggle.command()
@moving
def retire(toggle: str, order: Order) -> None:
    """Close an ended toggle for good.

    A promotion can then no longer be rolled back.

    A model's name means its one promoted or rejected toggle.
    """
    from retrain_assets.cli.targets import to_retire

    _move(toggle, order, lambda door, one, actor, seen: door.retire(one, actor, order.reason, revision=seen), to_retire)


def _move(name: str, order: Order, move: Move, find: Find | None = None) -> None:
    """Find the toggle, move it as it was just seen (or at the revision that was asked for), and print what changed."""
    from retrain_assets.cli import changes, targets
    from retrain_assets.cli.opening import open_controller

    actor = order.actor
    controller = open_controller(Home.from_environment())
    target = (find or targets.active)(controller.states(), name)
    known = target.toggle
    seen = known.revision if order.revision is None else order.revision
    change = changes.carry_out(controller, known.model, actor, lambda: move(controller, known.name, actor, seen))
    note = f"{target.chosen} is {known.name}" if target.chosen else ""
    changes.report(change, controller, order, note=note, toggle=known.name)


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--by") from error


def _row(view: dict[str, Any]) -> list[Any]:
    return [
        view["toggle"],
        at_stage(view["state"], view["stage"]),
        f"{view['share']:.2%}" if view["possible"] and view["state"] not in ("promoted", "rolled_back", "rejected") else None,
        f"version {view['challenger']['version']}",
        f"version {view['previous_champion']['version']}",
        view["owner"],
        moment(view["expires_at"]),
        moment(view["remove_by"]),
        view["revision"],
    ]


def _lines(view: dict[str, Any]) -> list[tuple[str, str]]:
    look, armed = view["last_look"], view["armed_at"]
    ramp = ", ".join(f"[{stage}]" if stage == view["stage"] else stage for stage in (*view["ramp"], "100"))
    lines = [
        ("toggle", view["toggle"]),
        ("state", at_stage(view["state"], view["stage"]) + (" (expired)" if view["expired"] else "")),
        ("ended because", view["ended_because"]),
        ("held from", view["held_from"]),
        ("purpose", view["purpose"]),
        ("owner", view["owner"]),
        ("challenger", f"version {view['challenger']['version']} ({short(view['challenger']['bundle'])})"),
        ("against", f"version {view['previous_champion']['version']} ({short(view['previous_champion']['bundle'])})"),
        ("ramp", ramp),
        ("armed", moment(armed)),
        ("in stage since", moment(view["stage_started_at"])),
        ("expires", moment(view["expires_at"])),
        ("remove by", moment(view["remove_by"])),
        ("revision", f"{view['revision']} (split of revision {view['stage_revision']})"),
        ("last look", f"{moment(look['at'])}: {look['action'].replace('_', ' ')}: {look['reason']}" if look else None),
        *(
            (
                "approved",
                f"by {one['approver']} at {moment(one['at'])}, valid until {moment(one['valid_until'])}"
                f"{'' if one['counts'] else ', does not count any more'}: {one['reason']}",
            )
            for one in view["approvals"]
        ),
        ("possible", ", ".join(view["possible"]) or "nothing"),
    ]
    return [(name, value) for name, value in lines if value]
