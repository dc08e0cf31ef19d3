"""Logistic recalibration: by which intercept and slope the logits of a model would have to be corrected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
CLIPPED_AT = 1e-6
"""Probabilities nearer to 0 or 1 than this are moved here, as the logit of 0 and 1 is not finite."""
_SAMPLED_ABOVE = 100_000
"""With more rows the search starts from the fit of an evenly spaced sample; it always ends on all rows."""
_LAST_STEP = 1e-5
"""A smaller step is taken and is the last one: Newton's error after it is of the order of its square."""


@dataclass(frozen=True, slots=True)
class Recalibration:
    """logit P(label) = ``intercept`` + ``slope`` x logit(score), and ``in_the_large`` the intercept with the slope held at 1.

    A calibrated model has 0, 1 and 0. ``slope`` below 1: predictions are too extreme; ``in_the_large`` below 0: too high. None
    where the likelihood has no maximum: one class only, one score only, or scores that separate the classes completely.
    ``slope_error`` is the standard error of the slope, ``clipped`` counts rows whose score was within 1e-6 of 0 or 1.
    """

    slope: float | None = None
    slope_error: float | None = None
    intercept: float | None = None
    in_the_large: float | None = None
    clipped: int = 0


def recalibration(labels: Array, scores: Array) -> Recalibration:
    """Cox, Two further applications of a model for binary regression, Biometrika 1958; names after Van Calster et al.,
    Calibration: the Achilles heel of predictive analytics, BMC Medicine 2019. Fitted by maximum likelihood (Newton).

    Args:
        labels: 0/1, one a row.
        scores: probability of 1, one a row.
    """
    positive = labels.astype(bool)
    kept = np.clip(scores, CLIPPED_AT, 1 - CLIPPED_AT)
    clipped = int((kept != scores).sum())
    if positive.all() or not positive.any():
        return Recalibration(clipped=clipped)
    logits = np.log(kept) - np.log1p(-kept)
    outcomes = positive.astype(float)
    large = _maximum(outcomes, logits, fixed_slope=True)
    in_the_large = None if large is None else large[0]
    if _separated(positive, logits) or logits.max() - logits.min() < 1e-9:
        return Recalibration(in_the_large=in_the_large, clipped=clipped)
    found = _maximum(outcomes, logits, fixed_slope=False)
    if found is None:
        return Recalibration(in_the_large=in_the_large, clipped=clipped)
    intercept, slope, error = found
    return Recalibration(slope, error, intercept, in_the_large, clipped)


def _separated(positive: Array, logits: Array) -> bool:
    ours, theirs = logits[positive], logits[~positive]
    return bool(ours.min() >= theirs.max() or theirs.min() >= ours.max())


def _maximum(outcomes: Array, logits: Array, *, fixed_slope: bool) -> tuple[float, float, float] | None:
    """Intercept, slope and standard error of the slope; None where Newton finds no maximum."""
    start = (0.0, 1.0)
    if (step := len(logits) // _SAMPLED_ABOVE) > 0:
        sampled = _newton(outcomes[:: step + 1], logits[:: step + 1], start, fixed_slope)
        start = sampled[:2] if sampled is not None else start
    return _newton(outcomes, logits, start, fixed_slope)


def _newton(outcomes: Array, logits: Array, start: tuple[float, float], fixed_slope: bool) -> tuple[float, float, float] | None:
    at = np.array(start)
    loss, chance = _loss(outcomes, logits, at)
    for _ in range(60):
        rest, weight = outcomes - chance, chance * (1 - chance)
        weighted = weight * logits
        gradient = np.array([rest.sum(), rest @ logits])
        hessian = np.array([[weight.sum(), weighted.sum()], [weighted.sum(), weighted @ logits]])
        if fixed_slope:
            gradient[1], hessian[0, 1], hessian[1, 0], hessian[1, 1] = 0.0, 0.0, 0.0, 1.0
        determinant = hessian[0, 0] * hessian[1, 1] - hessian[0, 1] ** 2
        if not determinant > 0:
            return None
        step = np.array(
            [
                hessian[1, 1] * gradient[0] - hessian[0, 1] * gradient[1],
                hessian[0, 0] * gradient[1] - hessian[0, 1] * gradient[0],
            ]
        )
        step /= determinant
        if np.abs(step).max() < _LAST_STEP:
            error = 0.0 if fixed_slope else float(np.sqrt(hessian[0, 0] / determinant))
            return float(at[0] + step[0]), float(at[1] + step[1]), error
        factor = 1.0
        while (tried := _loss(outcomes, logits, at + factor * step))[0] > loss + 1e-9 * len(logits) and factor > 1e-6:
            factor /= 2
        at, (loss, chance) = at + factor * step, tried
    return None


def _loss(outcomes: Array, logits: Array, at: Array) -> tuple[float, Array]:
    """Negative log likelihood, and the probability of every row."""
    linear = at[0] + at[1] * logits
    small = np.exp(-np.abs(linear))
    chance = np.where(linear >= 0, 1.0, small) / (1 + small)
    return float(np.log1p(small).sum() + np.maximum(linear, 0).sum() - outcomes @ linear), chance
