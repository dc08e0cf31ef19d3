"""A quantile measure from histograms to its state."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from retrain_assets.experiment.estimation.intervals import Interval, Tuning
from retrain_assets.experiment.estimation.measures import MeasureResult, MeasureState, PlannedBoundary, judge
from retrain_assets.experiment.estimation.quantile_intervals import quantile_interval
from retrain_assets.experiment.estimation.quantiles import RequestHistogram, bin_of
from retrain_assets.experiment.estimation.statistics import ArmStatistics, MeasureStatistics, Stratum, StratumStatistics
from retrain_assets.experiment.plan import MeasureSpec
from retrain_assets_tests.experiment.builders import plan_of

P95 = MeasureSpec("latency_p95", "guardrail", "decrease", max_regression=0.2, quantile=0.95)
PLAN = plan_of(P95)


def latencies(seed: int, units: int, level: float) -> ArmStatistics:
    """Skewed latencies around 55 ms times ``level``, three requests per unit."""
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(units), 3)
    values = level * np.exp(4 + rng.normal(0, 0.4, units)[unit] + rng.normal(0, 0.4, 3 * units))
    means = np.bincount(unit, values) / 3
    return replace(
        ArmStatistics.of_mean(units, float(means.sum()), float((means**2).sum()), outside=units),
        requests=RequestHistogram.of(unit, bin_of(values)),
    )


def statistics(level: float, champion: int = 3_000, challenger: int = 3_000) -> MeasureStatistics:
    arms = latencies(1, champion, 1.0), latencies(2, challenger, level)
    return MeasureStatistics(strata=(StratumStatistics(Stratum(4, "50"), *arms),))


@pytest.mark.parametrize(
    ("level", "state"),
    [
        (1.0, MeasureState.NON_INFERIOR),
        (0.6, MeasureState.NON_INFERIOR),
        (1.2, MeasureState.INCONCLUSIVE),
        (1.8, MeasureState.WORSE),
    ],
)
def test_a_tail_latency_guardrail_is_judged_by_the_ratio_of_the_quantiles(level: float, state: MeasureState) -> None:
    result = judge(P95, statistics(level), PLAN)
    assert (result.state, result.method) == (state, "quantile")
    assert result.relative_estimate == pytest.approx(level - 1, abs=0.06)
    assert result.champion_mean == pytest.approx(float(np.exp(4 + 1.645 * math.hypot(0.4, 0.4))), rel=0.06)


def test_a_small_challenger_that_is_far_slower_is_worse_though_its_own_tail_has_no_upper_limit() -> None:
    spec = MeasureSpec("latency_p99", "guardrail", "decrease", max_regression=0.2, quantile=0.99)
    result = judge(spec, statistics(9.0, challenger=400), PLAN)
    assert result.state is MeasureState.WORSE
    assert result.upper is result.relative_upper is None
    assert "the challenger's p99 has no upper limit from 400 units with 1200 requests; it needs about" in result.message
    assert MeasureResult.from_json(result.to_json()) == result


def test_a_quick_challenger_of_few_units_stays_inconclusive_as_its_tail_is_not_seen() -> None:
    spec = MeasureSpec("latency_p99", "guardrail", "decrease", max_regression=0.2, quantile=0.99)
    assert judge(spec, statistics(0.5, challenger=400), PLAN).state is MeasureState.INCONCLUSIVE


def test_limits_at_a_planned_look_are_tighter_than_those_of_the_sequence() -> None:
    planned = replace(PLAN, looks=(timedelta(days=7),))
    between, at_look = judge(P95, statistics(1.0), planned), judge(P95, statistics(1.0), planned, planned=PlannedBoundary(1, 2.0))
    assert between.state is MeasureState.INCONCLUSIVE
    assert between.planned_relative is None
    assert at_look.state is MeasureState.NON_INFERIOR
    assert at_look.planned_relative is not None
    assert at_look.relative_upper is not None
    assert at_look.planned_relative < at_look.relative_upper
    assert f"at the planned look at most {at_look.planned_relative:+.1%}" in at_look.message
    assert "at the planned look" not in judge(P95, statistics(1.0), PLAN).message
    unspent = judge(P95, statistics(1.0), planned, planned=PlannedBoundary(1, math.inf))
    assert (unspent.state, unspent.planned_limit) == (MeasureState.INCONCLUSIVE, None)


def test_each_side_keeps_its_own_error_level() -> None:
    tuning = Tuning(0.025, 10_000, 0.5)
    plain = quantile_interval(statistics(1.0), 0.95, tuning)
    strict = quantile_interval(statistics(1.0), 0.95, tuning, upper_alpha=0.001)
    assert isinstance(plain, Interval)
    assert isinstance(strict, Interval)
    assert strict.lower == plain.lower
    assert strict.upper > plain.upper
