"""The canary gate: one look becomes a fixed set of verdicts, and only a complete, sound win passes."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from retrain_assets.contract import Economics, Gate, Outcome, Verdict, canonical_json, overall
from retrain_assets.experiment import Action, ArmStatistics, CanaryData, Look, MeasureSpec, Plan, analyse
from retrain_assets.gates.canary import canary_gate
from retrain_assets_tests.experiment.builders import ARMED, COST, ERROR, arm, counts, events, measure, plan_of, stratum, winning

PLAN = plan_of()
CHECKS = [
    "sample_ratio_holds",
    "outcomes_arrive",
    "units_stay_in_one_arm",
    "records_are_sound",
    "enough_units",
    "wins_cost",
    "keeps_error_rate",
]


def look_at(data: CanaryData, stage: str = "50", days: float = 5) -> Look:
    return watched(PLAN, data, stage=stage, days=days)


def watched(plan: Plan, data: CanaryData, *, stage: str = "50", days: float = 5) -> Look:
    now = ARMED + timedelta(days=days)
    return analyse(data, plan, stage=stage, revision=4, stage_started_at=ARMED, armed_at=ARMED, now=now)


def verdicts_of(look: Look) -> dict[str, Verdict]:
    return {verdict.check: verdict for verdict in canary_gate(look, PLAN)}


def test_a_sound_win_passes_every_check() -> None:
    look = look_at(winning())
    verdicts = canary_gate(look, PLAN)
    assert [verdict.check for verdict in verdicts] == CHECKS
    assert {verdict.gate for verdict in verdicts} == {Gate.CANARY}
    assert overall(verdicts) is Outcome.PASS
    assert look.action is Action.ASK_APPROVAL
    wins = verdicts_of(look)["wins_cost"]
    assert (wins.observed, wins.threshold) == (pytest.approx(-0.1), pytest.approx(-0.01))
    assert all(canonical_json(verdict.to_json()) for verdict in verdicts)


CASES: dict[str, tuple[dict[str, Any], str, Outcome]] = {
    "ratio": ({"stages": (counts(20_000, 19_000),)}, "sample_ratio_holds", Outcome.FAIL),
    "missing": ({"stages": (counts(20_000, 20_000, with_outcome=0.7),)}, "outcomes_arrive", Outcome.FAIL),
    "crossing": ({"cross_arm_units": 500}, "units_stay_in_one_arm", Outcome.FAIL),
    "future": ({"future_rows": 2}, "records_are_sound", Outcome.FAIL),
    "few": ({"stages": (counts(499, 499),)}, "enough_units", Outcome.INCONCLUSIVE),
    "none": ({"stages": ()}, "sample_ratio_holds", Outcome.NO_DATA),
    "no outcome yet": ({"stages": ()}, "outcomes_arrive", Outcome.NO_DATA),
    "no unit": ({"stages": ()}, "enough_units", Outcome.NO_DATA),
    "no measure": ({"measures": {}}, "wins_cost", Outcome.NO_DATA),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_shown_does_not_pass(name: str) -> None:
    changes, check, outcome = CASES[name]
    look = look_at(replace(winning(), **changes))
    verdicts = canary_gate(look, PLAN)
    assert [verdict.check for verdict in verdicts] == CHECKS
    assert verdicts_of(look)[check].outcome is outcome
    assert overall(verdicts) is not Outcome.PASS
    assert look.action is not Action.ASK_APPROVAL


@pytest.mark.parametrize(
    ("cost", "outcome"),
    [
        (measure(stratum(arm(9000, 10.0, 8.0), arm(9000, 12.0, 8.0))), Outcome.FAIL),
        (measure(stratum(arm(9000, 10.0, 8.0), arm(9000, 10.0, 8.0))), Outcome.INCONCLUSIVE),
        (measure(stratum(arm(9000, 10.0, 8.0), ArmStatistics.empty())), Outcome.NO_DATA),
        (measure(stratum(arm(9000, 10.0, 8.0), ArmStatistics.of_mean(9000, math.nan, 1.0))), Outcome.ERROR),
    ],
)
def test_states_become_outcomes(cost: Any, outcome: Outcome) -> None:
    look = look_at(replace(winning(), measures={**winning().measures, "cost": cost}))
    assert verdicts_of(look)["wins_cost"].outcome is outcome
    assert overall(canary_gate(look, PLAN)) is outcome


def test_a_broken_guardrail_fails_although_the_success_measure_wins() -> None:
    harmed = measure(stratum(events(9000, 90), events(9000, 400)))
    verdicts = verdicts_of(look_at(replace(winning(), measures={**winning().measures, "error_rate": harmed})))
    assert verdicts["wins_cost"].passed
    assert verdicts["keeps_error_rate"].outcome is Outcome.FAIL
    assert verdicts["keeps_error_rate"].threshold == 0.01


def test_a_win_at_an_early_stage_does_not_open_the_gate() -> None:
    data = replace(winning(), stages=(counts(19_000, 1_000, stage="5", share=0.05),))
    assert verdicts_of(look_at(data, "5"))["enough_units"].outcome is Outcome.INCONCLUSIVE


def test_a_look_of_another_plan_does_not_pass() -> None:
    look = look_at(winning())
    stricter = replace(PLAN, measures=(replace(PLAN.measures[0], min_effect=0.05), PLAN.measures[1]))
    assert {verdict.check: verdict.outcome for verdict in canary_gate(look, stricter)}["wins_cost"] is Outcome.ERROR


def test_a_look_without_its_health_checks_does_not_pass() -> None:
    verdicts = verdicts_of(replace(look_at(winning()), health=()))
    assert verdicts["sample_ratio_holds"].outcome is Outcome.NO_DATA
    assert verdicts["records_are_sound"].outcome is Outcome.NO_DATA


REVENUE = MeasureSpec("revenue", "success", "increase", min_effect=0.01)
GUARDED = replace(ERROR, segment_margin=0.02)


def test_of_several_success_measures_one_must_win_and_none_be_worse() -> None:
    """Gates are read again before a promotion, and all must pass: a measure that did not win must not close one by itself."""
    plan = plan_of(COST, REVENUE, ERROR)

    def judged(cost: float, revenue: float) -> dict[str, Verdict]:
        measures = {
            "cost": measure(stratum(arm(9000, 10.0, 8.0), arm(9000, cost, 8.0))),
            "revenue": measure(stratum(arm(9000, 10.0, 8.0), arm(9000, revenue, 8.0))),
        }
        data = replace(winning(), measures={**winning().measures, **measures})
        verdicts = canary_gate(watched(plan, data), plan)
        return {verdict.check: verdict for verdict in verdicts}

    won = judged(9.0, 10.0)
    assert list(won)[5:] == ["a_success_measure_wins", "not_worse_cost", "not_worse_revenue", "keeps_error_rate"]
    assert overall(list(won.values())) is Outcome.PASS
    assert "cost is shown better" in won["a_success_measure_wins"].message
    assert "revenue" in won["not_worse_revenue"].message
    open_ = judged(10.0, 10.0)
    assert open_["a_success_measure_wins"].outcome is Outcome.INCONCLUSIVE
    assert open_["not_worse_revenue"].passed
    harmed = judged(9.0, 9.0)
    assert harmed["a_success_measure_wins"].passed
    assert harmed["not_worse_revenue"].outcome is Outcome.FAIL
    lost = judged(12.0, 10.0)
    assert lost["a_success_measure_wins"].outcome is Outcome.FAIL


def test_a_success_measure_that_cannot_be_computed_does_not_pass_although_another_wins() -> None:
    plan = plan_of(COST, REVENUE, ERROR)
    broken = measure(stratum(arm(9000, 10.0), ArmStatistics.of_mean(9000, math.nan, 1.0)))
    for data, outcome in (
        (winning(), Outcome.NO_DATA),
        (replace(winning(), measures={**winning().measures, "revenue": broken}), Outcome.ERROR),
    ):
        verdicts = {verdict.check: verdict for verdict in canary_gate(watched(plan, data), plan)}
        assert verdicts["not_worse_revenue"].outcome is outcome


def in_segments(**errors: int) -> CanaryData:
    return replace(
        winning(),
        segments={
            name: {"error_rate": measure(stratum(events(5000, 50), events(5000, number)))} for name, number in errors.items()
        },
        segment_stages={name: (counts(5000, 5000),) for name in errors},
    )


@pytest.mark.parametrize(
    ("data", "outcome", "words"),
    [
        (in_segments(JFK=50, EWR=50), Outcome.PASS, "in all 2 judged segments"),
        (in_segments(JFK=50, EWR=150), Outcome.INCONCLUSIVE, "EWR: error_rate"),
        (in_segments(JFK=150, EWR=400), Outcome.FAIL, "EWR: error_rate"),
        (winning(), Outcome.NO_DATA, "no segment was seen"),
    ],
    ids=["kept", "open", "harmed", "none"],
)
def test_a_guardrail_with_a_segment_margin_is_kept_in_every_judged_segment(
    data: CanaryData, outcome: Outcome, words: str
) -> None:
    plan = plan_of(COST, GUARDED)
    look = watched(plan, data)
    verdict = {one.check: one for one in canary_gate(look, plan)}["keeps_error_rate_in_segments"]
    assert verdict.passed == (look.action is Action.ASK_APPROVAL)
    assert verdict.outcome is outcome
    assert words in verdict.message
    assert canonical_json(verdict.to_json())


def test_segments_that_are_too_small_are_listed_and_decide_nothing() -> None:
    plan, data = plan_of(COST, GUARDED), in_segments(JFK=50, EWR=400)
    data = replace(data, segment_stages={**data.segment_stages, "EWR": (counts(100, 100),)})
    verdict = {one.check: one for one in canary_gate(watched(plan, data), plan)}["keeps_error_rate_in_segments"]
    assert verdict.passed
    assert verdict.evidence["not_judged"] == ["EWR"]
    tiny = replace(data, segment_stages={name: (counts(100, 100),) for name in ("JFK", "EWR")})
    look = watched(plan, tiny)
    verdict = {one.check: one for one in canary_gate(look, plan)}["keeps_error_rate_in_segments"]
    assert (verdict.outcome, look.action) == (Outcome.PASS, Action.ASK_APPROVAL)
    assert "none of 2 segments is large enough" in verdict.message
    assert any("no segment margin is judged" in warning for warning in look.warnings)


def test_full_weeks_and_net_value_are_judged_where_the_contract_asks() -> None:
    economics = Economics(value_per_unit=1.0, min_net_value=1_000.0)
    plan = replace(plan_of(), full_weeks=1, economics=economics, units_a_day=100.0)
    data = replace(winning(), first_traffic_at=ARMED, last_matured_at=ARMED + timedelta(days=7))
    look = watched(plan, data, days=8)
    verdicts = canary_gate(look, plan)
    assert [one.check for one in verdicts][-2:] == ["full_weeks_seen", "worth_its_cost"]
    assert overall(verdicts) is Outcome.PASS
    assert look.action is Action.ASK_APPROVAL
    early = canary_gate(watched(plan, replace(data, last_matured_at=ARMED + timedelta(days=6)), days=8), plan)
    assert {one.check: one.outcome for one in early}["full_weeks_seen"] is Outcome.INCONCLUSIVE
    poor = replace(plan, economics=economics.model_copy(update={"min_net_value": 1e9}))
    worth = {one.check: one for one in canary_gate(watched(poor, data, days=8), poor)}["worth_its_cost"]
    assert worth.outcome is Outcome.FAIL
    assert "not worth it" in worth.message
    nothing = {one.check: one.outcome for one in canary_gate(watched(plan, CanaryData(stages=(), measures={})), plan)}
    assert nothing["worth_its_cost"] is nothing["full_weeks_seen"] is Outcome.NO_DATA


def test_records_that_could_not_be_read_close_the_gate() -> None:
    look = watched(PLAN, CanaryData(stages=(), measures={}, problem="part-7.parquet is truncated"))
    verdicts = verdicts_of(look)
    assert verdicts["records_are_sound"].outcome is Outcome.FAIL
    assert "part-7" in verdicts["records_are_sound"].message
    assert not any(verdict.passed for verdict in verdicts.values())


@pytest.mark.parametrize(
    "changes",
    [{}, {"stages": (counts(300, 300),)}, {"future_rows": 1}, {"measures": {}}],
    ids=["win", "few", "future", "no data"],
)
def test_the_gate_passes_exactly_when_the_look_asks(changes: dict[str, Any]) -> None:
    look = look_at(replace(winning(), **changes))
    assert (overall(canary_gate(look, PLAN)) is Outcome.PASS) == (look.action is Action.ASK_APPROVAL)
