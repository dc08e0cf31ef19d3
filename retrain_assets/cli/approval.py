"""``retrain approve``, ``reject``, ``withdraw``, ``bootstrap``: people's word on a retrain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.options import Order, changing, model_argument, retrain_argument
from retrain_assets.cli.show import moment, say
from retrain_assets.contract import StaleRevision
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.release import ReleaseController, ToggleState


@click.command()
@model_argument
@retrain_argument
@click.option("--look", metavar="DIGEST", help="Only if this is still the last look at the canary. [default: the one just read]")
@changing
def approve(model: str, retrain: str, look: str | None, order: Order) -> None:
    """Approve the promotion of a retrain.

    The approval is bound to the last look at its canary and to the very bundle; a later look makes it lapse.
    """
    from retrain_assets.cli import changes
    from retrain_assets.cli.opening import known_model, open_controller, require_retrain

    actor = order.actor
    controller = open_controller(Home.from_environment())
    state = known_model(controller, model)
    require_retrain(state, retrain)
    toggle = state.toggle_of(retrain)
    last = toggle.last_look.evidence if toggle and toggle.last_look else None
    if look and (last is None or not last.removeprefix("sha256:").startswith(look.removeprefix("sha256:").rstrip("…"))):
        raise StaleRevision(
            f"the last look is {last or 'missing'}, not {look}", where=f"{model} {retrain}", remedy=f"retrain toggle show {model}"
        )
    change = changes.carry_out(
        controller, model, actor, lambda: controller.approve(model, retrain, actor, order.reason, evidence=last)
    )
    after = change.after.toggle_of(retrain)
    note = _given(after, controller) if after is not None else ""
    name = after.name if after else None
    if last is not None and toggle is not None and not order.as_json:
        _say_look(controller.evidence.get(last), toggle)
    changes.report(change, controller, order, note=note, toggle=name)


def _given(toggle: ToggleState, controller: ReleaseController) -> str:
    """How many approvals count, and when there are enough what becomes of them."""
    from retrain_assets.cli.due import promotion_waits
    from retrain_assets.release.policy import standing_approvals

    now, required = controller.clock.now(), toggle.terms.approval.required
    count = len(standing_approvals(toggle, now))
    enough = f"; {promotion_waits(toggle, controller.platform(), now)}" if count >= required else ""
    return f"{count} of {required} approvals{enough}"


def _say_look(document: Mapping[str, Any], toggle: ToggleState) -> None:
    """What the approval rests on, so that nobody approves what was not read."""
    from retrain_assets.cli import look_words

    summary = look_words.look_summary(document, toggle.contract, toggle.ramp)
    say(f"approved on the look of {moment(summary['at'])}, which calls for:")
    look_words.say_call(summary)
    look_words.say_measures(summary)
    look_words.say_besides(summary)
    say()


@click.command()
@model_argument
@retrain_argument
@changing
def reject(model: str, retrain: str, order: Order) -> None:
    """End a retrain as rejected, rolling back.

    Its active toggle is rolled back first.
    """
    from retrain_assets.cli import changes
    from retrain_assets.cli.opening import known_model, open_controller, require_retrain

    actor = order.actor
    controller = open_controller(Home.from_environment())
    require_retrain(known_model(controller, model), retrain)
    change = changes.carry_out(controller, model, actor, lambda: controller.reject(model, retrain, actor, order.reason))
    changes.report(change, controller, order, toggle=f"{model}-{retrain}")


@click.command()
@model_argument
@retrain_argument
@changing
def withdraw(model: str, retrain: str, order: Order) -> None:
    """Take your approval back while nothing is promoted."""
    from retrain_assets.cli import changes
    from retrain_assets.cli.opening import known_model, open_controller, require_retrain

    actor = order.actor
    controller = open_controller(Home.from_environment())
    require_retrain(known_model(controller, model), retrain)
    change = changes.carry_out(controller, model, actor, lambda: controller.withdraw(model, retrain, actor, order.reason))
    changes.report(change, controller, order, toggle=f"{model}-{retrain}")


@click.command()
@model_argument
@retrain_argument
@changing
def bootstrap(model: str, retrain: str, order: Order) -> None:
    """Make a candidate the first champion.

    An explicit approval: there is nothing to compare it with, and the record says so.
    """
    from retrain_assets.cli import changes
    from retrain_assets.cli.contracts import contract_of
    from retrain_assets.cli.opening import known_model, open_controller, require_retrain

    actor = order.actor
    controller = open_controller(Home.from_environment())
    require_retrain(known_model(controller, model), retrain)
    contract = contract_of(model)
    change = changes.carry_out(controller, model, actor, lambda: controller.bootstrap(contract, retrain, actor, order.reason))
    changes.report(change, controller, order)
