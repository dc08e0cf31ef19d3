"""Does one number go with another? Pearson's and Spearman's correlation with intervals that are honest about few points. Pure.

Sources: Fisher, "On the 'probable error' of a coefficient of correlation deduced from a small sample", Metron 1 (1921), for
Pearson's interval on the atanh scale; Bonett and Wright, "Sample size requirements for estimating Pearson, Kendall and Spearman
correlations", Psychometrika 65 (2000), for the standard error of Spearman's. Both divide by n - 3, so three points say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

FEWEST = 3
"""Points below which there is no correlation to speak of."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """A correlation.

    Args:
        value: -1..1.
        lower: of the two-sided interval.
        upper: the same.
        points: it rests on.
        confidence: of the interval.
    """

    value: float
    lower: float
    upper: float
    points: int
    confidence: float

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict."""
        return asdict(self)


def pearson(x: Sequence[float], y: Sequence[float], confidence: float = 0.95) -> Correlation | None:
    """How far the points lie on a line; None below three points, or where one side does not vary.

    Args:
        x: one side.
        y: the other, in the same order.
        confidence: two-sided, 0..1.
    """
    if len(x) < FEWEST:
        return None
    mean_x, mean_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
    dx, dy = [one - mean_x for one in x], [one - mean_y for one in y]
    scale = math.sqrt(math.fsum(one * one for one in dx)) * math.sqrt(math.fsum(one * one for one in dy))
    if not scale > 0:
        return None
    value = round(max(-1.0, min(1.0, math.fsum(a * b for a, b in zip(dx, dy, strict=True)) / scale)), 12)
    return _with_interval(value, len(x), 1.0, confidence)


def spearman(x: Sequence[float], y: Sequence[float], confidence: float = 0.95) -> Correlation | None:
    """How far the order of the points is the same on both sides, ties at their mean rank; None as :func:`pearson`."""
    found = pearson(ranks(x), ranks(y), confidence)
    return None if found is None else _with_interval(found.value, len(x), 1 + found.value**2 / 2, confidence)


def ranks(values: Sequence[float]) -> list[float]:
    """Rank of each value from 1; equal values share the mean of their ranks."""
    order = sorted(values)
    return [order.index(value) + (order.count(value) + 1) / 2 for value in values]


def _with_interval(value: float, points: int, inflation: float, confidence: float) -> Correlation:
    """The interval on the atanh scale, its variance ``inflation / (points - 3)``."""
    if points <= FEWEST:
        return Correlation(value, -1.0, 1.0, points, confidence)
    most = 1 - 1 / (2 * points * points)  # of points in perfect order no variance is left; atanh of 1 has no end
    width = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(inflation / (points - 3))
    middle = math.atanh(max(-most, min(most, value)))
    lower, upper = math.tanh(middle - width), math.tanh(middle + width)
    return Correlation(value, min(lower, value), max(upper, value), points, confidence)
