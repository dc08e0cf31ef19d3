"""Metrics that are a function of sums over rows: the terms of each row, and how their sums make the metric.

Sums can be taken over all rows, over blocks of them, or with weights; the same two functions serve value, bootstrap and slices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)
"""Probabilities are kept this far from 0 and 1 in log_loss, as scikit-learn does."""


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What each row adds to the sums: ``columns``, one number a row each, and for classes the hit, the label and the decision.

    The sums stand in this order: columns, hits of class 0..k-1, labels of class 0..k-1, decisions for class 0..k-1.
    """

    columns: tuple[Array, ...]
    labels: Array | None = None
    decided: Array | None = None
    classes: int = 0

    def take(self, rows: Array) -> Terms:
        """The terms of some rows."""
        labels = None if self.labels is None else self.labels[rows]
        decided = None if self.decided is None else self.decided[rows]
        return Terms(tuple(column[rows] for column in self.columns), labels, decided, self.classes)

    def sums(self, block: Array, blocks: int) -> Array:
        """Sums within each block, blocks x terms; ``block`` is the block's number, one a row."""
        parts = [np.bincount(block, weights=column, minlength=blocks)[:, None] for column in self.columns]
        if self.labels is not None and self.decided is not None:
            size, start = blocks * self.classes, block.astype(np.int64) * self.classes
            hit = self.labels == self.decided
            for key in ((start + self.labels)[hit], start + self.labels, start + self.decided):
                parts.append(np.bincount(key, minlength=size).reshape(blocks, self.classes).astype(float))
        return np.concatenate(parts, axis=1)

    def total(self) -> Array:
        """Sums over all rows, 1 x terms."""
        parts = [np.array([column.sum() for column in self.columns])]
        if self.labels is not None and self.decided is not None:
            hit = self.labels == self.decided
            parts += [np.bincount(key, minlength=self.classes) for key in (self.labels[hit], self.labels, self.decided)]
        return np.concatenate(parts)[None].astype(float)

    def dot(self, gradient: Array) -> Array:
        """For each row the sum of its terms, each times its entry of ``gradient``."""
        found = sum((factor * column for factor, column in zip(gradient, self.columns, strict=False)), start=np.zeros(1))
        if self.labels is None or self.decided is None:
            return np.asarray(found)
        hits, actual, chosen = gradient[len(self.columns) :].reshape(3, self.classes)
        return np.asarray(
            found + np.where(self.labels == self.decided, hits[self.labels], 0) + actual[self.labels] + chosen[self.decided]
        )


def terms_of(name: str, labels: Array, scores: Array, threshold: float) -> Terms:
    """The terms of one metric; arguments as in :func:`retrain_assets.gates.offline.metrics.metric_value`."""
    one = np.ones(len(labels))
    if scores.ndim == 2:
        classes = labels.astype(np.int64)
        if name == "log_loss":
            return Terms((one, -np.log(_inside(scores[np.arange(len(labels)), classes]))))
        return Terms((one,), classes, scores.argmax(axis=1), scores.shape[1])
    if name in _ROW_MEANS:
        return Terms((one, scores))
    if name in _ERRORS:
        return Terms((one, _ERRORS[name](labels, scores)))
    if name in ("r2", "explained_variance"):
        around, error = _centred(labels), scores - labels
        if name == "r2":
            return Terms((one, around, around**2, error**2))
        error = _centred(error)
        return Terms((one, around, around**2, error, error**2))
    positive, selected = labels.astype(bool), scores >= threshold
    if name == "log_loss":
        kept = _inside(scores)
        return Terms((one, -np.where(positive, np.log(kept), np.log1p(-kept))))
    if name == "brier_score":
        return Terms((one, (scores - positive) ** 2))
    counted = (selected & positive, selected & ~positive, ~selected & positive)
    return Terms((one, *(part.astype(float) for part in counted)))


def combined(name: str, sums: Array, classes: int) -> Array:
    """The metric of each row of sums; NaN where it is undefined.

    Undefined is not zero, with scikit-learn's own two exceptions: a class without decisions (labels) counts 0 in a mean of
    precision (recall) over classes, and decisions for one class only have a Matthews correlation of 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if classes:
            return _of_classes(name, sums, classes)
        if name in _DECIDED:
            return _of_decisions(name, *sums.T)
        rows, first = sums[:, 0], sums[:, 1]
        if name == "root_mean_squared_error":
            return np.asarray(np.sqrt(first / rows))
        if name == "r2":
            spread = sums[:, 2] - first**2 / rows
            return np.where(spread > 0, 1 - sums[:, 3] / spread, np.nan)
        if name == "explained_variance":
            spread = sums[:, 2] - first**2 / rows
            return np.where(spread > 0, 1 - (sums[:, 4] - sums[:, 3] ** 2 / rows) / spread, np.nan)
        return np.asarray(first / rows)


_ERRORS = {
    "mean_absolute_error": lambda labels, scores: np.abs(scores - labels),
    "mean_squared_error": lambda labels, scores: (scores - labels) ** 2,
    "root_mean_squared_error": lambda labels, scores: (scores - labels) ** 2,
    "mean_absolute_percentage_error": lambda labels, scores: (
        np.abs(scores - labels) / np.maximum(np.abs(labels), SMALLEST_PROBABILITY)
    ),
}
_ROW_MEANS = frozenset({"row_gain", "row_loss"})
_DECIDED = frozenset({"accuracy", "balanced_accuracy", "matthews_corrcoef", "f1", "precision", "recall"})


def _of_decisions(name: str, rows: Array, hits: Array, alarms: Array, misses: Array) -> Array:
    quiet = rows - hits - alarms - misses
    if name == "accuracy":
        return np.asarray((hits + quiet) / rows)
    if name == "precision":
        return np.asarray(hits / (hits + alarms))
    if name == "recall":
        return np.asarray(hits / (hits + misses))
    if name == "f1":
        return np.asarray(2 * hits / (2 * hits + alarms + misses))
    positives, negatives, selected = hits + misses, alarms + quiet, hits + alarms
    if name == "balanced_accuracy":
        return _mean_where(np.stack([hits / positives, quiet / negatives]).T, np.stack([positives, negatives]).T > 0)
    return _correlation(hits * quiet - alarms * misses, selected * (rows - selected), positives * negatives)


def _of_classes(name: str, sums: Array, classes: int) -> Array:
    rows, (hits, actual, decided) = sums[:, 0], np.split(sums[:, 1:], 3, axis=1)
    correct, present = hits.sum(axis=1), actual + decided > 0
    if name == "accuracy":
        return np.asarray(correct / rows)
    if name == "balanced_accuracy":
        return _mean_where(hits / actual, actual > 0)
    if name == "precision_macro":
        return _mean_where(np.where(decided > 0, hits / decided, 0.0), present)
    if name == "recall_macro":
        return _mean_where(np.where(actual > 0, hits / actual, 0.0), present)
    if name in ("f1_macro", "f1_weighted"):
        scores = np.where(present, 2 * hits / (actual + decided), 0.0)
        return _mean_where(scores, present) if name == "f1_macro" else np.asarray((scores * actual).sum(axis=1) / rows)
    return _correlation(
        correct * rows - (actual * decided).sum(axis=1),
        rows**2 - (decided**2).sum(axis=1),
        rows**2 - (actual**2).sum(axis=1),
    )


def _correlation(covariance: Array, of_decisions: Array, of_labels: Array) -> Array:
    """Matthews correlation (Gorodkin, Comparing two K-category assignments by a K-category correlation coefficient, 2004)."""
    found = np.where(of_decisions > 0, covariance / np.sqrt(of_decisions) / np.sqrt(of_labels), 0.0)
    return np.where(of_labels > 0, found, np.nan)


def _mean_where(values: Array, present: Array) -> Array:
    return np.asarray(np.where(present, values, 0.0).sum(axis=1) / present.sum(axis=1))


def _centred(values: Array) -> Array:
    """Values around their mean; those of a constant are exactly zero."""
    shifted = values - values[:1]
    return np.asarray(shifted - shifted.mean() if len(values) else shifted)


def _inside(probabilities: Array) -> Array:
    return np.asarray(np.clip(probabilities, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY))
