"""``retrain canary``: a look at champion against challenger that acts on nothing and records nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.options import json_option, model_argument, optional_retrain_argument
from retrain_assets.cli.show import at_stage, moment, say, say_json
from retrain_assets.contract import RetrainError
from retrain_assets.home import Home

if TYPE_CHECKING:
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
    from retrain_assets.gates.canary_view import look_document
    from retrain_assets.serving.canary_view import canary_view
    from retrain_assets.serving.look import look_at, training_hours

    home = Home.from_environment()
    controller = open_controller(home)
    state, now = known_model(controller, model), controller.clock.now()
    toggle = _toggle(state, retrain)
    if not toggle.active and toggle.last_look is not None:  # a promoted one is beyond its ramp, where no look calls for anything
        toggle = replace(toggle, stage=toggle.last_look.stage)
    hours = training_hours(home, state.retrains[toggle.retrain])
    look = look_at(home, toggle, now, training_hours=hours, keep=False)
    document = look_document(look, canary_view(home, toggle, look, now))
    if as_json:
        say_json({"model": model, "retrain": toggle.retrain, "toggle": toggle.name, "state": str(toggle.state), **document})
        return
    _say(document, toggle)


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


def _say(document: Mapping[str, Any], toggle: ToggleState) -> None:
    from retrain_assets.cli import look_words

    summary = look_words.look_summary(document, toggle.contract, toggle.ramp)
    say(f"{toggle.name}: {at_stage(str(toggle.state), toggle.stage)}, looked at {moment(summary['at'])}; nothing was recorded")
    if not toggle.active:
        say("too late for what it calls for: the toggle has ended")
    say()
    look_words.say_call(summary)
    say()
    look_words.say_measures(summary)
    say()
    look_words.say_besides(summary)
    look_words.say_planned(summary)
    look_words.say_segments(summary)
    look_words.say_stages(summary)
    if summary["call"]["reason"] != summary["call"]["why"]:
        say()
        say(f"reason in full: {summary['call']['reason']}")
