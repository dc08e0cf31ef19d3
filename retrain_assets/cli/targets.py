"""Which toggle a name means: its own name, or a model's, whose fitting toggle is then named in the output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from retrain_assets.cli.show import moment
from retrain_assets.contract import Refused, RetrainError
from retrain_assets.release import ModelState, ReleaseController, ToggleState, ToggleStatus
from retrain_assets.release.commands import command_of
from retrain_assets.release.overrides import closed_checks
from retrain_assets.release.toggle import Move

Fits = Callable[[ModelState], list[ToggleState]]


@dataclass(frozen=True, slots=True)
class Target:
    """A toggle and how it was found.

    Args:
        toggle: the toggle.
        chosen: what it is to the model that was named, ``active toggle of flight_delay``; empty when it was named itself.
    """

    toggle: ToggleState
    chosen: str = ""


def active(states: Mapping[str, ModelState], name: str) -> Target:
    """The toggle of that name, or the active toggle of the model of that name.

    Raises:
        Refused: when the model has none.
        RetrainError: when the name is neither.
    """
    return _find(states, name, ("active toggle", _active))


def to_roll_back(states: Mapping[str, ModelState], name: str) -> Target:
    """As :func:`active`; without an active toggle the promoted one that made the present champion.

    A model's name means the promoted one only while its promotion is the last thing that happened to the model's traffic. Two
    people at night roll back the same thing; who comes second must not take the champion away that the first one left serving.

    Raises:
        Refused: when the model has neither, or when something was rolled back since the promotion.
        RetrainError: when the name is neither a toggle nor a model.
    """
    nothing = "there is nothing to roll back: no challenger gets traffic, and no promoted toggle made the champion"
    target = _find(states, name, ("active toggle", _active), ("last promoted toggle", made_the_champion), nothing=nothing)
    if target.chosen and not target.toggle.active and (before := _rolled_back_since(states[name], target.toggle)):
        raise Refused(
            f"{before}; no challenger gets traffic",
            where=name,
            remedy=f"if its champion, version {target.toggle.challenger.version}, is to go as well: "
            f"{command_of(target.toggle, Move.ROLL_BACK)}",
        )
    return target


def to_answer_for(states: Mapping[str, ModelState], name: str) -> Target:
    """The same toggle, as the one somebody has to answer for.

    Raises:
        Refused: when the model has neither.
        RetrainError: when the name is neither a toggle nor a model.
    """
    return _find(states, name, ("active toggle", _active), ("last promoted toggle", made_the_champion))


def to_retire(states: Mapping[str, ModelState], name: str) -> Target:
    """The toggle of that name, or the one promoted or rejected toggle of the model that is not retired.

    Raises:
        Refused: when the model has none, or several.
        RetrainError: when the name is neither a toggle nor a model.
    """
    return _find(states, name, ("toggle to retire", _ended))


def to_show(states: Mapping[str, ModelState], name: str) -> Target:
    """The toggle of that name, or the model's active one, else its newest.

    Raises:
        Refused: when the model has no toggle.
        RetrainError: when the name is neither a toggle nor a model.
    """
    return _find(states, name, ("active toggle", _active), ("newest toggle", lambda state: [*state.toggles.values()][-1:]))


def retrain_to_arm(controller: ReleaseController, name: str, retrain: str | None) -> tuple[str, str]:
    """Model and retrain of a toggle that is to be: ``MODEL RETRAIN``, ``MODEL-RETRAIN``, or a model with one waiting candidate.

    Raises:
        Refused: when the model has no candidate that waits for its toggle, or several.
    """
    model, _, key = name.partition("-")
    if retrain or key:
        return model, retrain or key
    state = controller.state(model)
    waiting = [
        one.key
        for one in state.retrains.values()
        if one.candidate is not None
        and one.decision is None
        and state.toggle_of(one.key) is None
        and not any(closed_checks(one, gate, controller.clock.now()) for gate in one.verdicts)
    ]
    if not waiting:
        raise Refused("no retrain has a candidate that waits for a toggle", where=model, remedy="launch a retrain first")
    if len(waiting) > 1:
        named = " and ".join(waiting)
        raise Refused(f"{named} wait for a toggle", where=model, remedy=f"name one: retrain toggle arm {model} RETRAIN")
    return model, waiting[0]


def _find(states: Mapping[str, ModelState], name: str, *choices: tuple[str, Fits], nothing: str = "") -> Target:
    for state in states.values():
        if name in state.toggles:
            return Target(state.toggles[name])
    if name not in states:
        known = [*states, *(toggle for state in states.values() for toggle in state.toggles)]
        close = get_close_matches(name, known, n=1)
        remedy = f"did you mean {close[0]}?" if close else "retrain toggle list shows the toggles"
        raise RetrainError(f"there is no toggle or model {name!r}", remedy=remedy)
    for what, fits in choices:
        found = fits(states[name])
        if len(found) > 1:
            raise Refused(f"it has more than one {what}", where=name, remedy=f"name one: {', '.join(one.name for one in found)}")
        if found:
            return Target(found[0], f"{what} of {name}")
    wanted = " and no ".join(what for what, _ in choices)
    has = ", ".join(f"{one.name} ({one.state})" for one in states[name].toggles.values()) or "none"
    raise Refused(nothing or f"it has no {wanted}", where=name, remedy=f"toggles: {has}")


def rolled_back_first(state: ModelState) -> ToggleState | None:
    """The toggle that a rollback of the model means; None when there is nothing to roll back."""
    return next(iter([*_active(state), *made_the_champion(state)]), None)


def _rolled_back_since(state: ModelState, promoted: ToggleState) -> str:
    """What was rolled back after a promotion, in words; empty when nothing was."""
    reign = state.champion_history[-1]
    if reign.how != "promoted":
        return f"version {reign.version.version} is champion again since a rollback on {moment(reign.since)}"
    since = promoted.status_since
    later = [one for one in state.toggles.values() if one.ended_because and one.armed_at and one.armed_at >= since]
    return f"{later[-1].name} was rolled back already ({later[-1].ended_because})" if later else ""


def _active(state: ModelState) -> list[ToggleState]:
    return [state.active_toggle] if state.active_toggle else []


def made_the_champion(state: ModelState) -> list[ToggleState]:
    """The promoted toggle whose challenger serves as champion, none or one."""
    return [one for one in state.toggles.values() if one.state is ToggleStatus.PROMOTED and one.challenger == state.champion][-1:]


def _ended(state: ModelState) -> list[ToggleState]:
    return [one for one in state.toggles.values() if one.state in (ToggleStatus.PROMOTED, ToggleStatus.REJECTED)]
