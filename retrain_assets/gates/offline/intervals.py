"""One-sided bounds of the difference between two models scored on the same rows: paired bootstrap, or linearised (DeLong)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrain_assets.gates.offline.carriers import carriers, too_few
from retrain_assets.gates.offline.influence import influence
from retrain_assets.gates.offline.metrics import improvement_sign, metric_value
from retrain_assets.gates.offline.resampling import Resamples, metric_of_resamples

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Improvement:
    """How much better the candidate is than the champion, positive is better, in the metric's unit.

    ``lower`` and ``upper`` are one-sided bounds, each at the stated confidence; all three are None where the metric is
    undefined on these rows, the bounds also where too few units carry the metric (see carriers.py).
    """

    estimate: float | None
    lower: float | None
    upper: float | None


UNDEFINED = Improvement(None, None, None)


def bootstrap_improvement(
    name: str,
    labels: Array,
    candidate: Array,
    champion: Array,
    resamples: Resamples,
    *,
    confidence: float,
    threshold: float = 0.5,
) -> Improvement:
    """Paired percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).

    Args:
        name: metric; ``labels``, scores and ``threshold`` as in :func:`retrain_assets.gates.offline.metrics.metric_value`.
        labels: one a row.
        candidate: the candidate's scores.
        champion: the champion's scores of the same rows.
        resamples: as :func:`~retrain_assets.gates.offline.resampling.resampled_units` gives them, for these rows.
        confidence: of each bound, one-sided.
        threshold: of the positive decision.
    """
    ours = metric_value(name, labels, candidate, threshold=threshold)
    theirs = metric_value(name, labels, champion, threshold=threshold)
    if ours is None or theirs is None:
        return UNDEFINED
    drawn = metric_of_resamples(name, labels, candidate, resamples, threshold=threshold)
    drawn = drawn - metric_of_resamples(name, labels, champion, resamples, threshold=threshold)
    sign = improvement_sign(name)
    return percentile_improvement(sign * (ours - theirs), sign * drawn, confidence)


def percentile_improvement(estimate: float, drawn: Array, confidence: float) -> Improvement:
    """The bounds of a bootstrap: percentiles of the samples in which the difference is defined, where it is in half of them.

    Args:
        estimate: the difference on all rows, positive is better.
        drawn: the same in each sample, NaN where it is undefined.
        confidence: of each bound, one-sided.
    """
    found = drawn[np.isfinite(drawn)]
    if found.size < len(drawn) / 2:
        return UNDEFINED
    lower, upper = np.quantile(found, [1 - confidence, confidence])
    return Improvement(estimate, float(lower), float(upper))


def linearised_improvement(
    name: str,
    labels: Array,
    candidate: Array,
    champion: Array,
    units: Array | None,
    *,
    confidence: float,
    threshold: float = 0.5,
) -> tuple[Improvement, float | None]:
    """Bounds of a paired difference from the influence of each unit, and the p-value of "not worse at all" (one-sided).

    For areas under the ROC curve these are DeLong's bounds, its components (see
    :func:`~retrain_assets.gates.offline.influence.influence`) summed per unit before they are squared (Obuchowski, Nonparametric
    analysis of clustered ROC curve data, Biometrics 1997).

    Arguments as :func:`bootstrap_improvement`; ``units`` is the number of the unit of every row, None when every row is a unit of
    its own.
    """
    if len(labels) == 0:
        return UNDEFINED, None
    moved = [influence(name, labels, scores, threshold=threshold) for scores in (candidate, champion)]
    carried = carriers(name, labels, (candidate, champion), units, threshold=threshold)
    return improvement_of(name, moved[0], moved[1], units, confidence=confidence, carried=carried)


def improvement_of(
    name: str,
    candidate: tuple[float, Array] | None,
    champion: tuple[float, Array] | None,
    units: Array | None,
    *,
    confidence: float,
    carried: int | None = None,
) -> tuple[Improvement, float | None]:
    """Bounds and p-value out of the metric and the rows' influences on it, of both models.

    Student's t with Satterthwaite's degrees of freedom (An approximate distribution of estimates of variance components,
    Biometrics Bulletin 1946), taken from how unequal the units' squared contributions are: where a few of many units make the
    difference, there are few degrees of freedom, and the bounds are wide. Where skewness makes them wider still, it is taken out
    by Hall's transformation (On the removal of skewness by transformation, JRSS B 1992), so that a few large losses of one model
    that these rows happen to lack do not pass for harm of the other.

    The influences of few ``carried`` units (of three positives on the recall) know little of how much others would differ, and
    nothing where all agree. So these units alone make the degrees of freedom, and the p-value is never below that of a sign test
    in which all of them agree; where even that is no evidence at the confidence, there are no bounds.
    """
    from scipy.special import stdtr, stdtrit

    if candidate is None or champion is None:
        return UNDEFINED, None
    (ours, by_candidate), (theirs, by_champion) = candidate, champion
    sign = improvement_sign(name)
    estimate = sign * (ours - theirs)
    if abs(estimate) <= 1e-12 * (abs(ours) + abs(theirs)):
        estimate = 0.0
    moves = sign * per_unit(by_candidate - by_champion, units)
    count = len(moves) if carried is None else min(carried, len(moves))
    largest = max(float(moves.max(initial=0.0)), -float(moves.min(initial=0.0)))
    if too_few(count, confidence) or not np.isfinite(largest):
        return Improvement(estimate, None, None), None
    scale = 1.0 if largest < 1e60 else largest
    moves = moves / scale if scale > 1 else moves
    total = float((moves**2).sum())
    error = scale * float(np.sqrt(total * count / (count - 1)))
    if error <= 1e-9 * (abs(ours) + abs(theirs)):
        return Improvement(estimate, estimate, estimate), 0.5**count if estimate < 0 else 1.0
    unequal = float((moves**4).sum()) - total**2 / len(moves)
    freedom = max(1.0, min(count - 1.0, 2 * total**2 / unequal) if unequal > 0 else count - 1.0)
    skewness = float((moves**3).sum()) / total**1.5
    reach = float(stdtrit(freedom, confidence))
    lower = estimate - error * max(reach, _with_skewness(reach, skewness))
    upper = estimate - error * min(-reach, _with_skewness(-reach, skewness))
    studentised = estimate / error
    p_value = float(stdtr(freedom, max(studentised, _without_skewness(studentised, skewness))))
    return Improvement(estimate, lower, upper), max(p_value, 0.5**count)


def _without_skewness(value: float, skewness: float) -> float:
    """Hall's transformation of a studentised value; ``skewness`` is that of the sum."""
    return value + skewness * value**2 / 3 + skewness**2 * value**3 / 27 + skewness / 6


def _with_skewness(value: float, skewness: float) -> float:
    """The inverse of :func:`_without_skewness`."""
    if abs(skewness) < 1e-6:
        return value
    return float(3 * (np.cbrt(1 + skewness * (value - skewness / 6)) - 1) / skewness)


def per_unit(values: Array, units: Array | None) -> Array:
    """Sums over the rows of each unit that has rows; ``units`` as in :func:`linearised_improvement`."""
    if units is None:
        return values
    if len(units) * 8 < int(units.max(initial=0)):
        units = np.unique(units, return_inverse=True)[1]
    return np.bincount(units, weights=values)[np.bincount(units) > 0]
