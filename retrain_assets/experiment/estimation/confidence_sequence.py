"""Asymptotic confidence sequences: intervals that may be looked at after every unit and stopped at any time.

Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences"
(Annals of Statistics 52, 2024; arXiv 2103.06476): section 2.2 (two-sided), appendices on one-sided sequences and on tuning rho.
"""

from __future__ import annotations

import math
from functools import lru_cache


@lru_cache(maxsize=256)
def tuning(planned_units: float, alpha: float) -> float:
    """The mixture parameter rho with which a two-sided sequence is tightest at ``planned_units``.

    Args:
        planned_units: sample size, in the clock of the sequence, at which the boundary should be tightest; above 0.
        alpha: two-sided error level in (0, 1).

    Raises:
        ValueError: for arguments outside these ranges.
    """
    if not (planned_units > 0 and math.isfinite(planned_units) and 0 < alpha < 1):
        raise ValueError(f"planned_units {planned_units} must be above 0 and alpha {alpha} in (0, 1)")
    return math.sqrt((-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / planned_units)


def two_sided_radius(n: float, variance: float, rho: float, alpha: float) -> float:
    """Half-width of the two-sided sequence around a mean.

    Args:
        n: units so far (the clock).
        variance: variance per unit of that clock.
        rho: mixture parameter, see :func:`tuning`.
        alpha: two-sided error level.

    Raises:
        ValueError: for arguments outside their ranges.
    """
    spread = _spread(n, variance, rho)
    return spread * math.sqrt(math.log(math.sqrt(n * rho * rho + 1) / _level(alpha, 1)))


def one_sided_radius(n: float, variance: float, rho: float, alpha: float) -> float:
    """Distance of one limit from the mean, when only this limit (or each limit at its own level) is used.

    The closed form bounds the half-normal mixture from above, so it is slightly conservative. Arguments as in
    :func:`two_sided_radius`, with ``alpha`` the one-sided level and ``rho = tuning(planned_units, 2 * alpha)``.

    Raises:
        ValueError: for arguments outside their ranges.
    """
    spread = _spread(n, variance, rho)
    return spread * math.sqrt(math.log1p(math.sqrt(n * rho * rho + 1) / (2 * _level(alpha, 0.5))))


def _spread(n: float, variance: float, rho: float) -> float:
    if not (n > 0 and rho > 0 and variance >= 0 and math.isfinite(n) and math.isfinite(variance)):
        raise ValueError(f"n {n} and rho {rho} must be above 0, variance {variance} finite and not negative")
    scaled = n * rho * rho
    return math.sqrt(variance * 2 * (scaled + 1) / (scaled * n))


def _level(alpha: float, limit: float) -> float:
    if not 0 < alpha < limit:
        raise ValueError(f"alpha {alpha} must lie in (0, {limit:g})")
    return alpha
