"""``retrain toggle …``: the named release controls, shown and moved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrain_assets.cli.options import Order, changing, moving, optional_retrain_argument, toggle_argument
from retrain_assets.cli.ordering import credential_for, vouching
from retrain_assets.cli.toggle_views import debt, list_toggles, show
from retrain_assets.contract import parse_duration
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.cli.targets import Target
    from retrain_assets.ledger import Actor
    from retrain_assets.release import ModelState, ReleaseController, ToggleState

    Find = Callable[[Mapping[str, ModelState], str], Target]
    Move = Callable[[ReleaseController, str, Actor, int], object]


@click.group()
def toggle() -> None:
    """The named release controls of challengers.

    TOGGLE|MODEL takes a toggle's name, or a model's: then its active toggle is meant.
    """


for view in (list_toggles, show, debt):
    toggle.add_command(view)


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
@vouching
def hold(toggle: str, key: Path | None, unsigned: bool, order: Order) -> None:
    """Stop the ramp; traffic stays as it is divided.

    Signed where the contract names keys.
    """
    from retrain_assets.ledger import Act

    def make(door: ReleaseController, one: str, actor: Actor, seen: int) -> None:
        case = door.order_case(Act.HOLD, one, actor, order.reason, revision=seen)
        credential = credential_for(*case, order, key, unsigned)
        door.hold(one, actor, order.reason, revision=seen, credential=credential)

    _move(toggle, order, make, at_once=True)


@toggle.command()
@moving
def resume(toggle: str, order: Order) -> None:
    """Let a held toggle go on."""
    _move(toggle, order, lambda door, one, actor, seen: door.resume(one, actor, order.reason, revision=seen))


@toggle.command()
@moving
@vouching
def rollback(toggle: str, key: Path | None, unsigned: bool, order: Order) -> None:
    """All traffic back to the champion.

    After a promotion the previous champion serves again. Signed where the contract names keys, or --unsigned; either way a
    follow-up stays open until somebody says what the cause was.

    A model's name means its active toggle, or, without one, the promoted toggle that made the present champion.
    """
    from retrain_assets.cli.targets import to_roll_back
    from retrain_assets.ledger import Act

    def make(door: ReleaseController, one: str, actor: Actor, seen: int) -> None:
        case = door.order_case(Act.ROLL_BACK, one, actor, order.reason, revision=seen)
        credential = credential_for(*case, order, key, unsigned)
        door.rollback(one, actor, order.reason, revision=seen, credential=credential)

    _move(toggle, order, make, to_roll_back, at_once=True)


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
    """Offer the toggle to another owner.

    It is the other's once accepted. Offering it to the present owner withdraws the offer. The owner offers it, for a team
    anybody; when the owner left, an approver.

    A model's name means its active toggle, or, without one, the promoted toggle that made the present champion.
    """
    from retrain_assets.cli.targets import to_answer_for

    _move(
        toggle,
        order,
        lambda door, one, actor, seen: door.offer_transfer(one, owner, actor, order.reason, revision=seen),
        to_answer_for,
        following=_to_be_accepted,
    )


@toggle.command()
@moving
def accept(toggle: str, order: Order) -> None:
    """Take over a toggle that is offered to you, or to your team.

    A model's name means its active toggle, or, without one, the promoted toggle that made the present champion.
    """
    from retrain_assets.cli.targets import to_answer_for

    _move(
        toggle, order, lambda door, one, actor, seen: door.accept_transfer(one, actor, order.reason, revision=seen), to_answer_for
    )


@toggle.command()
@moving
def review(toggle: str, order: Order) -> None:
    """Say that the toggle is still needed.

    A model's name means its active toggle, or, without one, the promoted toggle that made the present champion.
    """
    from retrain_assets.cli.targets import to_answer_for

    _move(toggle, order, lambda door, one, actor, seen: door.review(one, actor, order.reason, revision=seen), to_answer_for)


@toggle.command()
@moving
def retire(toggle: str, order: Order) -> None:
    """Close an ended toggle for good.

    A promotion can then no longer be rolled back.

    A model's name means its one promoted or rejected toggle.
    """
    from retrain_assets.cli.targets import to_retire

    _move(toggle, order, lambda door, one, actor, seen: door.retire(one, actor, order.reason, revision=seen), to_retire)


def _move(
    name: str,
    order: Order,
    move: Move,
    find: Find | None = None,
    *,
    at_once: bool = False,
    following: Callable[[ToggleState], str] | None = None,
) -> None:
    """Find the toggle, move it as it was just seen (or at the revision that was asked for), and print what changed."""
    from retrain_assets.cli import changes, targets
    from retrain_assets.cli.opening import open_at_once, open_controller

    actor = order.actor
    controller = (open_at_once if at_once else open_controller)(Home.from_environment())
    target = (find or targets.active)(controller.states(), name)
    known = target.toggle
    seen = known.revision if order.revision is None else order.revision
    change = changes.carry_out(controller, known.model, actor, lambda: move(controller, known.name, actor, seen))
    note = f"{target.chosen} is {known.name}" if target.chosen else ""
    then = following(change.after.toggles[known.name]) if following else ""
    changes.report(change, controller, order, note=note, toggle=known.name, following=then)


def _to_be_accepted(toggle: ToggleState) -> str:
    from retrain_assets.release.commands import command_of
    from retrain_assets.release.toggle import Move

    if toggle.offer is None:
        return ""
    other = f" other than {toggle.offer.by}" if toggle.offer.owner.startswith("team:") else ""
    return f"{command_of(toggle, Move.ACCEPT)}  # by {toggle.offer.owner}{other}"


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--by") from error
