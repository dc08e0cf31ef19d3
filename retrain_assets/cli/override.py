"""``retrain override``: two approvers let a check count as open that did not pass, for one candidate and one verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.keys import Hand, signed_by, signing
from retrain_assets.cli.options import Order, model_argument, retrain_argument
from retrain_assets.cli.show import moment
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.contract import Approval
    from retrain_assets.release import ModelState, ReleaseController


@click.command()
@model_argument
@retrain_argument
@click.option("--check", required=True, metavar="GATE.CHECK", help="The check, such as offline.slices_hold.")
@click.option("--withdraw", is_flag=True, help="Take your word back; the gate is closed again.")
@signing
def override(model: str, retrain: str, check: str, withdraw: bool, order: Order, hand: Hand) -> None:
    """Let a check of a retrain count as open although it did not pass.

    Takes two approvers: the first call is one of two, the other's puts it in force. A retrain that the gate stopped is then open
    again and goes on by itself; of a canary, approval is asked for. Never for an error, harm that was shown, gate promotion or an
    expired toggle. A new verdict voids it. Every report shows it.
    """
    from retrain_assets.cli import changes
    from retrain_assets.cli.opening import known_model, open_controller, require_retrain

    actor = order.actor
    controller = open_controller(Home.from_environment())
    require_retrain(known_model(controller, model), retrain)
    case, terms = controller.override_case(model, retrain, check, actor, order.reason, withdraw=withdraw)
    until = None if withdraw else case.now + terms.valid_for
    hint = f"override {model} {retrain} --check {check}{' --withdraw' if withdraw else ''}"
    signed = signed_by(case, terms, hand, order, valid_until=until, hint=hint)
    act = controller.withdraw_override if withdraw else controller.override
    change = changes.carry_out(controller, model, actor, lambda: act(model, retrain, check, actor, order.reason, signed=signed))
    toggle = change.after.toggle_of(retrain)
    changes.report(
        change,
        controller,
        order,
        note=_note(controller, change.after, retrain, check, withdraw),
        toggle=toggle.name if toggle else None,
        following=_following(controller, change.after, retrain, check, terms, withdraw),
    )


def _note(controller: ReleaseController, state: ModelState, retrain: str, check: str, withdrawn: bool) -> str:
    view = _view(controller, state, retrain, check)
    if withdrawn or view is None:
        return f"the override of {check} is not in force; its gate is closed again"
    names = " and ".join(one["by"] for one in view["signed"])
    until = moment(min(one["valid_until"] for one in view["signed"]))
    if view["in_force"]:
        return f"OVERRIDDEN: {check} by {names}; to be used until {until}. It was: {view['outcome']}: {view['message']}"
    return f"override of {check}: 1 of 2 signed ({names}), until {until}. It was: {view['outcome']}: {view['message']}"


def _following(
    controller: ReleaseController, state: ModelState, retrain: str, check: str, terms: Approval, withdrawn: bool
) -> str:
    """What happens next, or who has to do something, with the command."""
    view, known, toggle = _view(controller, state, retrain, check), state.retrains[retrain], state.toggle_of(retrain)
    if view is None:
        return ""
    if not view["in_force"]:
        if withdrawn:
            return ""
        given = {one["by"] for one in view["signed"]}
        others = " or ".join(name for name in terms.approvers if name not in given)
        return f'{others} signs as well: retrain override {state.model} {retrain} --check {check} --reason "why"'
    if toggle is not None and toggle.state == "awaiting_approval":
        return f'an approver says yes or no: retrain approve {state.model} {retrain} --reason "why"'
    from retrain_assets.release.continuing import next_of

    return next_of(state, known, controller.clock.now())


def _view(controller: ReleaseController, state: ModelState, retrain: str, check: str) -> dict[str, Any] | None:
    from retrain_assets.release import overrides_view

    views = overrides_view(state.retrains[retrain], controller.clock.now())
    return next((one for one in views if one["check"] == check), None)
