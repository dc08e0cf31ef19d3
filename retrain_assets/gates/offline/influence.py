"""How much each row moves a metric: the basis of standard errors without resampling, clustered by unit."""

from __future__ import annotations

import numpy as np

from retrain_assets.gates.offline.ranked import order_of, placements
from retrain_assets.gates.offline.terms import Terms, combined, terms_of

Array = np.ndarray


def influence(name: str, labels: Array, scores: Array, *, threshold: float) -> tuple[float, Array] | None:
    """The metric and its derivative by the weight of each row, which sums to nothing; None where the metric is undefined.

    The variance of the metric is the sum over units of the squared sum of a unit's values (infinitesimal jackknife; Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, section 21.6). For roc_auc these are the components of DeLong, DeLong and
    Clarke-Pearson, Comparing the areas under two or more correlated receiver operating characteristic curves, Biometrics 1988.

    Args:
        name: metric; ``labels``, ``scores`` and ``threshold`` as in :func:`retrain_assets.gates.offline.metrics.metric_value`.
        labels: one a row, at least one.
        scores: of the same rows.
        threshold: of the positive decision.
    """
    if name == "roc_auc":
        return _of_area(labels.astype(bool), scores)
    if name == "roc_auc_ovr":
        parts = [_of_area(labels == k, scores[:, k]) for k in range(scores.shape[1])]
        defined = [part for part in parts if part is not None]
        if len(defined) < len(parts):
            return None
        return float(np.mean([value for value, _ in defined])), np.mean([moved for _, moved in defined], axis=0)
    if name == "average_precision":
        return _of_average_precision(labels.astype(bool), scores)
    if name == "median_absolute_error":
        return _of_median(np.abs(scores - labels))
    return influence_of_terms(name, terms_of(name, labels, scores, threshold))


def influence_of_terms(name: str, terms: Terms) -> tuple[float, Array] | None:
    """The same for a metric that is a function of sums, by its gradient (delta method); None where it is undefined."""
    sums = terms.total()
    value = float(combined(name, sums, terms.classes)[0])
    if np.isnan(value):
        return None
    step = 1e-6 * sums[0, 0] * np.eye(sums.shape[1])
    gradient = (combined(name, sums + step, terms.classes) - combined(name, sums - step, terms.classes)) / (2e-6 * sums[0, 0])
    return value, terms.dot(np.nan_to_num(gradient))


def _of_area(positive: Array, scores: Array) -> tuple[float, Array] | None:
    if positive.all() or not positive.any():
        return None
    placed = placements(positive, scores)
    value = placed[positive].mean()
    return float(value), (placed - value) / np.where(positive, positive.sum(), (~positive).sum())


def _of_average_precision(positive: Array, scores: Array) -> tuple[float, Array] | None:
    """A positive counts by the precision at its own score; every row moves the precision at all scores up to its own."""
    if not positive.any():
        return None
    order, ends = order_of(scores, descending=True)
    sizes = np.diff(ends, prepend=-1)
    selected = (ends + 1).astype(float)
    hits = np.cumsum(positive[order])[ends].astype(float)
    precision, gained = hits / selected, np.diff(hits, prepend=0.0)
    as_selected = np.cumsum((gained * hits / selected**2)[::-1])[::-1]
    as_hit = np.cumsum((gained / selected)[::-1])[::-1]
    value = float((gained * precision).sum() / hits[-1])
    found = np.empty(len(scores))
    found[order] = np.repeat(-as_selected, sizes) + positive[order] * np.repeat(precision - value + as_hit, sizes)
    return value, found / hits[-1]


def _of_median(values: Array) -> tuple[float, Array]:
    """By the slope of the quantiles around the median (Siddiqui; see Koenker, Quantile Regression, 2005, section 3.4.1)."""
    rows = len(values)
    reach = min(0.5, 1.57 / rows**0.2 / 2)
    lower, middle, upper = np.quantile(values, [0.5 - reach, 0.5, 0.5 + reach])
    return float(middle), np.sign(values - middle) / 2 * (upper - lower) / (2 * reach) / rows
