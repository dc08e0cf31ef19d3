"""Offline metrics by task under scikit-learn's names, for whole samples and for many weighted resamples at once.

Every metric is a function of a few weighted sums over rows (losses, hits and misses), except ``roc_auc`` and
``average_precision``, which go through the order of the scores. Intervals are built on top in intervals.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from retrain_assets.contract import LOWER_IS_BETTER, METRICS

Array = np.ndarray


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
        The metric in its own direction and unit, None where it is undefined (no rows, one class only for a ranking
        metric, nothing selected for precision).

    Raises:
        ValueError: for an unknown name.
    """
    return none_if_undefined(metric_resampled(name, labels, scores, np.ones((1, len(labels))), threshold=threshold)[0])


def metric_resampled(name: str, labels: Array, scores: Array, weights: Array, *, threshold: float = 0.5) -> Array:
    """The metric of many weighted samples of the same rows.

    Args:
        name: as in :func:`metric_value`, so are ``labels``, ``scores`` and ``threshold``.
        weights: samples x rows, not negative; how often each row stands in each sample.

    Returns:
        One value a sample, NaN where the metric is undefined.

    Raises:
        ValueError: for an unknown name.
    """
    if len(labels) == 0:
        return np.full(len(weights), np.nan)
    if name in _RANKED:
        return _RANKED[name](labels, scores, weights)
    if name not in known_metrics():
        raise ValueError(f"{name!r} is not a metric; write one of {', '.join(sorted(known_metrics()))}")
    columns = _columns(name, labels, scores, threshold)
    sums = weights @ np.column_stack(columns).astype(weights.dtype)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(_combine(name, sums.astype(float)))


def improvement_sign(name: str) -> int:
    """+1 where a larger value is better, -1 where a smaller one is."""
    return -1 if name in LOWER_IS_BETTER else 1


def known_metrics() -> frozenset[str]:
    """Every metric of every task."""
    return frozenset(name for names in METRICS.values() for name in names)


def none_if_undefined(value: float) -> float | None:
    """NaN as None, everything else as a plain float."""
    return None if np.isnan(value) else float(value)


def roc_auc(labels: Array, scores: Array) -> float:
    """Area under the ROC curve of one sample, ties counted one half; NaN with one class only."""
    positive = labels.astype(bool)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    rank_sum = mid_ranks(scores)[positive].sum()
    return float((rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def mid_ranks(values: Array) -> Array:
    """Ranks from 1, tied values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse])


def _columns(name: str, labels: Array, scores: Array, threshold: float) -> list[Array]:
    """The per-row terms whose weighted sums :func:`_combine` turns into the metric; the first is the row itself."""
    one = np.ones(len(labels))
    if name in ("mean_absolute_error", "root_mean_squared_error"):
        error = scores - labels
        return [one, np.abs(error) if name == "mean_absolute_error" else error**2]
    if name == "r2":
        centred = labels - labels.mean()
        return [one, centred, centred**2, (scores - labels) ** 2]
    if scores.ndim == 2:
        return [one, *_class_columns(name, labels.astype(int), scores)]
    positive, selected = labels.astype(bool), scores >= threshold
    if name == "log_loss":
        clipped = np.clip(scores, _EPSILON, 1 - _EPSILON)
        return [one, -np.where(positive, np.log(clipped), np.log1p(-clipped))]
    if name == "brier_score":
        return [one, (scores - positive) ** 2]
    if name == "accuracy":
        return [one, selected == positive]
    return [one, selected & positive, selected & ~positive, ~selected & positive]


def _class_columns(name: str, labels: Array, scores: Array) -> list[Array]:
    rows, classes = np.arange(len(labels)), scores.shape[1]
    if name == "log_loss":
        return [-np.log(np.clip(scores[rows, labels], _EPSILON, 1.0))]
    decided = scores.argmax(axis=1)
    if name == "accuracy":
        return [decided == labels]
    hits = [(labels == k) & (decided == k) for k in range(classes)]
    return [*hits, *[labels == k for k in range(classes)], *[decided == k for k in range(classes)]]


def _combine(name: str, sums: Array) -> Array:
    rows, first = sums[:, 0], sums[:, 1]
    if name == "root_mean_squared_error":
        return np.asarray(np.sqrt(first / rows))
    if name == "r2":
        total = sums[:, 2] - first**2 / rows
        return np.where(total > 0, 1 - sums[:, 3] / total, np.nan)
    if name == "precision":
        return np.asarray(first / (first + sums[:, 2]))
    if name == "recall":
        return np.asarray(first / (first + sums[:, 3]))
    if name == "f1":
        return np.asarray(2 * first / (2 * first + sums[:, 2] + sums[:, 3]))
    if name in ("balanced_accuracy", "f1_macro"):
        hits, actual, decided = np.split(sums[:, 1:], 3, axis=1)
        per_class = hits / actual if name == "balanced_accuracy" else 2 * hits / (actual + decided)
        present = actual > 0 if name == "balanced_accuracy" else actual + decided > 0
        return np.asarray(np.where(present, per_class, 0.0).sum(1) / present.sum(1))
    return np.asarray(first / rows)


def _roc_auc_resampled(labels: Array, scores: Array, weights: Array) -> Array:
    positive, order, ends = _ordered(labels, scores, descending=False)
    ordered = weights[:, order]
    negatives = _cumulative_at(ordered * ~positive, ends)
    positives = np.diff(_cumulative_at(ordered * positive, ends), axis=1, prepend=0)
    below = np.concatenate([np.zeros((len(weights), 1)), negatives[:, :-1]], axis=1)
    pairs = (positives * (below + negatives) / 2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(pairs / (positives.sum(axis=1) * negatives[:, -1]))


def _average_precision_resampled(labels: Array, scores: Array, weights: Array) -> Array:
    positive, order, ends = _ordered(labels, scores, descending=True)
    ordered = weights[:, order]
    selected = _cumulative_at(ordered, ends)
    hits = _cumulative_at(ordered * positive, ends)
    gained = np.diff(hits, axis=1, prepend=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(selected > 0, hits / selected, 0.0)
        return np.asarray((gained * precision).sum(axis=1) / hits[:, -1])


def _ordered(labels: Array, scores: Array, *, descending: bool) -> tuple[Array, Array, Array]:
    """Labels in the order of the scores, that order, and the position of the last row of every tied group."""
    order = np.argsort(-scores if descending else scores, kind="stable")
    ordered = scores[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    return labels[order].astype(bool), order, ends


def _cumulative_at(values: Array, ends: Array) -> Array:
    return np.cumsum(values, axis=1, dtype=float)[:, ends]


_EPSILON = float(np.finfo(np.float64).eps)
_RANKED: dict[str, Callable[[Array, Array, Array], Array]] = {
    "roc_auc": _roc_auc_resampled,
    "average_precision": _average_precision_resampled,
}
