"""Estimates equal the realised metrics of calibrated scores, also under covariate shift; concept drift they miss."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics as sk

from retrain_assets.contract import StageError
from retrain_assets.contract.contract import ESTIMATED_METRICS
from retrain_assets.drift import Estimate, estimate

THRESHOLD = 0.3
REALISED = {
    "roc_auc": lambda y, p: sk.roc_auc_score(y, p),
    "log_loss": lambda y, p: sk.log_loss(y, p),
    "brier_score": lambda y, p: sk.brier_score_loss(y, p),
    "accuracy": lambda y, p: sk.accuracy_score(y, p >= THRESHOLD),
    "f1": lambda y, p: sk.f1_score(y, p >= THRESHOLD),
    "precision": lambda y, p: sk.precision_score(y, p >= THRESHOLD),
    "recall": lambda y, p: sk.recall_score(y, p >= THRESHOLD),
}


def scores_of(draw: np.random.Generator, rows: int, shift: float = 0.0) -> np.ndarray:
    return np.round(1 / (1 + np.exp(-draw.normal(-1 + shift, 1.2, rows))), 3)


def test_every_metric_the_contract_calls_estimable_is_estimated() -> None:
    assert set(REALISED) == ESTIMATED_METRICS == set(estimate([0.2, 0.7], ESTIMATED_METRICS, THRESHOLD))


@pytest.mark.parametrize("shift", [0.0, 0.8], ids=["as in training", "covariate shift"])
def test_estimates_equal_the_realised_metrics_of_calibrated_scores(shift) -> None:
    draw = np.random.default_rng(11)
    away: dict[str, list[float]] = {name: [] for name in REALISED}
    for _ in range(100):
        scores = scores_of(draw, 1000, shift)
        labels = draw.random(1000) < scores
        for name, found in estimate(scores, REALISED, THRESHOLD).items():
            away[name].append((REALISED[name](labels, scores) - found.value) / found.label_error)
    for name, standardised in away.items():
        assert abs(np.mean(standardised)) < 0.35, name
        assert 0.8 < np.std(standardised) < 1.2, name


def test_the_standard_error_is_the_spread_of_estimates_over_samples() -> None:
    draw = np.random.default_rng(12)
    found = [estimate(scores_of(draw, 800), REALISED, THRESHOLD) for _ in range(300)]
    for name in REALISED:
        spread, stated = np.std([one[name].value for one in found]), np.mean([one[name].standard_error for one in found])
        assert stated == pytest.approx(spread, rel=0.15), name


def test_covariate_shift_moves_the_estimate_and_concept_drift_does_not() -> None:
    draw = np.random.default_rng(13)
    before, shifted = scores_of(draw, 20_000), scores_of(draw, 20_000, 0.8)
    same_scores_other_labels = draw.random(20_000) < np.minimum(1, before + 0.2)
    expected, moved = (estimate(scores, ["log_loss"])["log_loss"] for scores in (before, shifted))
    assert moved.value - expected.value > 10 * moved.standard_error
    assert sk.log_loss(same_scores_other_labels, before) - expected.value > 10 * expected.label_error


def test_several_classes_have_accuracy_and_log_loss() -> None:
    draw = np.random.default_rng(14)
    away = {"accuracy": [], "log_loss": []}
    for _ in range(200):
        scores = draw.dirichlet([1, 2, 3], 500)
        labels = (draw.random(500)[:, None] > scores.cumsum(axis=1)).sum(axis=1)
        found = estimate(scores, ["accuracy", "log_loss", "roc_auc"])
        realised = {
            "accuracy": np.mean(labels == scores.argmax(axis=1)),
            "log_loss": sk.log_loss(labels, scores, labels=[0, 1, 2]),
        }
        for name, values in away.items():
            values.append((realised[name] - found[name].value) / found[name].label_error)
        assert found["roc_auc"] is None
    for standardised in away.values():
        assert abs(np.mean(standardised)) < 0.25
        assert 0.85 < np.std(standardised) < 1.15


def test_two_columns_are_the_scores_of_the_second_class() -> None:
    scores = np.array([0.1, 0.4, 0.8])
    assert estimate(np.column_stack([1 - scores, scores]), REALISED, THRESHOLD) == estimate(scores, REALISED, THRESHOLD)


def test_the_auc_of_few_rows_is_that_of_pairs_of_different_rows() -> None:
    scores = np.array([0.2, 0.5, 0.5, 0.9])
    over = [(i, j) for i in range(4) for j in range(4) if i != j]
    weight = np.array([scores[i] * (1 - scores[j]) for i, j in over])
    right = np.array([(scores[i] > scores[j]) + (scores[i] == scores[j]) / 2 for i, j in over])
    assert estimate(scores, ["roc_auc"])["roc_auc"].value == pytest.approx(weight @ right / weight.sum())


@pytest.mark.parametrize(
    ("scores", "undefined"),
    [
        pytest.param([], set(REALISED), id="no rows"),
        pytest.param([float("nan")], set(REALISED), id="no score"),
        pytest.param([0.0, 0.0], {"roc_auc", "f1", "precision", "recall"}, id="surely negative"),
        pytest.param([1.0, 1.0], {"roc_auc"}, id="surely positive"),
        pytest.param([0.1, 0.2], {"precision"}, id="no positive decision"),
        pytest.param([0.4], {"roc_auc"}, id="one row"),
    ],
)
def test_what_is_undefined_has_no_estimate(scores, undefined) -> None:
    found = estimate(scores, REALISED, THRESHOLD)
    assert {name for name, value in found.items() if value is None} == undefined
    for value in found.values():
        assert value is None or np.isfinite([value.value, value.standard_error, value.label_error]).all()


def test_what_is_no_probability_or_no_metric_is_refused() -> None:
    with pytest.raises(StageError, match=r"outside 0\.\.1"):
        estimate([0.5, 1.5], ["roc_auc"])
    with pytest.raises(ValueError, match="'r2' cannot be estimated"):
        estimate([0.5], ["r2"])


def test_json_keeps_an_estimate() -> None:
    found = estimate([0.5, 0.25], ["accuracy"])["accuracy"]
    assert Estimate.from_json(json.loads(json.dumps(found.to_json()))) == found
