"""The loss of a segment counts where it grew by more than chance, corrected for all segments that were looked at."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_ind_from_stats

from retrain_assets.drift import SegmentDrift, SegmentLoss
from retrain_assets.drift.segments import segment_drifts


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


def test_the_chance_of_an_increase_is_welchs() -> None:
    (found,) = segment_drifts([segment()])
    stds = np.sqrt([0.04, 0.03])
    expected = ttest_ind_from_stats(0.2, stds[0], 500, 0.15, stds[1], 2000, equal_var=False, alternative="greater")
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.increase == pytest.approx(0.05)
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


@pytest.mark.parametrize(("mean", "p_value"), [(0.2, 0.0), (0.15, 1.0), (0.1, 1.0)])
def test_losses_without_spread_differ_surely_or_not_at_all(mean, p_value) -> None:
    (found,) = segment_drifts([segment(mean=mean, variance=0.0, reference_variance=0.0)])
    assert found.p_value == p_value
