"""Bounds of a paired difference: bootstrap and DeLong agree, cover, keep units together and repeat."""

from __future__ import annotations

import numpy as np
import pytest

from retrain_assets.gates.offline.intervals import UNDEFINED, bootstrap_improvement, delong_improvement, resampling_weights


def two_models(rows: int, seed: int, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, rows)
    signal = labels + draw.normal(0, 1, rows)
    squash = lambda value: 1 / (1 + np.exp(-value))  # noqa: E731
    return labels, squash(signal), squash(signal + draw.normal(0, noise, rows))


def test_delong_and_the_bootstrap_give_the_same_bounds() -> None:
    labels, better, worse = two_models(3000, seed=1)
    units = np.arange(labels.size)
    closed = delong_improvement(labels, better, worse, units, confidence=0.95)
    weights = resampling_weights(units, resamples=1000, seed=2)
    drawn = bootstrap_improvement("roc_auc", labels, better, worse, weights, confidence=0.95)
    assert closed.estimate == pytest.approx(drawn.estimate, abs=1e-12)
    width = closed.upper - closed.lower
    assert drawn.lower == pytest.approx(closed.lower, abs=0.1 * width)
    assert drawn.upper == pytest.approx(closed.upper, abs=0.1 * width)


def test_an_improvement_is_positive_for_the_better_model_whatever_the_direction_of_the_metric() -> None:
    labels, better, worse = two_models(2000, seed=3, noise=2.0)
    weights = resampling_weights(np.arange(labels.size), resamples=200, seed=4)
    for metric in ("roc_auc", "log_loss", "brier_score", "accuracy"):
        found = bootstrap_improvement(metric, labels, better, worse, weights, confidence=0.95)
        assert 0 < found.lower < found.estimate < found.upper, metric
        swapped = bootstrap_improvement(metric, labels, worse, better, weights, confidence=0.95)
        assert swapped.estimate == pytest.approx(-found.estimate)
        assert swapped.upper == pytest.approx(-found.lower)


def test_the_lower_bound_is_below_the_truth_about_as_often_as_its_confidence_says() -> None:
    covered = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        labels = draw.normal(0, 1, 300)
        ours, theirs = labels + draw.normal(0, 1, 300), labels + draw.normal(0, 1, 300)  # equally good: the truth is 0
        weights = resampling_weights(np.arange(300), resamples=200, seed=seed)
        covered += bootstrap_improvement("mean_absolute_error", labels, ours, theirs, weights, confidence=0.9).lower < 0
    assert 0.83 < covered / 200 < 0.96


def test_rows_of_one_unit_are_drawn_together() -> None:
    weights = resampling_weights(np.array(["b", "a", "b", "a", "c"]), resamples=50, seed=5)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 3]).all()
    assert ((weights[:, 0] + weights[:, 1] + weights[:, 4]) == 3).all()


def test_copies_of_the_same_units_do_not_narrow_the_bounds() -> None:
    labels, better, worse = two_models(800, seed=6)
    units = np.arange(800)
    once = delong_improvement(labels, better, worse, units, confidence=0.95)
    copied = delong_improvement(np.tile(labels, 4), np.tile(better, 4), np.tile(worse, 4), np.tile(units, 4), confidence=0.95)
    assert copied.lower == pytest.approx(once.lower, rel=1e-9)
    weights = resampling_weights(np.tile(units, 4), resamples=400, seed=7)
    args = (np.tile(labels, 4), np.tile(better, 4), np.tile(worse, 4), weights)
    single = bootstrap_improvement("log_loss", labels, better, worse, weights[:, :800], confidence=0.95)
    assert bootstrap_improvement("log_loss", *args, confidence=0.95).lower == pytest.approx(single.lower, abs=1e-5)


def test_the_same_seed_gives_the_same_bounds_and_another_seed_does_not() -> None:
    units = np.arange(100)
    assert (resampling_weights(units, resamples=5, seed=8) == resampling_weights(units, resamples=5, seed=8)).all()
    assert (resampling_weights(units, resamples=5, seed=8) != resampling_weights(units, resamples=5, seed=9)).any()


def test_a_model_against_itself_differs_by_exactly_nothing() -> None:
    labels, better, _ = two_models(300, seed=10)
    found = delong_improvement(labels, better, better, np.arange(300), confidence=0.95)
    assert (found.estimate, found.lower, found.upper) == (0, 0, 0)


def test_bounds_are_undefined_where_the_metric_is() -> None:
    labels, scores = np.ones(10), np.linspace(0.1, 0.9, 10)
    assert delong_improvement(labels, scores, scores, np.arange(10), confidence=0.95) == UNDEFINED
    assert delong_improvement(np.array([0, 1]), scores[:2], scores[:2], np.zeros(2), confidence=0.95) == UNDEFINED
    weights = resampling_weights(np.arange(10), resamples=20, seed=1)
    assert bootstrap_improvement("roc_auc", labels, scores, scores, weights, confidence=0.95) == UNDEFINED
