"""Few rows of the kind a metric needs, or few units with many rows each, are no evidence, however many rows there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.contract import METRICS, Contract, Outcome
from retrain_assets.gates import evaluate, offline_gate
from retrain_assets.gates.offline.carriers import carriers, too_few
from retrain_assets.gates.offline.comparison import Pair
from retrain_assets.gates.offline.intervals import linearised_improvement

Array = np.ndarray
ContractWith = Callable[[dict[str, Any]], Contract]
OF_SOME_ROWS = ("roc_auc", "average_precision", "balanced_accuracy", "matthews_corrcoef", "recall", "f1")


def alike(positives: int, rows: int, draw: np.random.Generator) -> tuple[Array, Array, Array]:
    """Labels, and two models that see them through noise of the same size."""
    labels = (np.arange(rows) < positives).astype(float)
    signal = draw.normal(labels, 1)
    ours, theirs = (1 / (1 + np.exp(-signal - draw.normal(0, 0.7, rows))) for _ in range(2))
    return labels, ours, theirs


@pytest.mark.parametrize("metric", OF_SOME_ROWS)
@pytest.mark.parametrize("positives", [1, 2, 3, 4])
def test_less_than_five_positives_give_neither_bounds_nor_evidence(metric: str, positives: int) -> None:
    labels, ours, theirs = alike(positives, 250, np.random.default_rng(positives))
    found, p_value = linearised_improvement(metric, labels, ours, theirs, None, confidence=0.95)
    assert (found.lower, found.upper, p_value) == (None, None, None)
    assert found.estimate is not None


@pytest.mark.parametrize("metric", ["roc_auc", "recall"])
@pytest.mark.parametrize("positives", [5, 8])
def test_models_that_are_alike_are_told_apart_as_rarely_as_stated_on_few_positives(metric: str, positives: int) -> None:
    draw, wrong, far = np.random.default_rng(1), 0, 0
    for _ in range(400):
        labels, ours, theirs = alike(positives, 250, draw)
        _, p_value = linearised_improvement(metric, labels, ours, theirs, None, confidence=0.95)
        assert p_value is not None
        wrong, far = wrong + (p_value <= 0.05), far + (p_value <= 0.05 / 60)
    assert wrong <= 400 * 0.05 + 3 * np.sqrt(400 * 0.05 * 0.95)
    assert far <= 2


def test_five_positives_that_all_flip_are_no_more_than_a_sign_test() -> None:
    labels = (np.arange(250) < 5).astype(float)
    _, p_value = linearised_improvement("recall", labels, labels * 0, labels, None, confidence=0.95)
    assert p_value == 0.5**5


def test_a_model_that_selects_one_row_has_no_bounds_of_its_precision() -> None:
    labels = (np.arange(400) % 2).astype(float)
    once, often = (np.arange(400) == 1).astype(float), np.full(400, 0.9)
    pair = Pair(labels, once, often, None, confidence=0.95, threshold=0.5, seed=1, resample_count=200)
    found = pair.compared("precision")
    assert (found.candidate, found.champion) == (1.0, 0.5)
    assert (found.improvement.estimate, found.improvement.lower) == (0.5, None)


@pytest.mark.parametrize(("task", "metric"), sorted((task, metric) for task, names in METRICS.items() for metric in names))
def test_units_with_many_rows_are_counted_as_units(task: str, metric: str) -> None:
    draw = np.random.default_rng(4)
    labels, scores = draw.integers(0, 2, 400).astype(float), draw.random((2, 400))
    if task == "multiclass":
        scores = np.stack([scores, 1 - scores], axis=-1)
    for count, bounded in ((1, False), (4, False), (5, True)):
        units = np.arange(400) % count
        pair = Pair(labels, scores[0], scores[1], units, confidence=0.95, threshold=0.5, seed=1, resample_count=50)
        found = pair.compared(metric)
        assert (found.improvement.lower is not None) == bounded
        assert found.improvement.estimate is not None


def test_bounds_hold_where_twelve_units_have_all_the_rows() -> None:
    draw, wrong = np.random.default_rng(2), 0
    units = np.repeat(np.arange(12), 20)
    for _ in range(300):
        signal = draw.normal(0, 1, 240)
        labels = (signal + draw.normal(0, 1, 240) > 0).astype(float)
        ours, theirs = (1 / (1 + np.exp(-signal - draw.normal(0, 1, 12)[units])) for _ in range(2))
        pair = Pair(labels, ours, theirs, units, confidence=0.95, threshold=0.5, seed=1, resample_count=200)
        lower = pair.compared("brier_score").improvement.lower
        assert lower is not None
        wrong += lower > 0
    assert wrong <= 300 * 0.05 + 2.6 * np.sqrt(300 * 0.05 * 0.95)  # percentiles of resampled units: 29


def test_the_rarest_class_carries_a_mean_over_classes_and_every_row_an_accuracy() -> None:
    labels = np.array([0.0] * 50 + [1.0] * 48 + [2.0] * 2)
    scores = (np.full((100, 3), 1 / 3), np.full((100, 3), 1 / 3))
    assert carriers("recall_macro", labels, scores, None, threshold=0.5) == 2
    assert carriers("accuracy", labels, scores, None, threshold=0.5) is None
    assert [too_few(count, 0.95) for count in (4, 5)] == [True, False]


def test_a_candidate_cannot_beat_the_champion_on_one_unit_and_the_verdict_says_why(contract_with: ContractWith) -> None:
    contract = contract_with(
        {"gates.offline": {"metrics": {"brier_score": {"max_regression": 0.0, "min_improvement": 0.0}}, "calibration": None}}
    )
    labels = np.arange(300) % 2 == 0
    rows = pl.DataFrame({"parcel": ["p"] * 300, "late": labels})
    found = offline_gate(evaluate(rows, labels * 0.8 + 0.1, np.full(300, 0.5), contract=contract, seed=1), contract)
    assert {each.outcome for each in found} == {Outcome.NO_DATA}
    assert all("too few units" in each.message and "0.24 better" in each.message for each in found)
    assert all("few units" in each.evidence["method"] for each in found)


def test_no_difference_is_said_to_be_0_and_not_minus_0(contract_with: ContractWith) -> None:
    contract = contract_with({"gates.offline": {"metrics": {"log_loss": {"max_regression": 0.1}}, "calibration": None}})
    scores = np.linspace(0.1, 0.9, 300)
    rows = pl.DataFrame({"parcel": [str(k) for k in range(300)], "late": scores > 0.5})
    (found,) = offline_gate(evaluate(rows, scores, scores, contract=contract, seed=1), contract)
    assert (found.outcome, str(found.observed)) == (Outcome.PASS, "0.0")
    assert "-0" not in found.message
