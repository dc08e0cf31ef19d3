"""Metrics that go through the order of the rows: areas under curves and the median; one sample, or many weighted ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray


def resampled_by_order(name: str, labels: Array, scores: Array, weights: Array) -> Array:
    """One of :data:`RANKED` for each row of weights (samples x rows); NaN where it is undefined."""
    return np.asarray(RANKED[name](labels, scores, weights))


def placements(positive: Array, scores: Array) -> Array:
    """For a positive the share of negatives below it, for a negative the share of positives above it, ties one half.

    Their mean over the positives is the area under the ROC curve (Sun and Xu, Fast implementation of DeLong's algorithm, IEEE
    SPL 2014). Both classes must be there.
    """
    order, ends = order_of(scores)
    ordered = positive[order]
    positives, negatives = np.cumsum(ordered)[ends], np.cumsum(~ordered)[ends]
    below = (negatives + np.append(0, negatives[:-1])) / 2 / negatives[-1]
    above = 1 - (positives + np.append(0, positives[:-1])) / 2 / positives[-1]
    group = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=-1))
    found = np.empty(len(scores))
    found[order] = np.where(ordered, below[group], above[group])
    return found


def order_of(values: Array, *, descending: bool = False) -> tuple[Array, Array]:
    """The rows in the order of their values, and the position there of the last row of every tied group."""
    order = np.argsort(-values if descending else values)
    ordered = values[order]
    return order, np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))


def _roc_auc(labels: Array, scores: Array, weights: Array) -> Array:
    order, ends = order_of(scores)
    positive, ordered = labels[order].astype(bool), weights[:, order]
    negatives = _cumulative_at(ordered * ~positive, ends)
    positives = np.diff(_cumulative_at(ordered * positive, ends), axis=1, prepend=0)
    below = np.concatenate([np.zeros((len(weights), 1)), negatives[:, :-1]], axis=1)
    pairs = (positives * (below + negatives) / 2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(pairs / (positives.sum(axis=1) * negatives[:, -1]))


def _roc_auc_ovr(labels: Array, scores: Array, weights: Array) -> Array:
    """Mean over the classes of one against the rest; a class without rows leaves it undefined."""
    return np.asarray(np.mean([_roc_auc(labels == k, scores[:, k], weights) for k in range(scores.shape[1])], axis=0))


def _average_precision(labels: Array, scores: Array, weights: Array) -> Array:
    order, ends = order_of(scores, descending=True)
    positive, ordered = labels[order].astype(bool), weights[:, order]
    selected = _cumulative_at(ordered, ends)
    hits = _cumulative_at(ordered * positive, ends)
    gained = np.diff(hits, axis=1, prepend=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(selected > 0, hits / selected, 0.0)
        return np.asarray((gained * precision).sum(axis=1) / hits[:, -1])


def _median_absolute_error(labels: Array, scores: Array, weights: Array) -> Array:
    error = np.abs(scores - labels)
    order = np.argsort(error)
    cumulative = np.cumsum(weights[:, order], axis=1, dtype=float)
    return weighted_median(error[order], cumulative, cumulative[:, -1] / 2)


def weighted_median(ordered: Array, cumulative: Array, half: Array) -> Array:
    """The median of ascending values for each row of cumulative weights; NaN where half of the weight is nothing.

    The value where half of the weight is reached, and the mean of it and the next one with weight where exactly half is.
    """
    last = len(ordered) - 1
    reached = np.minimum((cumulative < half[:, None]).sum(axis=1), last)
    passed = np.minimum((cumulative <= half[:, None]).sum(axis=1), last)
    return np.where(half > 0, (ordered[reached] + ordered[passed]) / 2, np.nan)


def _cumulative_at(values: Array, ends: Array) -> Array:
    return np.cumsum(values, axis=1, dtype=float)[:, ends]


RANKED: dict[str, Callable[[Array, Array, Array], Array]] = {
    "roc_auc": _roc_auc,
    "roc_auc_ovr": _roc_auc_ovr,
    "average_precision": _average_precision,
    "median_absolute_error": _median_absolute_error,
}
"""Metrics that no sums over rows give."""
