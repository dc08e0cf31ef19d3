"""Limits and their multiplier: absolute and relative ones touch 0 together, whatever the arms have in common."""

from __future__ import annotations

import math

import numpy as np
import pytest

from retrain_assets.experiment import Interval, MeasureStatistics, Tuning, information_clock, interval_of, radius
from retrain_assets.experiment import stratified_difference as difference_of
from retrain_assets_tests.experiment.builders import of_units

TUNING = Tuning(0.025, 10_000, 0.5)


def dependent(level: float = 5.0, *, columns: tuple[str, ...] = ("value",)) -> MeasureStatistics:
    """The same 600 units in two stages, half of those on the challenger later were on the champion before."""
    draw = np.random.default_rng(12)
    lasting, bucket = draw.normal(0, 2, 600), draw.random(600)
    values = np.concatenate([level + lasting + draw.normal(0, 0.3, 600) for _ in range(2)])
    rows = np.column_stack([values, *[np.tile(lasting, 2) + draw.normal(0, 1, 1200) for _ in columns[1:]]])
    return of_units(
        np.tile(np.arange(600), 2),
        np.repeat([2, 3], 600),
        np.concatenate([bucket < 0.25, bucket < 0.5]),
        rows,
        columns=columns,
    )


@pytest.mark.parametrize("columns", [("value",), ("value", "before")], ids=["returning units", "and a covariate"])
@pytest.mark.parametrize("level", [5.0, -5.0])
def test_relative_limits_are_the_ratios_at_which_the_contrast_just_touches_zero(level: float, columns: tuple[str, ...]) -> None:
    """(m_t - q m_c)^2 = k^2 Var(m_t - q m_c), with the covariance that shared units and shared covariates give the means."""
    statistics = dependent(level, columns=columns)
    found, interval = difference_of(statistics), interval_of(statistics, TUNING)
    assert found is not None
    assert isinstance(interval, Interval)
    difference = found.guarded()
    assert abs(difference.covariance) > 0.02 * difference.champion_variance
    k = radius(1.0, clock=information_clock(difference, 0.5), alpha=0.025, planned_units=10_000)
    for change in (interval.relative_lower, interval.relative_upper):
        assert change is not None
        q = 1 + math.copysign(1.0, level) * change
        contrast = difference.challenger_mean - q * difference.champion_mean
        variance = difference.challenger_variance + q**2 * difference.champion_variance - 2 * q * difference.covariance
        assert contrast**2 == pytest.approx(k**2 * variance, rel=1e-9)
    assert interval.upper - interval.estimate == pytest.approx(k * math.sqrt(difference.variance))


def test_each_limit_has_its_own_error_level() -> None:
    statistics = dependent()
    both, strict = interval_of(statistics, TUNING), interval_of(statistics, TUNING, upper_alpha=0.001)
    assert isinstance(both, Interval)
    assert isinstance(strict, Interval)
    assert (strict.lower, strict.relative_lower) == (both.lower, both.relative_lower)
    assert strict.upper > both.upper
    expected = interval_of(statistics, Tuning(0.001, 10_000, 0.5))
    assert isinstance(expected, Interval)
    assert (strict.upper, strict.relative_upper) == (expected.upper, expected.relative_upper)


def test_the_clock_of_units_that_return_runs_slower_than_that_of_new_ones() -> None:
    """Twelve hundred rows of six hundred units that differ lastingly are about six hundred units, not twelve hundred."""
    difference = difference_of(dependent())
    assert difference is not None
    assert information_clock(difference, 0.5) < 800


@pytest.mark.parametrize("columns", [("value",), ("value", "per"), ("value", "before")], ids=["mean", "ratio", "covariate"])
def test_no_arm_is_taken_to_vary_less_than_its_whole_stratum(columns: tuple[str, ...]) -> None:
    """A challenger of 40 units that happens to have none of the rare large values has a low mean and looks certain of it."""
    draw = np.random.default_rng(4)
    challenger = np.arange(800) < 40
    rows = np.column_stack([np.where(np.arange(800) % 10 == 0, 30.0, 1.0) * (~challenger) + draw.random(800)] * 1)
    for name in columns[1:]:
        rows = np.column_stack([rows, draw.integers(3, 6, 800) if name == "per" else rows[:, 0] + draw.normal(0, 20, 800)])
    difference = difference_of(of_units(np.arange(800), np.full(800, 2), challenger, rows, columns=columns))
    assert difference is not None
    guarded = difference.guarded()
    assert guarded.challenger_variance > 3 * difference.challenger_variance
    assert guarded.champion_variance == difference.champion_variance
    assert guarded.variance - difference.variance == pytest.approx(guarded.challenger_variance - difference.challenger_variance)
    if columns == ("value",):
        assert guarded.challenger_variance == pytest.approx(difference.unit_variance / 40)
        few = interval_of(of_units(np.arange(800), np.full(800, 2), challenger, rows), TUNING)
        assert isinstance(few, Interval)
        k = radius(1.0, clock=information_clock(guarded, 0.5), alpha=0.025, planned_units=10_000)
        assert few.upper - few.estimate == pytest.approx(k * math.sqrt(guarded.variance))
