"""Which measures decide together: one success measure is enough, every guardrail must hold, segments warn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from retrain_assets.experiment import Action, CanaryData, Cause, MeasureSpec, MeasureState
from retrain_assets_tests.experiment.builders import COST, ERROR, arm, counts, measure, plan_of, stratum, winning
from retrain_assets_tests.experiment.stories import look_at, with_measures

REVENUE = MeasureSpec("revenue", "success", "increase", min_effect=0.01)
PLAN = plan_of(COST, REVENUE, ERROR)


def two_successes(*, cost: float = 9.0, revenue: float = 10.0, n: int = 20_000) -> CanaryData:
    return with_measures(
        winning(n),
        cost=measure(stratum(arm(n, 10.0, 8.0), arm(n, cost, 8.0))),
        revenue=measure(stratum(arm(n, 10.0, 8.0), arm(n, revenue, 8.0))),
    )


def test_one_success_measure_that_wins_is_enough() -> None:
    look = look_at(PLAN, two_successes())
    assert [one.state for one in look.results] == [MeasureState.BETTER, MeasureState.INCONCLUSIVE, MeasureState.NON_INFERIOR]
    assert look.action is Action.ASK_APPROVAL
    assert look.reason.startswith("cost is shown better")
    assert look_at(PLAN, two_successes(cost=10.0, revenue=11.0)).action is Action.ASK_APPROVAL


def test_no_success_measure_that_wins_is_not_enough() -> None:
    look = look_at(PLAN, two_successes(cost=10.0))
    assert look.action is Action.HOLD
    assert "cost" in look.reason
    assert "revenue" in look.reason


def test_a_win_does_not_make_up_for_harm_to_another_success_measure() -> None:
    look = look_at(PLAN, two_successes(revenue=9.0))
    assert (look.action, look.cause) == (Action.ROLL_BACK, Cause.HARM)
    assert "revenue" in look.reason


def test_a_second_success_measure_that_leans_to_the_worse_is_said_and_does_not_decide() -> None:
    look = look_at(PLAN, two_successes(revenue=9.9))
    assert look.action is Action.ASK_APPROVAL
    assert any("revenue leans to the worse" in warning for warning in look.warnings)
    assert not look_at(PLAN, two_successes(revenue=10.1)).warnings


def test_each_of_several_success_measures_is_judged_at_its_part_of_the_error_level() -> None:
    """Just shown better alone; two that may each win are two chances to be wrong."""
    n, cost = 20_000, 9.645
    data = with_measures(
        winning(n), cost=measure(stratum(arm(n, 10.0, 8.0), arm(n, cost, 8.0))), revenue=two_successes().measures["revenue"]
    )
    alone, among = look_at(plan_of(), data), look_at(PLAN, data)
    assert alone.results[0].state is MeasureState.BETTER
    assert among.results[0].state is MeasureState.INCONCLUSIVE
    halved = look_at(plan_of(alpha=0.0125), data)
    assert among.results[0].upper == pytest.approx(halved.results[0].upper, rel=1e-12), "the side that wins"
    assert among.results[0].lower == pytest.approx(alone.results[0].lower, rel=1e-12), "harm is called as before"


def test_a_high_value_segment_that_moves_against_the_total_is_a_warning() -> None:
    segments = {
        "tier=gold": {"cost": measure(stratum(arm(4000, 10.0, 8.0), arm(4000, 11.0, 8.0)))},
        "tier=free": {"cost": measure(stratum(arm(16_000, 10.0, 8.0), arm(16_000, 8.5, 8.0)))},
    }
    data = replace(winning(), segments=segments, segment_stages={"tier=gold": (counts(4000, 4000),)})
    look = look_at(replace(plan_of(), high_value=("tier=gold",)), data)
    assert [warning for warning in look.warnings if "tier=gold" in warning and "to the worse" in warning]
    assert look.segments["tier=gold"][0].shrunk_estimate is not None
    assert not look_at(replace(plan_of(), high_value=("tier=free",)), data).warnings


def test_a_high_value_segment_that_nobody_was_in_is_a_warning() -> None:
    data = replace(winning(), segments={"tier=gold": {}}, segment_stages={"tier=gold": (counts(4000, 4000),)})
    (warning,) = look_at(replace(plan_of(), high_value=("tier=gold", "tier=godl")), data).warnings
    assert "tier=godl was seen, only of tier=gold" in warning
    assert not look_at(replace(plan_of(), high_value=("tier=godl",)), winning()).warnings, "no segment was recorded at all"


@pytest.mark.parametrize("kind", ["absolute", "relative"])
def test_a_segment_is_held_to_its_own_margin_in_the_kind_of_the_guardrails(kind: str) -> None:
    margins = {"margin": 0.2} if kind == "absolute" else {"max_regression": 0.02}
    guard = MeasureSpec("latency", "guardrail", "decrease", **margins, segment_margin=2.0 if kind == "absolute" else 0.2)
    slower = measure(stratum(arm(5000, 10.0, 2.0), arm(5000, 11.0, 2.0)))
    data = replace(
        with_measures(winning(), latency=measure(stratum(arm(20_000, 10.0, 2.0), arm(20_000, 10.0, 2.0)))),
        segments={"origin=JFK": {"latency": slower}},
        segment_stages={"origin=JFK": (counts(5000, 5000),)},
    )
    look = look_at(plan_of(COST, guard), data)
    result = next(one for one in look.segments["origin=JFK"] if one.spec.name == "latency")
    assert result.state is MeasureState.NON_INFERIOR, "1.0 slower, 2.0 allowed in a segment and 0.2 over all"
    assert look.action is Action.ASK_APPROVAL
