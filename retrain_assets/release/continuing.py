"""How a retrain goes on that an override opened again: what has still to be made of it, and what happens next. Pure."""

from __future__ import annotations

from datetime import datetime

from retrain_assets.contract import Gate
from retrain_assets.release.overrides import closed_checks
from retrain_assets.release.policy import GATES_BEFORE_TRAFFIC
from retrain_assets.release.state import ModelState, RetrainState


def assets_to_make(retrain: RetrainState, now: datetime) -> tuple[str, ...]:
    """The assets of a reopened retrain that its stopped run did not come to, in the order of the road.

    Empty when none is missing, it is closed again, or it was never stopped.
    """
    if retrain.reopened is None or retrain.decision is not None or retrain.failure is not None:
        return ()
    if Gate.OFFLINE in retrain.verdicts or any(closed_checks(retrain, gate, now) for gate in GATES_BEFORE_TRAFFIC):
        return ()
    data = retrain.verdicts.get(Gate.DATA)
    judged = {subject for check in data.checks.values() for subject in check.subjects} if data is not None else set()
    return (
        *(["feature_snapshot"] if "features" not in judged else []),
        *(["candidate_model"] if retrain.candidate is None or Gate.TRAINING not in retrain.verdicts else []),
        "evaluation_report",
    )


def next_of(state: ModelState, retrain: RetrainState, now: datetime) -> str:
    """What happens to a retrain without a toggle whose closed checks are all overridden, in words."""
    if retrain.decision is not None or state.toggle_of(retrain.key) is not None:
        return ""
    closed = [f"{gate}.{one.verdict.check}" for gate in GATES_BEFORE_TRAFFIC for one in closed_checks(retrain, gate, now)]
    if closed:
        return f"it stays closed while {', '.join(closed)} did not pass and is not overridden"
    if missing := assets_to_make(retrain, now):
        return f"retrain_override_sensor has {', '.join(missing)} made, and their gates are judged"
    if state.champion is None:
        return f'retrain bootstrap {state.model} {retrain.key} --reason "why"'
    if (active := state.active_toggle) is not None:
        return f"it is armed when {active.name}, which is {active.state.value.replace('_', ' ')}, has ended"
    return (
        f'retrain_canary_sensor arms it at its next tick, or now: retrain toggle arm {state.model} {retrain.key} --reason "why"'
    )
