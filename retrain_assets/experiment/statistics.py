"""Sufficient statistics of one measure: what every analysis here starts from. No intervals, no decisions."""

from __future__ import annotations

import math
from dataclasses import dataclass

SHADOW = "shadow"
"""The stage label of shadow traffic: the challenger scores, the champion answers."""

_ROUNDING = 1e-13
"""Share of the sum of squares below which a sum of squared deviations is rounding noise."""


@dataclass(frozen=True, slots=True)
class ArmStatistics:
    """Sufficient statistics of one measure over the units of one arm.

    Args:
        n: units with a value.
        sum: sum of the units' values, in the unit of the measure.
        sum_of_squares: sum of the squares of the units' values.
        least: smallest value, None when it is not known.
        greatest: largest value, None when it is not known.
    """

    n: int
    sum: float
    sum_of_squares: float
    least: float | None = None
    greatest: float | None = None

    def __add__(self, other: ArmStatistics) -> ArmStatistics:
        """The statistics of both groups of units together (which must not share a unit)."""
        if not self.n or not other.n:
            return self if self.n else other
        return ArmStatistics(
            self.n + other.n,
            self.sum + other.sum,
            self.sum_of_squares + other.sum_of_squares,
            None if self.least is None or other.least is None else min(self.least, other.least),
            None if self.greatest is None or other.greatest is None else max(self.greatest, other.greatest),
        )

    @property
    def mean(self) -> float:
        """Mean per unit; NaN without units."""
        return self.sum / self.n if self.n else math.nan

    @property
    def variance(self) -> float:
        """Unbiased variance between units (divisor n - 1); exactly 0 where all values are equal; NaN below two units."""
        if self.n < 2:
            return math.nan
        if self.least is not None and self.least == self.greatest:
            return 0.0
        deviations = self.sum_of_squares - self.sum * self.sum / self.n
        return deviations / (self.n - 1) if deviations > _ROUNDING * self.sum_of_squares else 0.0

    @property
    def is_share(self) -> bool:
        """Whether all values lie in 0..1 (a 0/1 column, or a unit's average of one).

        With the extremes this is known. Without them it is read off ``sum == sum_of_squares``, which holds for 0/1 values.
        """
        if not self.n:
            return True
        if self.least is not None and self.greatest is not None:
            return self.least >= 0 and self.greatest <= 1
        return math.isclose(self.sum, self.sum_of_squares, rel_tol=1e-12) and 0 <= self.sum <= self.n

    @property
    def problem(self) -> str | None:
        """Why these numbers cannot be statistics of real values; None when they can."""
        if self.n < 0:
            return f"a negative number of units ({self.n})"
        if not (math.isfinite(self.sum) and math.isfinite(self.sum_of_squares)):
            return "a value that is NaN or infinite"
        if not self.n and (self.sum or self.sum_of_squares):
            return "a sum without units"
        if self.n and self.sum * self.sum / self.n > self.sum_of_squares * (1 + 1e-9):
            return "a sum of squares smaller than the mean allows"
        return None


@dataclass(frozen=True, slots=True)
class Stratum:
    """Units that met the same toggle revision: one share of traffic, one period.

    Args:
        revision: revision of the toggle.
        stage: label of the ramp's stage: ``shadow``, ``5``, ``25`` ...
        segment: ``column=value`` where the stratum holds one segment only.
    """

    revision: int
    stage: str
    segment: str | None = None


@dataclass(frozen=True, slots=True)
class StratumStatistics:
    """One measure in one stratum, both arms."""

    stratum: Stratum
    champion: ArmStatistics
    challenger: ArmStatistics

    @property
    def weight(self) -> float:
        """Information on the difference of the arms: n_c n_t / (n_c + n_t), 0 when an arm is empty."""
        n_champion, n_challenger = self.champion.n, self.challenger.n
        return n_champion * n_challenger / (n_champion + n_challenger) if n_champion and n_challenger else 0.0
