"""Bounds of a paired difference: bootstrap and DeLong agree, cover, keep units together and repeat."""

from __future__ import annotations

import numpy as np
import pytest

from retrain_assets.contract import METRICS
from retrain_assets.gates.offline import resampling
from retrain_assets.gates.offline.intervals import (
    UNDEFINED,
    Improvement,
    bootstrap_improvement,
    linearised_improvement,
)
from retrain_assets.gates.offline.metrics import metric_value
from retrain_assets.gates.offline.ranked import resampled_by_order
from retrain_assets.gates.offline.resampling import UNIT_BLOCKS, metric_of_resamples, resampled_units

Array = np.ndarray
EVERY_METRIC = sorted((task, name) for task, names in METRICS.items() for name in names)


def two_models(rows: int, seed: int, noise: float = 0.5, task: str = "binary_classification") -> tuple[Array, Array, Array]:
    """Labels, a model, and one that sees the same signal through noise."""
    draw = np.random.default_rng(seed)
    if task == "regression":
        labels = draw.normal(10, 2, rows)
        signal = labels + draw.normal(0, 1, rows)
        return labels, signal, signal + draw.normal(0, noise, rows)
    if task == "multiclass":
        labels = draw.integers(0, 3, rows)
        signal = np.eye(3)[labels] + draw.normal(0, 1, (rows, 3))
        return labels, shares(signal), shares(signal + draw.normal(0, noise, (rows, 3)))
    labels = draw.integers(0, 2, rows)
    signal = labels + draw.normal(0, 1, rows)
    return labels, squash(signal - 0.5), squash(signal - 0.5 + draw.normal(0, noise, rows))


def squash(value: Array) -> Array:
    return 1 / (1 + np.exp(-value))


def shares(value: Array) -> Array:
    return np.exp(value) / np.exp(value).sum(axis=1, keepdims=True)


def bootstrapped(
    name: str, labels: Array, ours: Array, theirs: Array, units: Array | None = None, *, seed: int = 2, confidence: float = 0.95
) -> Improvement:
    units = np.arange(len(labels)) if units is None else units
    resamples = resampled_units(units, resamples=1000, seed=seed)
    return bootstrap_improvement(name, labels, ours, theirs, resamples, confidence=confidence)


@pytest.mark.parametrize(("task", "name"), EVERY_METRIC)
def test_the_influence_of_units_and_the_bootstrap_give_the_same_bounds(task: str, name: str) -> None:
    labels, better, worse = two_models(1500, seed=1, task=task)
    closed, p_value = linearised_improvement(name, labels, better, worse, None, confidence=0.95)
    drawn = bootstrapped(name, labels, better, worse)
    assert closed.estimate == drawn.estimate
    assert p_value is not None
    assert closed.lower is not None
    assert closed.upper is not None
    width = closed.upper - closed.lower
    slack = 0.3 if name == "median_absolute_error" else 0.12  # the slope of a quantile is a rougher thing
    assert drawn.lower == pytest.approx(closed.lower, abs=slack * width)
    assert drawn.upper == pytest.approx(closed.upper, abs=slack * width)


def test_delong_is_the_textbook_variance_of_placements() -> None:
    labels, ours, theirs = two_models(300, seed=1)
    positive = labels == 1
    above = (ours[positive][:, None] > ours[~positive]) * 1.0 - (theirs[positive][:, None] > theirs[~positive])
    variance = above.mean(axis=1).var() / positive.sum() + above.mean(axis=0).var() / (~positive).sum()
    found = linearised_improvement("roc_auc", labels, ours, theirs, np.arange(300), confidence=0.95)[0]
    assert found.estimate == pytest.approx(above.mean(), abs=1e-12)
    assert found.upper is not None
    assert found.upper - found.estimate == pytest.approx(1.645 * np.sqrt(variance), rel=0.02)


@pytest.mark.parametrize(("task", "name"), EVERY_METRIC)
def test_an_improvement_is_positive_for_the_better_model_whatever_the_direction_of_the_metric(task: str, name: str) -> None:
    labels, better, worse = two_models(2000, seed=3, noise=4.0, task=task)
    found = bootstrapped(name, labels, better, worse)
    assert found.lower is not None
    assert found.estimate is not None
    assert found.upper is not None
    assert 0 < found.lower < found.estimate < found.upper
    swapped = bootstrapped(name, labels, worse, better)
    assert swapped.estimate == pytest.approx(-found.estimate)
    assert swapped.upper == pytest.approx(-found.lower)
    linear, p_value = linearised_improvement(name, labels, worse, better, None, confidence=0.95)
    assert linear.upper is not None
    assert linear.upper < 0
    assert p_value is not None
    assert p_value < 1e-6


@pytest.mark.parametrize("name", ["brier_score", "f1", "matthews_corrcoef", "roc_auc", "average_precision"])
def test_the_lower_bound_is_below_the_truth_about_as_often_as_its_confidence_says(name: str) -> None:
    """Two equally good models, so the truth is 0; 300 hold-outs, bound at 0.9: standard error of the share is 0.017."""
    below = 0
    for seed in range(300):
        draw = np.random.default_rng(seed)
        labels = draw.integers(0, 2, 400)
        signal = labels + draw.normal(0, 1, 400) - 0.5
        ours, theirs = squash(signal + draw.normal(0, 0.6, 400)), squash(signal + draw.normal(0, 0.6, 400))
        if name in ("roc_auc", "average_precision"):
            found, _ = linearised_improvement(name, labels, ours, theirs, None, confidence=0.9)
        else:
            resamples = resampled_units(np.arange(400), resamples=300, seed=seed)
            found = bootstrap_improvement(name, labels, ours, theirs, resamples, confidence=0.9)
        assert found.lower is not None
        below += found.lower <= 0
    assert 0.85 < below / 300 < 0.95


def test_the_p_value_of_equal_models_is_small_no_more_often_than_it_says() -> None:
    """Also far out, where a correction for many slices looks, and where few rows make the difference."""
    p_values = []
    for seed in range(2000):
        draw = np.random.default_rng(seed)
        labels = (draw.random(200) < 0.1).astype(int)
        selected = draw.random((2, 200)) < 0.2 + 0.5 * labels
        p_values.append(linearised_improvement("f1", labels, *selected.astype(float), None, confidence=0.95)[1])
    assert 0.03 < np.mean([p is not None and p <= 0.05 for p in p_values]) < 0.065
    assert np.mean([p is not None and p <= 0.002 for p in p_values]) <= 0.005


@pytest.mark.parametrize("worse", [8, 12, 20])
def test_few_rows_that_make_the_whole_difference_are_no_stronger_evidence_than_a_sign_test(worse: int) -> None:
    labels, candidate = np.ones(1000), np.ones(1000)
    candidate[:worse] = 0
    p_value = linearised_improvement("accuracy", labels, candidate, labels, None, confidence=0.95)[1]
    assert p_value is not None
    assert 0.5**worse <= p_value < 0.05


def test_rows_of_one_unit_are_drawn_together() -> None:
    drawn = resampled_units(np.array([1, 0, 1, 0, 2]), resamples=50, seed=5)
    rows = drawn.weights[:, drawn.block]
    assert (rows[:, 0] == rows[:, 2]).all()
    assert (rows[:, 1] == rows[:, 3]).all()
    assert (drawn.weights.sum(axis=1) == 3).all()


def test_copies_of_the_same_units_do_not_narrow_the_bounds() -> None:
    labels, better, worse = two_models(800, seed=6)
    units, copies = np.arange(800), [np.tile(values, 4) for values in (labels, better, worse)]
    once = linearised_improvement("roc_auc", labels, better, worse, units, confidence=0.95)[0]
    again = linearised_improvement("roc_auc", *copies, np.tile(units, 4), confidence=0.95)[0]
    assert again.lower == pytest.approx(once.lower, rel=1e-9)
    single = bootstrapped("log_loss", labels, better, worse, seed=7)
    assert bootstrapped("log_loss", *copies, np.tile(units, 4), seed=7).lower == pytest.approx(single.lower, rel=1e-9)


def test_many_units_are_drawn_in_blocks_with_the_same_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, better, worse = two_models(3000, seed=8)
    exact = bootstrapped("brier_score", labels, better, worse)
    monkeypatch.setattr(resampling, "UNIT_BLOCKS", 700)
    blocked = bootstrapped("brier_score", labels, better, worse)
    assert exact.lower is not None
    assert exact.upper is not None
    assert blocked != exact
    assert blocked.lower == pytest.approx(exact.lower, abs=0.12 * (exact.upper - exact.lower))
    assert blocked.upper == pytest.approx(exact.upper, abs=0.12 * (exact.upper - exact.lower))


def test_units_are_never_split_over_blocks_and_blocks_are_of_equal_size() -> None:
    units = np.repeat(np.arange(3 * UNIT_BLOCKS), 2)
    drawn = resampled_units(units, resamples=3, seed=1)
    assert (drawn.block[::2] == drawn.block[1::2]).all()
    assert (np.bincount(drawn.block) == 6).all()
    assert drawn.weights.shape == (3, UNIT_BLOCKS)


def test_a_median_near_the_middle_is_that_of_the_resampled_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows far from the median are only counted; a sample whose median lies there is put in order as a whole."""
    draw = np.random.default_rng(9)
    labels, scores = np.zeros(5000), np.round(draw.gamma(1, 2, 5000), 2)
    drawn = resampled_units(np.sort(draw.integers(0, 12, 5000)), resamples=40, seed=3)
    expected = resampled_by_order("median_absolute_error", labels, scores, drawn.weights[:, drawn.block])
    found = metric_of_resamples("median_absolute_error", labels, scores, drawn, threshold=0.5)
    assert found == pytest.approx(expected, abs=0)
    lopsided = resampled_units(np.repeat([0, 1], 2500), resamples=40, seed=3)
    ordered = np.sort(scores)
    expected = resampled_by_order("median_absolute_error", labels, ordered, lopsided.weights[:, lopsided.block])
    assert metric_of_resamples("median_absolute_error", labels, ordered, lopsided, threshold=0.5) == pytest.approx(
        expected, abs=0
    )
    assert len(set(expected.tolist())) == 3


def test_the_same_seed_gives_the_same_bounds_and_another_seed_does_not() -> None:
    units = np.arange(100)
    assert (resampled_units(units, resamples=5, seed=8).weights == resampled_units(units, resamples=5, seed=8).weights).all()
    assert (resampled_units(units, resamples=5, seed=8).weights != resampled_units(units, resamples=5, seed=9).weights).any()


def test_a_model_against_itself_differs_by_exactly_nothing() -> None:
    labels, better, _ = two_models(300, seed=10)
    found = linearised_improvement("roc_auc", labels, better, better, np.arange(300), confidence=0.95)[0]
    assert (found.estimate, found.lower, found.upper) == (0, 0, 0)
    assert linearised_improvement("log_loss", labels, better, better, None, confidence=0.95)[1] == 1.0


def test_a_model_that_is_worse_by_the_same_amount_in_every_row_is_surely_worse() -> None:
    labels = np.arange(50.0)
    found, p_value = linearised_improvement("mean_absolute_error", labels, labels + 2, labels + 1, None, confidence=0.95)
    assert (found.lower, found.upper, p_value) == (-1, -1, 0.5**50)


def test_bounds_are_undefined_where_the_metric_is() -> None:
    labels, scores = np.ones(10), np.linspace(0.1, 0.9, 10)
    assert linearised_improvement("roc_auc", labels, scores, scores, np.arange(10), confidence=0.95)[0] == UNDEFINED
    assert bootstrapped("roc_auc", labels, scores, scores) == UNDEFINED
    assert metric_value("matthews_corrcoef", labels, scores) is None


def test_one_unit_alone_has_an_estimate_and_no_bounds() -> None:
    labels, ours, theirs = two_models(20, seed=11)
    found, p_value = linearised_improvement("log_loss", labels, ours, theirs, np.zeros(20, dtype=int), confidence=0.95)
    assert found.estimate is not None
    assert (found.lower, found.upper, p_value) == (None, None, None)
