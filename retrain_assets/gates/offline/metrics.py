"""Offline metrics by task under scikit-learn's names. Many weighted resamples at once are in resampling.py.

Most are a function of sums over rows (terms.py), the others go through the order of the rows (ranked.py). Intervals are built on
top in intervals.py.
"""

from __future__ import annotations

import numpy as np

from retrain_assets.contract import LOWER_IS_BETTER, METRICS
from retrain_assets.gates.offline.ranked import RANKED, placements, resampled_by_order
from retrain_assets.gates.offline.terms import combined, terms_of

Array = np.ndarray
ROW_GAIN, ROW_LOSS = "row_gain", "row_loss"
"""The mean of the scores themselves, larger or smaller is better: what a team's own metric comes to that gives a value a row."""


def metric_value(name: str, labels: Array, scores: Array, *, threshold: float = 0.5) -> float | None:
    """One metric on one sample.

    Args:
        name: a name of :data:`retrain_assets.contract.METRICS`.
        labels: one value a row: 0/1 for binary classification, the class number 0..k-1 for multiclass, a number for
            regression.
        scores: one value a row: probability of the positive class, or the predicted number; for multiclass one row of
            k class probabilities.
        threshold: the positive decision is taken at or above this score (binary metrics on decisions).

    Returns:
        The metric in its own direction and unit, None where it is undefined: no rows, one class only for a metric that
        needs both, nothing selected for precision, a constant label for r2.

    Raises:
        ValueError: for an unknown name.
    """
    _known(name)
    if len(labels) == 0:
        return None
    if name == "roc_auc":
        return none_if_undefined(roc_auc(labels, scores))
    if name in RANKED:
        return none_if_undefined(resampled_by_order(name, labels, scores, np.ones((1, len(labels))))[0])
    terms = terms_of(name, labels, scores, threshold)
    return none_if_undefined(combined(name, terms.total(), terms.classes)[0])


def improvement_sign(name: str) -> int:
    """+1 where a larger value is better, -1 where a smaller one is."""
    return -1 if name in LOWER_IS_BETTER or name == ROW_LOSS else 1


def known_metrics() -> frozenset[str]:
    """Every metric of every task."""
    return frozenset(name for names in METRICS.values() for name in names)


def none_if_undefined(value: float) -> float | None:
    """NaN as None, everything else as a plain float."""
    return None if np.isnan(value) else float(value)


def roc_auc(labels: Array, scores: Array) -> float:
    """Area under the ROC curve of one sample, ties counted one half; NaN with one class only."""
    positive = labels.astype(bool)
    if positive.all() or not positive.any():
        return float("nan")
    return float(placements(positive, scores)[positive].mean())


def _known(name: str) -> None:
    if name not in known_metrics() and name not in (ROW_GAIN, ROW_LOSS):
        raise ValueError(f"{name!r} is not a metric; write one of {', '.join(sorted(known_metrics()))}")
