"""When a count is more than chance: rows of one unit do not pass for independent evidence, and few rows do not shout."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def excess_p_value(hits: Array, expected: Array, squares: Array, effect: Array) -> Array:
    """How likely at least so many hits are when row i is a hit with chance q_i; one number a group of rows.

    The sum of unequal chances is taken as the binomial of the same mean and variance (Ehm, Binomial approximation to the Poisson
    binomial distribution, Statistics and Probability Letters 1991), on the effective number of rows (Korn and Graubard,
    Confidence intervals for proportions with small expected number of positive counts, Survey Methodology 1998).

    Args:
        hits: hits counted in each group.
        expected: sum of q_i in each group.
        squares: sum of the squares of q_i.
        effect: design effect of each group, at least 1; see :func:`design_effect`.
    """
    from scipy.special import betainc

    hits, expected, squares = (np.asarray(part, dtype=float) for part in (hits, expected, squares))
    p_values = np.where(hits > 0, 0.0, 1.0)
    possible = (expected > 0) & (squares > 0) & (hits > 0)
    chance = np.divide(squares, expected, out=np.ones_like(expected), where=possible)
    rows = np.divide(expected**2, squares, out=np.zeros_like(expected), where=possible) / effect
    seen = hits / effect
    inside = possible & (seen < rows + 1)
    p_values[inside] = betainc(seen[inside], (rows - seen + 1)[inside], np.minimum(chance[inside], 1.0))
    return np.asarray(p_values)


def design_effect(residuals: Array, units: Array | None, alike: float = 0.0) -> float:
    """How many times the variance of a mean grows because rows of one unit are alike; at least 1, and what ``alike`` brings.

    A few units of one slice show it badly, least of all where the slice happens to have few hits: then its units look like each
    other. What all rows show (:func:`alikeness`) is therefore the least that is allowed for.

    Args:
        residuals: one value a row.
        units: number of the unit of each row, 0..k-1; None when every row is a unit of its own.
        alike: correlation of two rows of one unit, 0..1.
    """
    rows = len(residuals)
    if units is None or rows < 2:
        return 1.0
    count = np.bincount(units)
    distinct = int((count > 0).sum())
    if distinct == rows:
        return 1.0
    centred = residuals - residuals.mean()
    total = float(centred @ centred)
    if distinct < 2 or total <= 1e-12 * rows:
        return rows / distinct
    per_unit = np.bincount(units, weights=centred)
    least = 1 + alike * (_size(count) - 1) if alike > 0 else 1.0
    return max(1.0, least, float(per_unit @ per_unit) / total * distinct / (distinct - 1))


def alikeness(residuals: Array, units: Array | None) -> float:
    """Correlation of two rows of one unit, 0..1, as the design effect of all rows shows it.

    With units of unequal size the effect is ``1 + (sum m^2 / sum m - 1) correlation`` (Kish, Survey Sampling, 1965, section 5.4).
    """
    if units is None or len(residuals) < 2:
        return 0.0
    count = np.bincount(units)
    size = _size(count)
    return min(1.0, (design_effect(residuals, units) - 1) / (size - 1)) if size > 1 else 0.0


def _size(count: Array) -> float:
    """Rows of the unit of a row, on average over rows."""
    rows = count.astype(float)
    return float(rows @ rows) / float(rows.sum())


def repeated(units: Array) -> Array | None:
    """The units, or None when every row is a unit of its own.

    Args:
        units: number of the unit of each row, 0..k-1, every number in use.
    """
    return None if len(units) == 0 or int(units.max()) + 1 == len(units) else units
