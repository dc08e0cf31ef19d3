"""``retrain approve``, ``reject``, ``withdraw``, ``bootstrap``: people's word on a retrain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.keys import Hand, signature_json, signed_by, signing
from retrain_assets.cli.options import Order, model_argument, retrain_argument
from retrain_assets.cli.show import moment, say
from retrain_assets.contract import Approval, Refused, RetrainError, StaleRevision, format_duration, parse_duration
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.release import ReleaseController, ToggleState
    from retrain_assets.release.signing import Case


@click.command()
@model_argument
@retrain_argument
@click.option("--look", metavar="DIGEST", help="Only if this is still the last look at the canary. [default: the one just read]")
@click.option("--valid-for", metavar="PERIOD", help="How long it holds, such as 1d. [default: the contract's valid_for]")
@click.option(
    "--from-git",
    type=click.Path(path_type=Path),
    metavar="REPOSITORY",
    help="Take the approval from a signed commit of this clone, that brought approvals/MODEL/RETRAIN.json.",
)
@click.option("--commit", default="HEAD", show_default=True, metavar="REV", help="With --from-git: the commit that holds it.")
@click.option("--file", "path", metavar="PATH", help="With --from-git: another file of the commit.")
@signing
def approve(
    model: str,
    retrain: str,
    look: str | None,
    valid_for: str | None,
    order: Order,
    hand: Hand,
) -> None:
    """Approve the promotion of a retrain.

    The approval is bound to the last look at its canary, to the evidence of every gate and to the very bundle; another look, or
    a gate judged anew, makes it lapse. Where the contract names keys it is signed: prints what, then ssh-keygen signs.
    """
    from retrain_assets.cli import changes
    from retrain_assets.cli.opening import known_model, open_controller, require_retrain

    actor = order.actor
    controller = open_controller(Home.from_environment())
    state = known_model(controller, model)
    require_retrain(state, retrain)
    toggle = state.toggle_of(retrain)
    last = toggle.last_look.evidence if toggle and toggle.last_look else None
    if look is not None and not _names(look, last):
        raise StaleRevision(
            f"the last look is {last or 'missing'}, not {look}", where=f"{model} {retrain}", remedy=f"retrain toggle show {model}"
        )
    case, terms = controller.approval_case(model, retrain, actor, order.reason, evidence=last)
    if last is not None and toggle is not None and not order.as_json and not hand.print_statement:
        _say_look(controller.evidence.get(last), toggle)
    until = case.now + _period(valid_for, terms)
    signed = signed_by(case, terms, hand, order, valid_until=until, hint=f"approve {model} {retrain}")
    change = changes.carry_out(
        controller,
        model,
        actor,
        lambda: controller.approve(model, retrain, actor, order.reason, evidence=last, signed=signed),
    )
    after = change.after.toggle_of(retrain)
    note = _given(after, controller) if after is not None else ""
    changes.report(change, controller, order, note=note, toggle=after.name if after else None, more=signature_json(change.events))


def _names(look: str, digest: str | None) -> bool:
    """Whether somebody typed a digest, or enough of its beginning, as lists show it."""
    typed = look.strip().removeprefix("sha256:").rstrip("…")
    return digest is not None and len(typed) >= 8 and digest.removeprefix("sha256:").startswith(typed)


def _period(valid_for: str | None, terms: Approval) -> timedelta:
    if valid_for is None:
        return terms.valid_for
    try:
        period = parse_duration(valid_for)
    except ValueError as error:
        raise RetrainError(f"{valid_for!r} is not a period ({error})", remedy="write such as 12h or 2d") from error
    if not timedelta(0) < period <= terms.valid_for:
        longest = format_duration(terms.valid_for)
        raise Refused(f"an approval cannot hold for {valid_for}", remedy=f"write a period up to {longest}, the contract's")
    return period


def _given(toggle: ToggleState, controller: ReleaseController) -> str:
    """How many approvals count, and when there are enough what becomes of them."""
    from retrain_assets.release.due import promotion_waits
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
@signing
def reject(model: str, retrain: str, order: Order, hand: Hand) -> None:
    """End a retrain as rejected, rolling back.

    Its active toggle is rolled back first.
    """
    controller = _opened(model, retrain)
    case, terms = controller.rejection_case(model, retrain, order.actor, order.reason)
    signed = signed_by(case, terms, hand, order, hint=f"reject {model} {retrain}")
    _carry_out(controller, case, order, lambda: controller.reject(model, retrain, order.actor, order.reason, signed=signed))


@click.command()
@model_argument
@retrain_argument
@signing
def withdraw(model: str, retrain: str, order: Order, hand: Hand) -> None:
    """Take your approval back while nothing is promoted."""
    controller = _opened(model, retrain)
    case, terms = controller.withdrawal_case(model, retrain, order.actor, order.reason)
    signed = signed_by(case, terms, hand, order, hint=f"withdraw {model} {retrain}")
    _carry_out(controller, case, order, lambda: controller.withdraw(model, retrain, order.actor, order.reason, signed=signed))


@click.command()
@model_argument
@retrain_argument
@signing
def bootstrap(model: str, retrain: str, order: Order, hand: Hand) -> None:
    """Make a candidate the first champion.

    An explicit approval: there is nothing to compare it with, and the record says so.
    """
    from retrain_assets.cli.contracts import contract_of

    order.actor  # noqa: B018 - refused before anything is opened
    controller, contract = _opened(model, retrain), contract_of(model)
    case, terms = controller.bootstrap_case(contract, retrain, order.actor, order.reason)
    signed = signed_by(case, terms, hand, order, hint=f"bootstrap {model} {retrain}")
    _carry_out(controller, case, order, lambda: controller.bootstrap(contract, retrain, order.actor, order.reason, signed=signed))


def _opened(model: str, retrain: str) -> ReleaseController:
    from retrain_assets.cli.opening import known_model, open_controller, require_retrain

    controller = open_controller(Home.from_environment())
    require_retrain(known_model(controller, model), retrain)
    return controller


def _carry_out(controller: ReleaseController, case: Case, order: Order, action: Callable[[], object]) -> None:
    from retrain_assets.cli import changes

    change = changes.carry_out(controller, case.model, order.actor, action)
    changes.report(change, controller, order, toggle=f"{case.model}-{case.retrain}", more=signature_json(change.events))
