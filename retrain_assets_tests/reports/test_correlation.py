"""Correlations with intervals that are honest about few points."""

from __future__ import annotations

import math
import random

import pytest

from retrain_assets.reports.release_review.correlation import pearson, ranks, spearman


def test_three_points_show_nothing_whatever_they_look_like() -> None:
    for found in (pearson([1, 2, 3], [2, 4, 6]), spearman([1, 2, 3], [10, 20, 15])):
        assert found is not None
        assert (found.lower, found.upper) == (-1.0, 1.0)


@pytest.mark.parametrize("values", [([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([], [])])
def test_fewer_than_three_points_or_no_variation_is_no_correlation(values: tuple[list[float], list[float]]) -> None:
    assert pearson(*values) is None
    assert spearman(*values) is None


def test_pearsons_interval_is_fishers() -> None:
    """r = 0.5 of 28 points: atanh 0.5493, half-width 1.96 / 5 (Fisher 1921), so 0.156 to 0.736."""
    x = [math.cos(2 * math.pi * k / 28) for k in range(28)]
    y = [math.cos(2 * math.pi * k / 28 + math.pi / 3) for k in range(28)]
    found = pearson(x, y)
    assert found is not None
    assert (found.value, found.lower, found.upper) == pytest.approx((0.5, 0.156, 0.736), abs=1e-3)


def test_ties_share_their_mean_rank_and_order_alone_counts_for_spearman() -> None:
    assert ranks([3, 1, 3, 2]) == [3.5, 1, 3.5, 2]
    found = spearman([1, 2, 3, 4, 5], [1, 8, 27, 64, 1000])
    assert found is not None
    assert found.value == 1.0
    assert 0 < found.lower < found.upper == 1.0


def test_the_interval_covers_no_correlation_as_often_as_it_says() -> None:
    draw, shown, runs = random.Random(7), 0, 600
    for _ in range(runs):
        x, y = ([draw.gauss(0, 1) for _ in range(8)] for _ in range(2))
        found = spearman(x, y)
        assert found is not None
        shown += found.lower > 0 or found.upper < 0
    assert shown / runs < 0.08
