"""``retrain canary``: a look at champion against challenger that acts on nothing and records nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.options import json_option, model_argument, optional_retrain_argument
from retrain_assets.cli.show import at_stage, moment, number, say, say_json, say_table
from retrain_assets.contract import RetrainError
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.experiment import Look, MeasureResult
    from retrain_assets.release import ModelState, ToggleState


@click.command()
@model_argument
@optional_retrain_argument
@json_option
def canary(model: str, retrain: str | None, as_json: bool) -> None:
    """Champion against challenger, as of now.

    Looks at the canary of MODEL's active toggle, or of RETRAIN's. Nothing is acted on or recorded.
    """
    from retrain_assets.cli.opening import known_model, open_controller
    from retrain_assets.serving.look import look_at

    home = Home.from_environment()
    controller = open_controller(home)
    toggle = _toggle(known_model(controller, model), retrain)
    look = look_at(home, toggle, controller.clock.now())
    if as_json:
        say_json({"model": model, "retrain": toggle.retrain, "toggle": toggle.name, "state": str(toggle.state), **look.to_json()})
        return
    _say(look, toggle)


def _toggle(state: ModelState, retrain: str | None) -> ToggleState:
    from retrain_assets.cli.opening import require_retrain

    if retrain is not None:
        require_retrain(state, retrain)
    toggle = state.active_toggle if retrain is None else state.toggle_of(retrain)
    if toggle is None:
        looked = ", ".join(one.retrain for one in state.toggles.values()) or "none"
        what = f"retrain {retrain} has no toggle" if retrain else "no toggle is active"
        raise RetrainError(f"{what}, so there is no canary", where=state.model, remedy=f"retrains with a toggle: {looked}")
    return toggle


def _say(look: Look, toggle: ToggleState) -> None:
    say(f"{toggle.name}: {at_stage(str(toggle.state), toggle.stage)}, looked at {moment(look.at)}; nothing was recorded")
    ended = "" if toggle.active else " (too late: the toggle has ended)"
    say(f"calls for: {look.action.value.replace('_', ' ')}{ended}: {look.reason}")
    say()
    say_table(
        ["measure", "role", "state", "champion", "challenger", "difference", "lower", "upper", "units"],
        [_measure_row(result) for result in look.results],
        right=["champion", "challenger", "difference", "lower", "upper", "units"],
    )
    say()
    say_table(
        ["stage", "revision", "since", "share", "champion", "challenger", "matured", "with outcome"],
        [
            (
                counts.stage,
                counts.revision,
                moment(counts.started_at),
                f"{counts.challenger_share:.2%}",
                counts.champion.exposed,
                counts.challenger.exposed,
                counts.champion.matured + counts.challenger.matured,
                counts.champion.with_outcome + counts.challenger.with_outcome,
            )
            for counts in look.stages
        ],
        right=["revision", "share", "champion", "challenger", "matured", "with outcome"],
    )
    say()
    say_table(["health", "holds", "message"], [(one.name, "yes" if one.ok else "NO", one.message) for one in look.health])


def _measure_row(result: MeasureResult) -> tuple[Any, ...]:
    return (
        result.spec.name,
        result.spec.role,
        result.state.value.replace("_", " "),
        number(result.champion_mean),
        number(result.challenger_mean),
        number(result.estimate),
        number(result.lower),
        number(result.upper),
        result.n_champion + result.n_challenger,
    )
