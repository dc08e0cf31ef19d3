"""One-sided bounds of the difference between two models scored on the same rows: paired bootstrap, DeLong for roc_auc."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from retrain_assets.gates.offline.metrics import improvement_sign, metric_resampled, metric_value, mid_ranks

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Improvement:
    """How much better the candidate is than the champion, positive is better, in the metric's unit.

    ``lower`` and ``upper`` are one-sided bounds, each at the stated confidence; all three are None where the metric is
    undefined on these rows.
    """

    estimate: float | None
    lower: float | None
    upper: float | None


UNDEFINED = Improvement(None, None, None)


def resampling_weights(units: Array, *, resamples: int, seed: int) -> Array:
    """How often each row stands in each bootstrap sample when whole units are drawn with replacement.

    Rows of one unit stay together (cluster bootstrap; Field and Welsh, Bootstrapping clustered data, JRSS B 2007), so
    that many rows of one unit do not pass for independent evidence.

    Args:
        units: unit of every row, any values that can be told apart.
        resamples: number of bootstrap samples.
        seed: seed of the draw; the same seed and units give the same weights.

    Returns:
        resamples x rows, float32.
    """
    names, member = np.unique(units, return_inverse=True)
    count = len(names)
    if count == 0:
        return np.zeros((resamples, 0), dtype=np.float32)
    drawn = np.random.default_rng(seed).integers(count, size=(resamples, count))
    drawn += np.arange(resamples)[:, None] * count
    weights = np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count).astype(np.float32)
    return weights if np.array_equal(member, np.arange(count)) else weights[:, member]


def bootstrap_improvement(
    name: str, labels: Array, candidate: Array, champion: Array, weights: Array, *, confidence: float, threshold: float = 0.5
) -> Improvement:
    """Paired percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).

    Args:
        name: metric; ``labels``, scores and ``threshold`` as in :func:`retrain_assets.gates.offline.metrics.metric_value`.
        labels: one a row.
        candidate: the candidate's scores.
        champion: the champion's scores of the same rows.
        weights: as :func:`resampling_weights` gives them, for these rows.
        confidence: of each bound, one-sided.
    """
    ours = metric_value(name, labels, candidate, threshold=threshold)
    theirs = metric_value(name, labels, champion, threshold=threshold)
    if ours is None or theirs is None:
        return UNDEFINED
    drawn = metric_resampled(name, labels, candidate, weights, threshold=threshold)
    drawn = drawn - metric_resampled(name, labels, champion, weights, threshold=threshold)
    drawn = improvement_sign(name) * drawn[np.isfinite(drawn)]
    if drawn.size < len(weights) / 2:
        return UNDEFINED
    lower, upper = np.quantile(drawn, [1 - confidence, confidence])
    return Improvement(improvement_sign(name) * (ours - theirs), float(lower), float(upper))


def delong_improvement(labels: Array, candidate: Array, champion: Array, units: Array, *, confidence: float) -> Improvement:
    """Bounds of a paired difference of two areas under the ROC curve, without resampling.

    DeLong, DeLong and Clarke-Pearson, Comparing the areas under two or more correlated receiver operating characteristic
    curves, Biometrics 1988, by mid-ranks (Sun and Xu, Fast implementation of DeLong's algorithm, IEEE SPL 2014);
    the components are summed per unit before they are squared (Obuchowski, Nonparametric analysis of clustered ROC
    curve data, Biometrics 1997).

    Args:
        labels: 0/1, one a row.
        candidate: the candidate's scores.
        champion: the champion's scores of the same rows.
        units: unit of every row.
        confidence: of each bound, one-sided.
    """
    positive = labels.astype(bool)
    if positive.all() or not positive.any():
        return UNDEFINED
    ours, theirs = _placements(positive, candidate), _placements(positive, champion)
    estimate = float((ours - theirs)[positive].mean())
    influence = ours - theirs - estimate
    influence[positive] /= positive.sum()
    influence[~positive] /= (~positive).sum()
    names, member = np.unique(units, return_inverse=True)
    if len(names) < 2:
        return UNDEFINED
    per_unit = np.bincount(member, weights=influence)
    error = float(np.sqrt((per_unit**2).sum() * len(names) / (len(names) - 1)))
    reach = NormalDist().inv_cdf(confidence) * error
    return Improvement(estimate, estimate - reach, estimate + reach)


def _placements(positive: Array, scores: Array) -> Array:
    """For a positive the share of negatives below it, for a negative the share of positives above it, ties one half."""
    ranks = mid_ranks(scores)
    inside = np.empty(len(scores))
    inside[positive], inside[~positive] = mid_ranks(scores[positive]), mid_ranks(scores[~positive])
    n_positive, n_negative = positive.sum(), (~positive).sum()
    below = ranks - inside
    return np.asarray(np.where(positive, below / n_negative, 1 - below / n_positive))
