"""Two arms side by side: stages brought to the same mix, quantiles of counted values."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from retrain_assets.drift import ArmPair, ColumnSketch, Sketch, column_drift, counted_quantile, sketch_frame, standardised
from retrain_assets.drift.arms import WIDTH, mixed_mean

EDGES = sketch_frame(pl.DataFrame({"score": np.linspace(0, 1, 2001)}), columns=["score"])


def sketch(values: np.ndarray) -> ColumnSketch:
    return sketch_frame(pl.DataFrame({"score": values}), columns=["score"], edges=EDGES).columns["score"]


def pair(champion: np.ndarray, challenger: np.ndarray) -> ArmPair:
    return ArmPair(sketch(champion), sketch(challenger), len(champion), len(challenger))


def moving(rng: np.random.Generator, *, shifted: float = 0.0) -> list[ArmPair]:
    """A 5 % stage with low scores and a 50 % stage with high ones; the arms differ by ``shifted`` alone."""
    low, high = (lambda n: rng.beta(2, 8, n)), (lambda n: rng.beta(5, 5, n))
    return [
        pair(low(9500), np.clip(low(500) + shifted, 0, 1)),
        pair(high(5000), np.clip(high(5000) + shifted, 0, 1)),
    ]


def test_a_baseline_that_moves_between_stages_is_no_difference_of_the_arms() -> None:
    """The champion has most of its rows early, the challenger most of its late; pooled they look far apart."""
    pairs = moving(np.random.default_rng(4))
    pooled = column_drift(
        pairs[0].champion + pairs[1].champion, pairs[0].challenger + pairs[1].challenger, importance=None, weight=1
    )
    alike = standardised(pairs)
    assert alike is not None
    stratified = column_drift(*alike, importance=None, weight=1)
    assert pooled.corrected_psi is not None
    assert pooled.corrected_psi > 0.5
    assert stratified.corrected_psi is not None
    assert stratified.corrected_psi < 0.01
    assert stratified.p_value is not None
    assert stratified.p_value > 0.01


def test_a_true_difference_inside_the_stages_is_seen_in_its_own_unit() -> None:
    alike = standardised(moving(np.random.default_rng(4), shifted=0.1))
    assert alike is not None
    drift = column_drift(*alike, importance=None, weight=1)
    assert drift.wasserstein == pytest.approx(0.1, abs=0.01)
    assert drift.p_value is not None
    assert drift.p_value < 1e-10


def test_by_chance_alone_few_pairs_of_equal_arms_differ() -> None:
    """At 1 % one in a hundred may; rows of one unit count once, so the number of units is what the test goes by."""
    rng = np.random.default_rng(8)
    found = []
    for _ in range(150):
        units = rng.beta(2, 5, 600)
        repeated = [np.repeat(units[:300], 10), np.repeat(units[300:], 10)]
        alike = standardised([ArmPair(sketch(repeated[0]), sketch(repeated[1]), 300, 300)])
        assert alike is not None
        found.append(column_drift(*alike, importance=None, weight=1).p_value or 0.0)
    assert np.mean(np.array(found) <= 0.01) <= 0.04
    assert np.mean(np.array(found) <= 0.5) > 0.3


def test_stages_with_one_arm_only_say_nothing() -> None:
    some, nobody = np.full(50, 0.3), np.array([])
    assert standardised([pair(some, nobody), pair(nobody, some)]) is None
    assert standardised([]) is None
    only = standardised([pair(some, nobody), pair(some, np.full(50, 0.7))])
    assert only is not None
    assert (only[0].mean, only[1].mean) == (pytest.approx(0.3), pytest.approx(0.7))


def test_counts_of_the_standardised_sketch_sum_to_its_rows() -> None:
    alike = standardised(moving(np.random.default_rng(1)))
    assert alike is not None
    assert all(sum(one.counts) == one.n for one in alike)
    assert Sketch({"score": alike[0]}).rows == alike[0].n


def test_a_quantile_of_counted_values_is_within_half_a_per_cent_of_the_exact_one() -> None:
    values = np.random.default_rng(2).lognormal(1.0, 1.5, 20_000)
    places, counts = np.unique(np.floor(np.log(values) / math.log(WIDTH)).astype(int), return_counts=True)
    counted = dict(zip(places.tolist(), counts.tolist(), strict=True))
    for share in (0.5, 0.95, 0.99):
        exact = np.quantile(values, share, method="inverted_cdf")
        assert counted_quantile([counted], [1.0], share) == pytest.approx(exact, rel=0.0051)


def test_a_quantile_weighs_stages_and_not_their_rows() -> None:
    slow, fast = {200: 1}, {0: 1_000_000}
    assert counted_quantile([slow, fast], [1.0, 0.0], 0.5) == pytest.approx(WIDTH**200.5)
    assert counted_quantile([slow, fast], [1.0, 3.0], 0.75) == pytest.approx(WIDTH**0.5)
    assert counted_quantile([slow, fast], [3.0, 1.0], 0.5) == pytest.approx(WIDTH**200.5)
    assert counted_quantile([{}, {}], [1.0, 1.0], 0.5) is None
    assert counted_quantile([], [], 0.5) is None


def test_a_mean_of_no_stage_is_none() -> None:
    assert mixed_mean([], []) is None
    assert mixed_mean([3.0], [0.0]) is None
    assert mixed_mean([1.0, 4.0], [1.0, 2.0]) == pytest.approx(3.0)
