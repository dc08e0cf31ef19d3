from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from retrain_assets.cli.planning import detectable, spread_of, stage_plans
from retrain_assets.contract import Contract
from retrain_assets.experiment import (
    Action,
    ArmCounts,
    ArmStatistics,
    Look,
    Plan,
    StageCounts,
    Stratum,
    StratumStatistics,
    judge,
    radius,
    stratified_difference,
)
from retrain_assets.serving.look import look_at

from .conftest import Run, parsed
from .world import ATTRIBUTES, FIRST, MODEL, SECOND, TOGGLE, World


def test_a_look_shows_measures_stages_and_health_and_records_nothing(run: Run, ramping: World) -> None:
    head = ramping.controller.ledger.head()
    text = run("canary", MODEL).stdout
    assert f"{TOGGLE}: ramping at 50 %, looked at 2024-04-05 06:00 UTC; nothing was recorded" in text
    assert "calls for: ask approval" in text
    for heading in ("measure", "stage", "health"):
        assert any(line.startswith(heading) for line in text.splitlines())
    assert ramping.controller.ledger.head() == head


def test_a_look_as_json_is_the_look(run: Run, ramping: World) -> None:
    document = parsed(run("canary", MODEL, SECOND, "--json"))
    look = look_at(ramping.home, ramping.toggle, ramping.clock.now()).to_json()
    assert {name: document[name] for name in look} == look
    assert (document["toggle"], document["state"]) == (TOGGLE, "ramping")


def test_without_a_toggle_there_is_no_canary(run: Run, candidates: World, act: Run) -> None:
    assert "no toggle is active, so there is no canary; retrains with a toggle: none" in run("canary", MODEL, code=3).stderr
    candidates.bootstrap()
    assert f"retrain {FIRST} has no toggle" in run("canary", MODEL, FIRST, code=3).stderr
    act("toggle", "arm", MODEL, SECOND)
    assert "has not been armed" in run("canary", MODEL, code=3).stderr


def test_a_toggle_that_ended_can_still_be_looked_at(run: Run, act: Run, ramping: World) -> None:
    act("toggle", "rollback", MODEL)
    assert "(too late: the toggle has ended)" in run("canary", MODEL, SECOND).stdout


def test_plan_gives_units_and_days_of_each_stage(run: Run, candidates: World) -> None:
    document = parsed(run("plan", MODEL, "--json"))
    shadow, half = document["stages"]
    assert (shadow["challenger_units"], shadow["cohort_units"], shadow["days"]) == (20, 20, 1.0)
    assert (half["challenger_units"], half["cohort_units"]) == (20, 40)
    assert (half["filling_days"], half["maturing_days"], half["days"]) == (0.4, 1.0, 1.4)
    assert document["ramp_days"] == pytest.approx(2.4)
    assert document["last_stage_days_left"] == pytest.approx(13)
    assert document["planned_units_days"] == 10


def test_plan_says_what_is_missing_where_no_look_is_recorded(run: Run, candidates: World) -> None:
    text = run("plan", MODEL).stdout
    assert "cost: what it can show is not known: no look at a canary of this model is recorded" in text
    assert "chance" not in text


def test_plan_takes_the_variance_from_recorded_looks(run: Run, awaiting: World) -> None:
    cost, complaint = parsed(run("plan", MODEL, "--json"))["measures"]
    se = 3 * math.sqrt(4 / 1000)
    reach = radius(se**2, clock=1000, alpha=0.025, planned_units=1000)
    assert cost["half_width"] == pytest.approx(reach, rel=0.1)
    assert cost["detectable"] == pytest.approx(reach + 0.8416 * se, rel=0.1)
    assert cost["variance_from"]["retrain"] == SECOND
    assert complaint["margin"] == 0.1
    assert complaint["units_for_margin"] > 1000
    assert "shown: the smallest true improvement" in run("plan", MODEL).stdout


def test_the_variance_read_back_from_a_look_is_the_units_own() -> None:
    """Two stages of different shares: the interval alone gives back the variance that made it."""
    contract = Contract.model_validate({**ATTRIBUTES, "experiment": {**ATTRIBUTES["experiment"], "ramp": [10, 40, 100]}})
    plan, draw = Plan.from_contract(contract), np.random.default_rng(5)

    def arm(units: int) -> ArmStatistics:
        values = draw.normal(10, 4, units)
        return ArmStatistics(units, float(values.sum()), float((values**2).sum()))

    shares = {"10": (900, 100), "40": (600, 400)}
    strata = [
        StratumStatistics(Stratum(number, stage), arm(c), arm(t))
        for number, (stage, (c, t)) in enumerate(shares.items(), start=1)
    ]
    start = datetime(2024, 1, 1, tzinfo=UTC)
    counts = tuple(
        StageCounts(number, stage, float(stage) / 100, ArmCounts(c, c, c), ArmCounts(t, t, t), start)
        for number, (stage, (c, t)) in enumerate(shares.items(), start=1)
    )
    result = judge(plan.measures[0], strata, plan)
    look = Look(start, "40", 2, (result,), (), action=Action.HOLD, stages=counts)
    spread = spread_of(result, look, plan.tuning)
    difference = stratified_difference(strata)
    assert spread is not None
    assert difference is not None
    assert spread.variance == pytest.approx(difference.variance * difference.information, rel=1e-9)
    assert spread.variance == pytest.approx(16, rel=0.1)
    assert spread.units == 2000
    shown = detectable(plan.measures[0], spread, plan.tuning)
    assert shown.effect > shown.half_width > 0
    guardrail = detectable(plan.measures[1], spread, plan.tuning)
    assert guardrail.units_for_limit is None


def test_the_ramp_is_never_planned_shorter_than_its_shortest_stages() -> None:
    contract = Contract.model_validate({**ATTRIBUTES, "experiment": {**ATTRIBUTES["experiment"], "expected_units_per_day": 1e6}})
    assert [plan.duration.days for plan in stage_plans(contract)] == [1, 1]
