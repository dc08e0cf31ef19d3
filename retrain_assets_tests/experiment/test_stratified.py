"""The difference of two arms against gbstats, and what stratification adds to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from retrain_assets.experiment import (
    ArmStatistics,
    Difference,
    MeasureSpec,
    MeasureState,
    Stratum,
    StratumStatistics,
    information_clock,
    judge,
    radius,
    stratified_difference,
)
from retrain_assets_tests.experiment.builders import arm, measure, plan_of, stratum

Oracles = Callable[[str], list[dict[str, Any]]]


def test_one_stratum_equals_gbstats_absolute_and_relative(oracles: Oracles) -> None:
    compared = 0
    for case in oracles("gbstats_sequential"):
        if case["degenerate"]:
            continue
        difference = _difference(case)
        sign = math.copysign(1.0, case["mean_a"]) if case["difference_type"] == "relative" else 1.0
        estimate, variance = difference.estimate, difference.variance
        if case["difference_type"] == "relative":
            estimate, variance = sign * difference.relative_estimate, _delta_variance(difference)
        loose = 1e-6 if case["group"] == "awkward_baseline" else 1e-9
        assert estimate == pytest.approx(case["point_estimate"], rel=loose), case["id"]
        assert math.sqrt(variance) == pytest.approx(case["std_err"], rel=loose), case["id"]
        clock = case["n_a"] + case["n_b"]
        half = radius(variance, clock=clock, alpha=case["alpha"], planned_units=case["n_star"], two_sided=True)
        tolerance = loose * (case["ci_high"] - case["ci_low"])
        assert estimate - half == pytest.approx(case["ci_low"], abs=tolerance), case["id"]
        assert estimate + half == pytest.approx(case["ci_high"], abs=tolerance), case["id"]
        compared += 1
    assert compared > 30


def _delta_variance(difference: Difference) -> float:
    """gbstats' variance of a relative change, from our weighted means and their variances: V_t / m_c^2 + V_c m_t^2 / m_c^4."""
    square = difference.champion_mean**2
    return difference.challenger_variance / square + difference.champion_variance * difference.challenger_mean**2 / square**2


def test_what_gbstats_declines_is_never_taken_for_a_win(oracles: Oracles) -> None:
    """Constants, one unit, a zero baseline: no interval, or an exact one of positive width; never better, never [0, 0]."""
    declined = [case for case in oracles("gbstats_sequential") if case["degenerate"]]
    assert declined
    for case in declined:
        for direction in ("increase", "decrease"):
            spec = MeasureSpec("m", "success", direction, min_effect=0.01)
            result = judge(spec, measure(_stratum(case)), plan_of(spec))
            exact = case["metric_type"] == "proportion" and result.lower is not None
            assert result.state in (MeasureState.INCONCLUSIVE, MeasureState.NO_DATA) or exact, (case["id"], result)
            if result.lower is not None and result.upper is not None:
                assert result.lower < result.upper, case["id"]


def test_a_drifting_baseline_does_not_look_like_an_effect() -> None:
    strata = [
        StratumStatistics(Stratum(2, "5"), arm(950, 10.0), arm(50, 10.0)),
        StratumStatistics(Stratum(3, "50"), arm(500, 20.0), arm(500, 20.0)),
    ]
    difference = stratified_difference(measure(*strata))
    assert difference is not None
    assert difference.estimate == pytest.approx(0.0, abs=1e-12)
    champion, challenger = strata[0].champion + strata[1].champion, strata[0].challenger + strata[1].challenger
    assert challenger.mean - champion.mean > 5


def test_weights_are_those_of_information_and_means_are_at_those_weights() -> None:
    strata = [
        StratumStatistics(Stratum(2, "25"), arm(300, 1.0), arm(100, 2.0)),
        StratumStatistics(Stratum(3, "50"), arm(200, 4.0), arm(200, 7.0)),
    ]
    difference = stratified_difference(measure(*strata))
    assert difference is not None
    assert (difference.information, difference.n_champion, difference.n_challenger) == (175.0, 500, 300)
    assert difference.champion_mean == pytest.approx((75 * 1 + 100 * 4) / 175)
    assert difference.estimate == pytest.approx((75 * 1 + 100 * 3) / 175)
    assert difference.champion_variance == pytest.approx((75**2 / 300 + 100**2 / 200) / 175**2)
    assert difference.challenger_variance == pytest.approx((75**2 / 100 + 100**2 / 200) / 175**2)
    assert difference.variance == pytest.approx(1 / 175)


def test_a_stratum_with_one_unit_in_an_arm_is_left_out() -> None:
    lonely = StratumStatistics(Stratum(2, "5"), arm(100, 1.0), ArmStatistics.of_mean(1, 1e6, 1e12, outside=1))
    full = StratumStatistics(Stratum(3, "50"), arm(100, 1.0), arm(100, 1.0))
    assert stratified_difference(measure(lonely)) is None
    assert stratified_difference(measure(lonely, full)) == stratified_difference(measure(full))
    assert stratified_difference(measure(full), least_units=101) is None


def test_the_clock_counts_units_at_the_reference_share() -> None:
    half = stratified_difference(measure(stratum(arm(500, 1.0), arm(500, 1.0))))
    early = stratified_difference(measure(stratum(arm(950, 1.0), arm(50, 1.0))))
    assert half is not None
    assert early is not None
    assert information_clock(half, 0.5) == pytest.approx(1000)
    assert information_clock(early, 0.5) == pytest.approx(190)
    assert information_clock(early, 0.05) == pytest.approx(1000)


def test_a_negative_baseline_keeps_the_sign_of_the_change() -> None:
    difference = stratified_difference(measure(stratum(arm(500, -10.0), arm(500, -11.0))))
    assert difference is not None
    assert difference.relative_estimate == pytest.approx(-0.1)


def _stratum(case: dict[str, Any]) -> StratumStatistics:
    """One case as a stratum; a proportion's sum of squares is moved so that the variance has gbstats' divisor n."""
    sides = []
    for side in ("a", "b"):
        n, total, squares = case[f"n_{side}"], case[f"sum_{side}"], case[f"sumsq_{side}"]
        if case["metric_type"] == "proportion" and n and not case["degenerate"]:
            squares = case[f"var_{side}"] * (n - 1) + total * total / n
        sides.append(ArmStatistics.of_mean(n, total, squares, outside=0 if case["metric_type"] == "proportion" else n))
    return StratumStatistics(Stratum(3, "50"), *sides)


def _difference(case: dict[str, Any]) -> Difference:
    difference = stratified_difference(measure(_stratum(case)))
    assert difference is not None, case["id"]
    return difference
