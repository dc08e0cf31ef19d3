"""``retrain kill``: all traffic to the champion, of one model or of all, until a person says that it may go on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrain_assets.cli.exits import ExitCode, tell
from retrain_assets.cli.options import Order, changing, optional_model_argument
from retrain_assets.cli.ordering import credential_for, vouching
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.ledger import Actor
    from retrain_assets.release import Engaged, ReleaseController

LATELY = timedelta(days=7)
"""Promotions of this time are named when all models are stopped: a fresh champion may be what hurts."""


@click.command()
@optional_model_argument
@click.option("--all", "every_model", is_flag=True, help="All models, those to come included.")
@click.option("--release", is_flag=True, help="Let challengers be armed again; nothing is armed by that.")
@changing
@vouching
def kill(model: str | None, every_model: bool, release: bool, key: Path | None, unsigned: bool, order: Order) -> None:
    """Engage the kill switch of MODEL, or of all models.

    Active toggles are rolled back at once. Until the switch is released nothing is armed, stepped, resumed, put to approval or
    promoted; rolling back and holding always work. Signed where the contract names keys, or --unsigned; a follow-up stays open
    until somebody says what the cause was.
    """
    if (model is None) != every_model:
        raise click.UsageError("name one model or write --all", click.get_current_context())
    from retrain_assets.cli import platform_changes
    from retrain_assets.cli.opening import known_or_contracted, open_at_once

    actor = order.actor
    controller = open_at_once(Home.from_environment())
    if model is not None and not release:
        known_or_contracted(controller, model)
    if release:
        released = platform_changes.carry_out(
            controller, actor, lambda: controller.release_kill_switch(model, actor, order.reason)
        )
        platform_changes.report(released, order, notes=_still_engaged(controller))
        return
    engaged: list[Engaged] = []
    change = platform_changes.carry_out(
        controller, actor, lambda: engaged.append(_engage(controller, model, actor, order, key, unsigned))
    )
    (done,) = engaged
    platform_changes.report(
        change, order, notes=[*(f"not done: {fault}" for fault in done.undone), *_besides(controller, model, done)]
    )
    if done.registry_behind:
        tell(f"note: recorded and routed, but the registry is behind ({done.registry_behind}); run retrain reconcile")
    if done.undone:
        tell(f"kill: the switch is engaged, and this could not be done: {'; '.join(done.undone)}; any later command tries again")
        click.get_current_context().exit(ExitCode.INPUT)


def _engage(
    controller: ReleaseController, model: str | None, actor: Actor, order: Order, key: Path | None, unsigned: bool
) -> Engaged:
    """What is engaged already is engaged again without anybody's signature: nothing is recorded by that."""
    from retrain_assets.ledger import EVERY_MODEL

    if (model or EVERY_MODEL) in controller.platform().kill_switches:
        return controller.engage_kill_switch(model, actor, order.reason)
    credential = credential_for(*controller.kill_case(model, actor, order.reason), order, key, unsigned)
    return controller.engage_kill_switch(model, actor, order.reason, credential=credential)


def _besides(controller: ReleaseController, model: str | None, done: Engaged) -> list[str]:
    """What a kill switch does not touch: champions that were promoted, of all models those of the last days."""
    from retrain_assets.cli.targets import made_the_champion
    from retrain_assets.release.commands import command_of
    from retrain_assets.release.toggle import Move

    since, states = controller.clock.now() - LATELY, controller.states()
    promoted = [toggle for name, state in states.items() if model in (None, name) for toggle in made_the_champion(state)]
    lines = [] if done.rolled_back or done.undone else ["no challenger got traffic; champions answered everybody already"]
    return lines + [
        f"{toggle.model}: its champion, version {toggle.challenger.version}, was promoted on {toggle.status_since:%Y-%m-%d} "
        f"and goes on; back to version {toggle.previous_champion.version}: {command_of(toggle, Move.ROLL_BACK)}"
        for toggle in promoted
        if model is not None or toggle.status_since >= since
    ]


def _still_engaged(controller: ReleaseController) -> list[str]:
    from retrain_assets.release.commands import release_of

    switches = controller.platform().kill_switches.values()
    return [f"still engaged: the kill switch of {one.scope}; when its cause is gone: {release_of(one)}" for one in switches]
