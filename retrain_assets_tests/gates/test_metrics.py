"""Metrics agree with scikit-learn and with the reference vectors, for one sample and for many weighted ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from retrain_assets.contract import METRICS
from retrain_assets.gates.offline.calibration import calibration_of
from retrain_assets.gates.offline.decision_threshold import cheapest_threshold
from retrain_assets.gates.offline.metrics import metric_value
from retrain_assets.gates.offline.resampling import Resamples, metric_of_resamples

RNG = np.random.default_rng(11)
ROWS = 400
TRUTH = RNG.integers(0, 2, ROWS)
SCORE = np.round(np.clip(0.3 * TRUTH + RNG.random(ROWS) * 0.7, 0, 1), 2)  # rounded: many ties
KINDS = RNG.integers(0, 3, ROWS)
SHARES = RNG.dirichlet([1, 1, 1], ROWS) * 0.6 + np.eye(3)[KINDS] * 0.4
AMOUNT = RNG.normal(5, 2, ROWS)
GUESS = AMOUNT + RNG.normal(0, 1, ROWS)

EXPECTED: dict[tuple[str, str], Callable[..., float]] = {
    ("binary_classification", "roc_auc"): lambda w: sk.roc_auc_score(TRUTH, SCORE, sample_weight=w),
    ("binary_classification", "average_precision"): lambda w: sk.average_precision_score(TRUTH, SCORE, sample_weight=w),
    ("binary_classification", "log_loss"): lambda w: sk.log_loss(TRUTH, SCORE, sample_weight=w),
    ("binary_classification", "brier_score"): lambda w: sk.brier_score_loss(TRUTH, SCORE, sample_weight=w),
    ("binary_classification", "balanced_accuracy"): lambda w: sk.balanced_accuracy_score(TRUTH, SCORE >= 0.5, sample_weight=w),
    ("binary_classification", "matthews_corrcoef"): lambda w: sk.matthews_corrcoef(TRUTH, SCORE >= 0.5, sample_weight=w),
    ("binary_classification", "accuracy"): lambda w: sk.accuracy_score(TRUTH, SCORE >= 0.5, sample_weight=w),
    ("binary_classification", "f1"): lambda w: sk.f1_score(TRUTH, SCORE >= 0.5, sample_weight=w),
    ("binary_classification", "precision"): lambda w: sk.precision_score(TRUTH, SCORE >= 0.5, sample_weight=w),
    ("binary_classification", "recall"): lambda w: sk.recall_score(TRUTH, SCORE >= 0.5, sample_weight=w),
    ("multiclass", "roc_auc_ovr"): lambda w: sk.roc_auc_score(KINDS, SHARES, multi_class="ovr", sample_weight=w),
    ("multiclass", "matthews_corrcoef"): lambda w: sk.matthews_corrcoef(KINDS, SHARES.argmax(1), sample_weight=w),
    ("multiclass", "f1_weighted"): lambda w: sk.f1_score(KINDS, SHARES.argmax(1), average="weighted", sample_weight=w),
    ("multiclass", "precision_macro"): lambda w: sk.precision_score(KINDS, SHARES.argmax(1), average="macro", sample_weight=w),
    ("multiclass", "recall_macro"): lambda w: sk.recall_score(KINDS, SHARES.argmax(1), average="macro", sample_weight=w),
    ("multiclass", "log_loss"): lambda w: sk.log_loss(KINDS, SHARES, sample_weight=w),
    ("multiclass", "accuracy"): lambda w: sk.accuracy_score(KINDS, SHARES.argmax(1), sample_weight=w),
    ("multiclass", "balanced_accuracy"): lambda w: sk.balanced_accuracy_score(KINDS, SHARES.argmax(1), sample_weight=w),
    ("multiclass", "f1_macro"): lambda w: sk.f1_score(KINDS, SHARES.argmax(1), average="macro", sample_weight=w),
    ("regression", "mean_absolute_error"): lambda w: sk.mean_absolute_error(AMOUNT, GUESS, sample_weight=w),
    ("regression", "mean_absolute_percentage_error"): lambda w: sk.mean_absolute_percentage_error(AMOUNT, GUESS, sample_weight=w),
    ("regression", "median_absolute_error"): lambda w: sk.median_absolute_error(AMOUNT, GUESS, sample_weight=w),
    ("regression", "mean_squared_error"): lambda w: sk.mean_squared_error(AMOUNT, GUESS, sample_weight=w),
    ("regression", "explained_variance"): lambda w: sk.explained_variance_score(AMOUNT, GUESS, sample_weight=w),
    ("regression", "root_mean_squared_error"): lambda w: sk.root_mean_squared_error(AMOUNT, GUESS, sample_weight=w),
    ("regression", "r2"): lambda w: sk.r2_score(AMOUNT, GUESS, sample_weight=w),
}
INPUT = {"binary_classification": (TRUTH, SCORE), "multiclass": (KINDS, SHARES), "regression": (AMOUNT, GUESS)}


def test_every_metric_of_the_contract_is_compared_with_scikit_learn() -> None:
    assert set(EXPECTED) == {(task, name) for task, names in METRICS.items() for name in names}


@pytest.mark.parametrize(("task", "name"), sorted(EXPECTED))
def test_a_metric_is_what_scikit_learn_says(task: str, name: str) -> None:
    assert metric_value(name, *INPUT[task]) == pytest.approx(EXPECTED[task, name](None), abs=1e-12)


@pytest.mark.parametrize(("task", "name"), sorted(EXPECTED))
def test_a_resample_is_the_weighted_metric_of_scikit_learn(task: str, name: str) -> None:
    weights = np.random.default_rng(3).multinomial(ROWS, np.full(ROWS, 1 / ROWS), size=3).astype(float)
    found = metric_of_resamples(name, *INPUT[task], Resamples(np.arange(ROWS), weights), threshold=0.5)
    assert found == pytest.approx([EXPECTED[task, name](row) for row in weights], abs=1e-12)


@pytest.mark.parametrize("name", METRICS["binary_classification"])
def test_a_metric_without_rows_is_undefined(name: str) -> None:
    assert metric_value(name, np.empty(0), np.empty(0)) is None


@pytest.mark.parametrize(("name", "truth"), [("roc_auc", 1), ("roc_auc", 0), ("average_precision", 0), ("recall", 0)])
def test_a_metric_that_needs_the_other_class_is_undefined_without_it(name: str, truth: int) -> None:
    assert metric_value(name, np.full(5, truth), np.linspace(0.1, 0.4, 5)) is None


@pytest.mark.parametrize("case", ["one decision", "never decided", "one wrong", "all tied"])
def test_metrics_over_classes_follow_scikit_learn_where_a_class_is_missing(case: str) -> None:
    labels = np.array([0, 0, 1, 1, 2, 2])
    decided = {
        "one decision": np.zeros(6, dtype=int),
        "never decided": np.array([0, 1, 1, 0, 0, 1]),
        "one wrong": np.array([0, 0, 1, 1, 2, 0]),
        "all tied": np.zeros(6, dtype=int),
    }[case]
    scores = np.full((6, 3), 1 / 3) if case == "all tied" else np.eye(3)[decided] * 0.4 + 0.2
    for name, expected in (
        ("f1_macro", sk.f1_score(labels, decided, average="macro", zero_division=0)),
        ("f1_weighted", sk.f1_score(labels, decided, average="weighted", zero_division=0)),
        ("precision_macro", sk.precision_score(labels, decided, average="macro", zero_division=0)),
        ("recall_macro", sk.recall_score(labels, decided, average="macro", zero_division=0)),
        ("balanced_accuracy", sk.balanced_accuracy_score(labels, decided)),
        ("matthews_corrcoef", sk.matthews_corrcoef(labels, decided)),
        ("roc_auc_ovr", sk.roc_auc_score(labels, scores, multi_class="ovr")),
    ):
        assert metric_value(name, labels, scores) == pytest.approx(expected, abs=1e-12), name


def test_a_class_without_rows_counts_in_a_mean_over_classes_only_where_scikit_learn_counts_it() -> None:
    labels, decided = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    scores = np.eye(4)[decided] * 0.4 + 0.15
    with pytest.warns(UserWarning, match="not in y_true"):
        balanced = sk.balanced_accuracy_score(labels, decided)
    assert metric_value("balanced_accuracy", labels, scores) == pytest.approx(balanced, abs=1e-12)
    recall = sk.recall_score(labels, decided, average="macro", zero_division=0)
    assert metric_value("recall_macro", labels, scores) == pytest.approx(recall, abs=1e-12)
    assert metric_value("roc_auc_ovr", labels, scores) is None


def test_percentage_errors_of_labels_that_are_zero_are_scikit_learns() -> None:
    labels, guess = np.array([0.0, 1.0, -2.0, 0.0]), np.array([0.0, 1.5, -1.0, 1e-3])
    expected = sk.mean_absolute_percentage_error(labels, guess)
    assert expected > 1e11
    assert metric_value("mean_absolute_percentage_error", labels, guess) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", METRICS["regression"])
def test_a_single_row_and_a_constant_label_give_a_value_or_none_and_never_a_number_made_up(name: str) -> None:
    undefined = name in ("r2", "explained_variance")
    for labels, guess in ((np.array([3.0]), np.array([4.0])), (np.full(7, 0.1), np.linspace(0, 1, 7))):
        found = metric_value(name, labels, guess)
        assert found is None if undefined else found is not None and np.isfinite(found)


def test_decisions_without_variation_have_no_correlation_and_labels_without_variation_leave_it_undefined() -> None:
    assert metric_value("matthews_corrcoef", np.array([0, 1, 1]), np.full(3, 0.9)) == 0.0
    assert metric_value("matthews_corrcoef", np.ones(3), np.array([0.1, 0.9, 0.9])) is None
    assert metric_value("matthews_corrcoef", np.ones(3), np.full(3, 0.9)) is None
    assert metric_value("precision", np.array([0, 1]), np.array([0.1, 0.2])) is None
    assert metric_value("balanced_accuracy", np.ones(4), np.array([0.1, 0.9, 0.9, 0.9])) == 0.75


@pytest.mark.parametrize("rows", [1, 2, 3, 10, 11])
def test_a_median_of_few_rows_is_scikit_learns_also_when_weighted(rows: int) -> None:
    draw = np.random.default_rng(rows)
    labels, guess = draw.integers(0, 4, rows).astype(float), draw.integers(0, 4, rows).astype(float)
    weights = draw.integers(0, 3, (20, rows)).astype(float)
    weights[weights.sum(axis=1) == 0] = 1
    expected = [sk.median_absolute_error(labels, guess, sample_weight=row) for row in weights]
    rowwise = Resamples(np.arange(rows), weights)
    found = metric_of_resamples("median_absolute_error", labels, guess, rowwise, threshold=0.5)
    assert found == pytest.approx(expected, abs=1e-12)
    assert metric_value("median_absolute_error", labels, guess) == pytest.approx(sk.median_absolute_error(labels, guess))


def test_an_unknown_metric_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'gini' is not a metric; write one of accuracy"):
        metric_value("gini", TRUTH, SCORE)


def test_binary_metrics_are_those_of_the_reference_vectors(oracles: Callable[[str], list[dict[str, Any]]]) -> None:
    for case in oracles("calibration_fairness"):
        labels, scores = np.array(case["labels"]), np.array(case["scores"])
        for ours, theirs in (("brier_score", "brier"), ("log_loss", "log_loss"), ("roc_auc", "roc_auc")):
            expected = None if case[theirs] is None else pytest.approx(case[theirs], abs=1e-12)
            assert metric_value(ours, labels, scores) == expected, (case["id"], ours)


def test_calibration_error_is_that_of_the_reference_vectors(oracles: Callable[[str], list[dict[str, Any]]]) -> None:
    for case in oracles("calibration_fairness"):
        labels, scores = np.array(case["labels"]), np.array(case["scores"])
        mass, width = calibration_of(labels, scores), calibration_of(labels, scores, strategy="uniform")
        assert mass.ece == pytest.approx(case["ece_equal_mass_quantile"], abs=1e-12), case["id"]
        assert width.ece == pytest.approx(case["ece_equal_width"], abs=1e-12), case["id"]
        assert [part.rows for part in mass.bins] == [count for count in case["quantile_bin_counts"] if count], case["id"]
        assert [part.rows for part in width.bins] == [count for count in case["width_bin_counts"] if count], case["id"]


def test_the_cheapest_threshold_of_a_calibrated_score_is_the_contracts() -> None:
    draw = np.random.default_rng(5)
    scores = draw.choice([0.1, 0.3, 0.4, 0.8], 40_000)
    labels = (draw.random(40_000) < scores).astype(int)
    threshold, lowest, here = cheapest_threshold(labels, scores, 0.35)
    assert threshold == 0.4
    assert lowest == pytest.approx(here)


def test_the_cheapest_threshold_of_an_overconfident_score_is_further_out_and_cheaper() -> None:
    draw = np.random.default_rng(6)
    chance = draw.choice([0.1, 0.3, 0.4, 0.8], 40_000)
    labels = (draw.random(40_000) < chance).astype(int)
    threshold, lowest, here = cheapest_threshold(labels, chance + 0.15, 0.35)
    assert threshold == pytest.approx(0.55)
    assert lowest < here


def test_nothing_selected_is_a_possible_cheapest_threshold() -> None:
    assert cheapest_threshold(np.zeros(4), np.array([0.2, 0.6, 0.7, 0.9]), 0.5)[:2] == (1.0, 0.0)


def test_calibration_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="needs rows"):
        calibration_of(np.empty(0), np.empty(0))
