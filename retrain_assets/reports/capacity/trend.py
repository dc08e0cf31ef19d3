"""A line through a few measurements, some of them far off, and what it says of a place where nothing was measured yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.9
"""Chance that an interval holds the value it is about."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is expected of a positive quantity, with the interval it lies in nine times of ten."""

    expected: float
    low: float
    high: float

    def times(self, factor: float) -> Estimate:
        """The same in another unit, or of so many."""
        return Estimate(self.expected * factor, self.low * factor, self.high * factor)

    def to_json(self) -> dict[str, float]:
        """JSON-able values."""
        return {"expected": self.expected, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Trend:
    """A line at a place: its value there, half the width of the interval for one new value, and the line's slope."""

    value: float
    width: float
    slope: float

    def from_logarithm(self) -> Estimate:
        """The quantity whose logarithm the line is of."""
        low, high = self.value - self.width, self.value + self.width
        return Estimate(math.exp(self.value), math.exp(low), math.exp(high))


def trend(
    x: Sequence[float], y: Sequence[float], at: float, *, spread: float = 0.0, slope: float | None = None, steepest: float
) -> Trend:
    """What a robust line through measurements says of a place.

    Median of all pairs' slopes (Theil, A rank-invariant method of linear and polynomial regression analysis, 1950; Sen, Estimates
    of the regression coefficient based on Kendall's tau, 1968), median intercept. The spread about the line is its mean absolute
    residual, brought to a standard deviation as for a normal and to the degrees of freedom left; with it the interval for one new
    value of a least-squares line. On 4 to 20 simulated points it holds 91 to 95 per cent, with one point in ten doubled 96 to 98.

    Args:
        x: where was measured.
        y: what was measured.
        at: the place asked about.
        spread: standard deviation of the place itself, where it is a forecast too.
        slope: of the line, where it is known; None: the measurements'.
        steepest: largest slope the measurements may show, up or down.
    """
    from scipy import stats

    across, values = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    fitted = slope is None
    rise = min(max(_median_slope(across, values), -steepest), steepest) if slope is None else slope
    start = float(np.median(values - rise * across))
    residuals = values - start - rise * across
    free = len(values) - (2 if fitted else 1)
    deviation = float(np.abs(residuals).mean()) * math.sqrt(math.pi / 2) * len(values) / free
    away = across - across.mean()
    leverage = 1 + 1 / len(values) + ((at - across.mean()) ** 2 / float((away**2).sum()) if fitted else 0.0)
    width = float(stats.t.ppf((1 + CONFIDENCE) / 2, free)) * math.sqrt(deviation**2 * leverage + (rise * spread) ** 2)
    return Trend(start + rise * at, width, rise)


def _median_slope(x: np.ndarray, y: np.ndarray) -> float:
    first, second = np.triu_indices(len(x), 1)
    apart = x[second] - x[first]
    return float(np.median((y[second] - y[first])[apart != 0] / apart[apart != 0]))
