"""Performance without labels: what calibrated scores alone say a classifier achieves, with the sampling error of saying so."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from retrain_assets.contract import StageError, finite
from retrain_assets.contract.contract import ESTIMATED_METRICS

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """An expected metric.

    Args:
        value: the metric as calibrated scores let it expect, in its own unit.
        standard_error: by how much it varies with the rows that happened to come.
        label_error: by how much the metric of these very rows will vary around it once their labels are known.
        rows: rows it rests on.
    """

    value: float
    standard_error: float
    label_error: float
    rows: int

    def to_json(self) -> dict[str, Any]:
        """JSON-able values, field names as keys."""
        values: dict[str, Any] = finite({name: getattr(self, name) for name in self.__slots__})
        return values

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Estimate:
        """The inverse of :meth:`to_json`."""
        return cls(**value)


def estimate(scores: npt.ArrayLike, metrics: Iterable[str], threshold: float = 0.5) -> dict[str, Estimate | None]:
    """Expected metrics of the rows behind some calibrated scores (confidence-based performance estimation, CBPE).

    A calibrated score is the chance that its row is positive, so every row counts as positive with its score and as negative
    with the rest. Ratios (precision, recall, f1, roc_auc) are ratios of expected counts. Covariate shift moves the estimate as it
    moves the metric; a change of the label given the features (concept drift) moves only the metric: estimates are blind to it.

    Args:
        scores: chance of the positive class per row, or rows x classes; rows with a missing score are left out.
        metrics: of ``ESTIMATED_METRICS`` (contract); more than two classes: ``log_loss`` and ``accuracy``.
        threshold: scores at or above it are decided positive.

    Returns:
        An estimate per metric; None where it is undefined: no rows, no positive decision, one class only, or no such estimate
        for several classes.

    Raises:
        ValueError: for a metric that cannot be estimated.
        StageError: for scores outside 0..1.

    Source: Białek, Kuberski, Perrakis et al., "Estimating model performance under covariate shift without labels",
    arXiv 2401.08348, 2024, section on CBPE; the errors are the influence functions of the metrics, by the delta method.
    """
    names = tuple(metrics)
    if unknown := sorted(set(names) - ESTIMATED_METRICS):
        raise ValueError(
            f"{unknown[0]!r} cannot be estimated without labels; write one of {', '.join(sorted(ESTIMATED_METRICS))}"
        )
    rows = np.asarray(scores, dtype=np.float64)
    rows = rows[np.isfinite(rows)] if rows.ndim == 1 else rows[np.isfinite(rows).all(axis=1)]
    if rows.size and not (rows.min() >= 0 and rows.max() <= 1):
        raise StageError("scores are outside 0..1", where="estimated metrics", remedy="give calibrated probabilities")
    if rows.ndim == 2 and rows.shape[1] == 2:
        rows = rows[:, 1]
    if not len(rows):
        return dict.fromkeys(names)
    if rows.ndim == 2:
        return {name: _of_classes(name, rows) for name in names}
    return {name: _estimate(rows, BINARY[name](rows, (rows >= threshold).astype(np.float64))) for name in names}


class Influence(NamedTuple):
    """A metric and how far one row moves it, times the number of rows: if it is positive, and if it is negative."""

    value: float
    positive: Floats
    negative: Floats


BinaryMetric = Callable[[Floats, Floats], Influence | None]
"""From scores and decisions (1.0 or 0.0) per row."""


def _accuracy(scores: Floats, decided: Floats) -> Influence:
    value = float((decided * scores + (1 - decided) * (1 - scores)).mean())
    return Influence(value, decided - value, 1 - decided - value)


def _brier_score(scores: Floats, decided: Floats) -> Influence:
    value = float((scores * (1 - scores)).mean())
    return Influence(value, (1 - scores) ** 2 - value, scores**2 - value)


def _log_loss(scores: Floats, decided: Floats) -> Influence:
    tiny = np.finfo(np.float64).eps  # where scikit-learn cuts
    positive, negative = -np.log(np.maximum(scores, tiny)), -np.log(np.maximum(1 - scores, tiny))
    value = float((scores * positive + (1 - scores) * negative).mean())
    return Influence(value, positive - value, negative - value)


def _precision(scores: Floats, decided: Floats) -> Influence | None:
    share = float(decided.mean())
    if share == 0:
        return None
    value = float(scores @ decided / decided.sum())
    return Influence(value, decided * (1 - value) / share, decided * -value / share)


def _recall(scores: Floats, decided: Floats) -> Influence | None:
    positives = float(scores.mean())
    if positives == 0:
        return None
    value = float((scores * decided).mean()) / positives
    return Influence(value, (decided - value) / positives, np.zeros(len(scores)))


def _f1(scores: Floats, decided: Floats) -> Influence | None:
    both = float(scores.mean() + decided.mean())
    if both == 0:
        return None
    value = 2 * float((scores * decided).mean()) / both
    return Influence(value, (2 * decided - value * (decided + 1)) / both, -value * decided / both)


def _roc_auc(scores: Floats, decided: Floats) -> Influence | None:
    """Over pairs of different rows; a tie counts half."""
    distinct, place = np.unique(scores, return_inverse=True)
    held = np.bincount(place).astype(np.float64)
    positives, negatives = held * distinct, held * (1 - distinct)
    all_positives, all_negatives = positives.sum(), negatives.sum()
    itself = scores * (1 - scores)
    pairs = all_positives * all_negatives - itself.sum()
    if not pairs > 1e-12 * len(scores):
        return None
    below = (np.cumsum(negatives) - negatives / 2)[place]
    above = (all_positives - np.cumsum(positives) + positives / 2)[place]
    value = float((scores @ below - itself.sum() / 2) / pairs)
    return Influence(
        value,
        (below / all_negatives - value) * len(scores) / all_positives,
        (above / all_positives - value) * len(scores) / all_negatives,
    )


BINARY: dict[str, BinaryMetric] = {
    "roc_auc": _roc_auc,
    "log_loss": _log_loss,
    "brier_score": _brier_score,
    "accuracy": _accuracy,
    "f1": _f1,
    "precision": _precision,
    "recall": _recall,
}


def _estimate(scores: Floats, influence: Influence | None) -> Estimate | None:
    if influence is None:
        return None
    expected = scores * influence.positive + (1 - scores) * influence.negative
    by_label = scores * (1 - scores) * (influence.positive - influence.negative) ** 2
    return _with_errors(influence.value, expected, by_label)


def _of_classes(name: str, scores: Floats) -> Estimate | None:
    if name == "accuracy":
        right = scores.max(axis=1)
        return _with_errors(float(right.mean()), right, right * (1 - right))
    if name == "log_loss":
        surprise = -np.log(np.maximum(scores, np.finfo(np.float64).eps))
        expected = (scores * surprise).sum(axis=1)
        return _with_errors(float(expected.mean()), expected, (scores * surprise**2).sum(axis=1) - expected**2)
    return None


def _with_errors(value: float, expected: Floats, by_label: Floats) -> Estimate:
    rows = len(expected)
    return Estimate(value, float(expected.std()) / math.sqrt(rows), math.sqrt(max(0.0, float(by_label.mean())) / rows), rows)
