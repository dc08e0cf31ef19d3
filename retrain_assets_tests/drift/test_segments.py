"""The loss of a segment counts where it grew by more than chance, corrected for all segments that were looked at."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_ind_from_stats

from retrain_assets.drift import SegmentDrift, SegmentLoss
from retrain_assets.drift.segments import increase_by_chance, segment_drifts


def segment(value: str = "JFK", **changes) -> SegmentLoss:
    values = {
        "column": "origin",
        "value": value,
        "rows": 500,
        "mean": 0.2,
        "variance": 0.04,
        "reference_rows": 2000,
        "reference_mean": 0.15,
        "reference_variance": 0.03,
    }
    return SegmentLoss(**(values | changes))


@pytest.mark.parametrize(("variance", "common"), [(0.04, False), (0.01, True)])
def test_the_chance_of_an_increase_is_the_larger_one_of_welchs_and_students(variance: float, common: bool) -> None:
    (found,) = segment_drifts([segment(mean=0.17, variance=variance)])
    stds = np.sqrt([variance, 0.03])
    tests = [ttest_ind_from_stats(0.17, stds[0], 500, 0.15, stds[1], 2000, one, "greater").pvalue for one in (False, True)]
    assert (tests[1] > tests[0]) == common
    assert found.p_value == pytest.approx(max(tests), rel=1e-9)
    assert found.increase == pytest.approx(0.02)
    assert found.name == "origin = JFK"
    assert SegmentDrift.from_json(found.to_json()) == found


def test_the_largest_increase_comes_first_and_a_fall_is_no_increase() -> None:
    found = segment_drifts([segment("LGA"), segment("JFK", mean=0.3), segment("EWR", mean=0.1)])
    assert [one.value for one in found] == ["JFK", "LGA", "EWR"]
    assert found[-1].p_value > 0.99


@pytest.mark.parametrize(
    "changes", [{"rows": 29}, {"reference_rows": 0}, {"mean": None}, {"variance": float("nan")}, {"reference_mean": None}]
)
def test_a_segment_that_says_too_little_is_left_out(changes) -> None:
    assert segment_drifts([segment(**changes)]) == []


@pytest.mark.parametrize(("reference_rows", "rows"), [(30, 300), (100, 1000), (1000, 100), (100, 100)])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.2])
def test_skewed_losses_that_did_not_change_are_called_drifted_as_rarely_as_stated(
    reference_rows: int, rows: int, share: float
) -> None:
    draw, windows, segments = np.random.default_rng(1), 4000, 10

    def losses(count: int) -> np.ndarray:
        chance = draw.beta(share * 8, (1 - share) * 8, (windows, count))
        return (chance - (draw.random((windows, count)) < chance)) ** 2

    before, after = losses(reference_rows), losses(rows)
    numbers = zip(after.mean(1), after.var(1, ddof=1), before.mean(1), before.var(1, ddof=1), strict=True)
    level = 0.01 / segments
    called = sum(increase_by_chance(now - was, one, rows, other, reference_rows) <= level for now, one, was, other in numbers)
    assert called <= windows * level + 3 * np.sqrt(windows * level)  # Welch's test alone: up to 700


def test_losses_of_a_segment_that_doubled_are_seen_on_a_small_reference() -> None:
    draw, seen = np.random.default_rng(2), 0
    for _ in range(50):
        chance = draw.beta(1, 4, 600)
        before, after = (chance[:100] - (draw.random(100) < chance[:100])) ** 2, (chance - (draw.random(600) < 0.5)) ** 2
        increase = after.mean() - before.mean()
        seen += increase_by_chance(increase, after.var(ddof=1), 600, before.var(ddof=1), 100) <= 0.01 / 60
    assert seen >= 45


@pytest.mark.parametrize(("mean", "p_value"), [(0.2, 0.0), (0.15, 1.0), (0.1, 1.0)])
def test_losses_without_spread_differ_surely_or_not_at_all(mean, p_value) -> None:
    (found,) = segment_drifts([segment(mean=mean, variance=0.0, reference_variance=0.0)])
    assert found.p_value == p_value
