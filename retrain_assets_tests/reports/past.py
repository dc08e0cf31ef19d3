"""A model's past, retrain by retrain, for reviews: numbers a person could have found, recorded by the real controller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from retrain_assets.contract import Contract, Gate, Outcome, Verdict
from retrain_assets.experiment import ArmCounts, HealthCheck, Look, MeasureResult, MeasureState, Plan, StageCounts
from retrain_assets.ledger import SYSTEM
from retrain_assets.release import ToggleState
from retrain_assets_tests.release.world import MODEL, RUTH, World, contract

CONTRACT: Contract = contract(
    gates={
        "offline": {
            "metrics": {"roc_auc": {"min": 0.6, "max_regression": 0.05}},
            "calibration": {"max_ece": 0.08, "max_bias": 0.08},
            "backtests": {"metric": "roc_auc", "min": 0.5},
        }
    }
)


@dataclass(frozen=True)
class Made:
    """One retrain of the past.

    Args:
        key: its key.
        auc: ROC AUC on the hold-out.
        gain: of it over the champion's.
        effect: relative improvement of the cost per flight on traffic.
        harmed: it is rolled back for harm, else promoted.
        later: days after its promotion on which a person rolls it back.
        ece: calibration error.
        units_a_day: that came.
        days: in the last stage.
        health: health checks besides the usual ones.
    """

    key: str
    auc: float = 0.75
    gain: float = 0.02
    effect: float = 0.05
    harmed: bool = False
    later: int | None = None
    ece: float = 0.03
    units_a_day: float = 5000.0
    days: int = 4
    health: tuple[HealthCheck, ...] = ()


def lived(root: Path, retrains: Sequence[Made], *, first: str = "2013-04-01") -> World:
    """A world in which a first champion served and these retrains ended, in order."""
    world = World(root, contract=CONTRACT)
    _candidate(world, Made(first, auc=0.72), bootstrap=True)
    world.controller.bootstrap(world.contract, first, RUTH, "first model")
    for one in retrains:
        live(world, one)
    return world


def live(world: World, one: Made) -> None:
    """One more retrain, to its end."""
    _candidate(world, one)
    name = world.controller.register_and_arm(world.contract, one.key).name
    world.controller.step(name, SYSTEM, "enter the ramp")
    world.clock.forward(days=1)
    world.look(one.key, "step", **look_of(world, world.toggle(one.key), one))
    world.clock.forward(days=2)
    world.look(one.key, "step", **look_of(world, world.toggle(one.key), one))
    world.clock.forward(days=one.days)
    if one.harmed:
        shown = look_of(world, world.toggle(one.key), one, MeasureState.WORSE)
        world.look(one.key, "hold", "harm is shown at 1 of 2 looks", **shown)
        world.clock.forward(hours=5)
        world.look(one.key, "roll_back", "cost_per_flight is shown worse", cause="harm", **shown)
    else:
        world.look(one.key, "ask_approval", "better", **look_of(world, world.toggle(one.key), one, MeasureState.BETTER))
        world.controller.approve(MODEL, one.key, RUTH, "clear win")
    world.controller.decide(MODEL, one.key)
    if one.later is not None:
        world.clock.forward(days=one.later)
        world.controller.rollback(name, RUTH, "it misses what matters")
    world.clock.forward(days=14)


def look_of(world: World, toggle: ToggleState, one: Made, state: MeasureState = MeasureState.INCONCLUSIVE) -> dict[str, Any]:
    """What a look an hour from now says besides what ``World.look`` fills in."""
    at = world.clock.now() + timedelta(hours=1)
    specs = {spec.name: spec for spec in Plan.from_contract(world.contract).measures}
    change = -one.effect * 8.0
    cost = MeasureResult(
        specs["cost_per_flight"], state, 8.0, 8.0 + change, change, change - 0.3, change + 0.3,
        change / 8, (change - 0.3) / 8, (change + 0.3) / 8, 4000, 4000, f"cost {change:+.2g}", "asymptotic",
    )  # fmt: skip
    errors = MeasureResult(
        specs["error_rate"], MeasureState.NON_INFERIOR, 0.001, 0.001, 0.0, -0.002, 0.002,
        None, None, None, 4000, 4000, "error_rate holds", "exact",
    )  # fmt: skip
    usual = (
        HealthCheck("sample_ratio", True, "all stages: the split fits the intended shares", 1.0, 0.005),
        HealthCheck("cross_arm_units", True, "0 units were seen in both arms", 0.0, 0.001),
    )
    replaced = {check.name for check in one.health}
    health = (*(check for check in usual if check.name not in replaced), *one.health)
    look = Look(at, toggle.stage or "", toggle.stage_revision, (cost, errors), health, stages=_stages(toggle, one, at))
    return {
        name: value
        for name, value in look.to_json().items()
        if name not in ("at", "action", "reason", "stage", "revision", "cause")
    }


def _stages(toggle: ToggleState, one: Made, until: datetime) -> tuple[StageCounts, ...]:
    begins = sorted(toggle.stage_started.items())
    found = []
    for (revision, start), end in zip(begins, [*(start for _, start in begins[1:]), until], strict=True):
        units, share = round(one.units_a_day * ((end - start) / timedelta(days=1))), toggle.shares[revision]
        arms = [ArmCounts(number, number, number) for number in (round(units * (1 - share)), round(units * share))]
        found.append(StageCounts(revision, "shadow" if not share else f"{share * 100:g}", share, arms[0], arms[1], start))
    return tuple(found)


def _candidate(world: World, one: Made, *, bootstrap: bool = False) -> None:
    world.launch(one.key)
    from retrain_assets_tests.release.world import manifest

    made = manifest(one.key)
    version = world.registry.register(MODEL, made)
    subjects = {"dataset": made.dataset, "features": made.feature_pipeline, "bundle": made.digest}
    world.controller.register_candidate(MODEL, one.key, version, subjects)
    against = {} if bootstrap else {"champion": world.state.champion.bundle}
    for gate, verdicts in ((Gate.DATA, _data()), (Gate.TRAINING, _training(one)), (Gate.OFFLINE, _offline(one, bootstrap))):
        world.controller.record_gate(MODEL, one.key, gate, verdicts, {**subjects, **(against if gate is Gate.OFFLINE else {})})


def _data() -> list[Verdict]:
    return [Verdict(Gate.DATA, "label_balance_is_steady", Outcome.PASS, "steady", 0.1, 0.3)]


def _training(one: Made) -> list[Verdict]:
    return [Verdict(Gate.TRAINING, "beats_baseline", Outcome.PASS, "beats it", one.auc - 0.5, 0.0)]


def _offline(one: Made, bootstrap: bool) -> list[Verdict]:
    compared: dict[str, Any] = {"bootstrap": True, "champion": None}
    if not bootstrap:
        ends = {"estimate": one.gain, "lower": one.gain - 0.01, "upper": one.gain + 0.01}
        compared = {"candidate": one.auc, "champion": one.auc - one.gain, "improvement": ends, "bootstrap": False}
    tests = {"metric": "roc_auc", "smallest": one.auc - 0.05, "largest": one.auc, "spread": 0.05, "min": 0.5, "max": None}
    rows = [
        {"start": "2013-05-01", "end": "2013-05-15", "value": one.auc - 0.05},
        {"start": "2013-05-15", "end": "2013-06-01", "value": one.auc},
    ]
    slices = [
        {"slice": "origin=JFK", "judged": True, "worse_by": 0.01},
        {"slice": "origin=LGA", "judged": False, "worse_by": 0.9},
    ]
    return [
        Verdict(Gate.OFFLINE, "meets_roc_auc", Outcome.PASS, "meets it", one.auc, 0.6),
        Verdict(Gate.OFFLINE, "not_worse_roc_auc", Outcome.PASS, "not worse", 0.01 - one.gain, 0.05, compared),
        Verdict(Gate.OFFLINE, "slices_hold", Outcome.PASS, "hold", 0.01, 0.03, {"slices": slices}),
        Verdict(Gate.OFFLINE, "calibrated", Outcome.PASS, "is", one.ece, 0.08, {"ece": one.ece, "bias": -one.ece, "slope": 1.0}),
        Verdict(Gate.OFFLINE, "backtests_hold", Outcome.PASS, "hold", one.auc - 0.05, 0.5, {**tests, "backtests": rows}),
    ]  # fmt: skip
