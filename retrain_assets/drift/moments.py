"""Mean, standard deviation and skewness of a sample, and of two samples together without their values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BLOCK = 16_384


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of finite values.

    Args:
        size: number of values.
        mean: their mean; None without any.
        std: their standard deviation (divisor n); None without any.
        skewness: third central moment over the cube of std; 0 for equal values; None without any, or where it was not recorded.
    """

    size: int
    mean: float | None
    std: float | None
    skewness: float | None

    def __add__(self, more: Moments) -> Moments:
        """The moments of both samples together, up to rounding (some 1e-15 of the largest value).

        Source: Pébay, "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order statistical
        moments", Sandia report SAND2008-6212, 2008, section 3.
        """
        if self.mean is None or self.std is None:
            return more
        if more.mean is None or more.std is None:
            return self
        total, gap = self.size + more.size, more.mean - self.mean
        mean = self.mean + gap * (more.size / total)
        scale = max(self.std, more.std, abs(gap))
        if scale == 0:
            return Moments(total, mean, 0.0, None if self.skewness is None or more.skewness is None else 0.0)
        one, other, gap = self.std / scale, more.std / scale, gap / scale
        part, rest = self.size / total, more.size / total
        variance = part * one**2 + rest * other**2 + part * rest * gap**2
        skewness = None
        if self.skewness is not None and more.skewness is not None:
            third = part * self.skewness * one**3 + rest * more.skewness * other**3
            third += part * rest * (part - rest) * gap**3 + 3 * part * rest * gap * (other**2 - one**2)
            skewness = third / variance**1.5
        return Moments(total, mean, scale * math.sqrt(variance), skewness)


def moments_of(values: npt.NDArray[np.float64], lowest: float | None, highest: float | None) -> Moments:
    """Moments of finite values, whose lowest and highest are known; None without any."""
    if lowest is None or highest is None:
        return Moments(0, None, None, None)
    largest = max(abs(lowest), abs(highest))
    cubes_fit = largest == 0 or 1e-90 < largest < 1e90
    scale = 1.0 if cubes_fit else math.ldexp(1.0, math.frexp(largest)[1] - 1)
    mean = float(values.mean()) if cubes_fit else float((values / scale).mean())
    second, third = _central_sums(values, mean, scale)
    variance = second / len(values)
    if lowest == highest or variance == 0:
        return Moments(len(values), lowest, 0.0, 0.0)
    return Moments(len(values), mean * scale, math.sqrt(variance) * scale, third / len(values) / variance**1.5)


def _central_sums(values: npt.NDArray[np.float64], mean: float, scale: float) -> tuple[float, float]:
    """Sums of squares and cubes around the mean, of values in units of scale, in blocks that stay in the processor's cache."""
    second = third = 0.0
    away, squares = np.empty(BLOCK), np.empty(BLOCK)
    for begin in range(0, len(values), BLOCK):
        block = values[begin : begin + BLOCK]
        around, squared = away[: len(block)], squares[: len(block)]
        if scale == 1:
            np.subtract(block, mean, out=around)
        else:
            np.divide(block, scale, out=around)
            around -= mean
        np.multiply(around, around, out=squared)
        second += float(np.add.reduce(squared))
        squared *= around
        third += float(np.add.reduce(squared))
    return second, third
