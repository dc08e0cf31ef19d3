"""Anytime-valid bounds for shares with few events, where an estimated variance (often 0) says nothing.

For independent values X_i in 0..1 with means mu_i and any theta > 0, E[theta^X_i] <= exp((theta - 1) mu_i). So with
S = sum X_i and M = sum mu_i, theta^S exp(-(theta - 1) M) is a supermartingale starting at 1, whatever way the means drift.
Mixing it over theta ~ Gamma(a, a) keeps that and has the closed form

    ln E(M) = M + a ln a + lnGamma(a + S) - lnGamma(a) - (a + S) ln(a + M).

By Ville's inequality {M : E(M) < 1 / alpha} holds the true M at every look at once with probability 1 - alpha.
Sources: Robbins, "Statistical methods related to the law of the iterated logarithm" (1970), the method of mixtures; Howard,
Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences" (Annals of Statistics 49, 2021), the
conjugate mixtures, of which this is the gamma-Poisson one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from retrain_assets.experiment.estimation.statistics import ArmStatistics, MeasureStatistics, StratumStatistics

FEW_EVENTS = 20
"""A share with fewer events, or fewer non-events, in either arm gets exact bounds."""

_SHAPE = 0.5
"""a of the mixing Gamma(a, a): mean 1 (no deviation), wide enough for a tenfold one."""


@dataclass(frozen=True, slots=True)
class ShareBounds:
    """Anytime-valid limits of both arms' mean shares, at the challenger's mix of strata."""

    champion_mean: float
    champion_lower: float
    champion_upper: float
    challenger_mean: float
    challenger_lower: float
    challenger_upper: float
    n_champion: int
    n_challenger: int


def expected_events_bounds(events: float, alpha: float) -> tuple[float, float]:
    """Limits (lower, upper) of the expected number of events, given the observed sum of values in 0..1.

    Holds at all looks at once, each limit and both together with error at most ``alpha``; exact for drifting rates.

    Raises:
        ValueError: for negative events or alpha outside (0, 1).
    """
    if not (events >= 0 and math.isfinite(events) and 0 < alpha < 1):
        raise ValueError(f"events {events} must not be negative and alpha {alpha} must lie in (0, 1)")
    a = _SHAPE
    power = a + events
    constant = a * math.log(a) + math.lgamma(power) - math.lgamma(a) + math.log(alpha)
    lower = _root(0.0, power, constant) if constant > power * math.log(a) else 0.0
    level = -math.log(alpha)
    beyond = events + 1 + level + math.sqrt(2 * events * level)
    while beyond + constant < power * math.log(a + beyond):
        beyond *= 2
    return lower, _root(beyond, power, constant)


def mean_bounds(total: float, n: int, alpha: float) -> tuple[float, float]:
    """Limits (lower, upper) of the mean of n values in 0..1 with the given total.

    Events and non-events are each bounded at half the level, so that shares near 0 and near 1 are both bounded well.
    """
    low, high = expected_events_bounds(total, alpha / 2)
    other_low, other_high = expected_events_bounds(max(n - total, 0.0), alpha / 2)
    return max(low / n, 1 - other_high / n, 0.0), min(high / n, 1 - other_low / n, 1.0)


def few_events(statistics: MeasureStatistics) -> bool:
    """Whether a measure gets exact bounds: a share with fewer than ``FEW_EVENTS`` events, or non-events, in either arm.

    Counted are events of different units for sure: those of units in their first stratum, or those of the stratum with the most
    of them. A ratio is no share.
    """
    if statistics.is_ratio or not all(one.champion.is_share and one.challenger.is_share for one in statistics.strata):
        return False
    return any(
        max(math.fsum(one.first_sum for one in arm), *(one.sums[0] for one in arm)) < FEW_EVENTS
        or max(math.fsum(one.first_n - one.first_sum for one in arm), *(one.n - one.sums[0] for one in arm)) < FEW_EVENTS
        for arm in ([one.champion for one in statistics.strata], [one.challenger for one in statistics.strata])
        if arm
    )


def share_bounds(strata: Sequence[StratumStatistics], alpha: float) -> ShareBounds | None:
    """Limits of both arms' shares; None when no stratum has a unit in each arm that is there for the first time.

    Only units in their first stratum with traffic count: the bounds need independent values, and a unit that returns is not.

    The challenger's events are taken over all its units: the bound holds for drifting rates. The champion is bounded stratum by
    stratum and standardised to the challenger's mix, so arms are never pooled over different mixes. Each arm has alpha / 2; the
    champion's k-th stratum has 1 / (k (k + 1)) of it, which sums to at most one however many strata come.

    Args:
        strata: one measure's strata, in any order; values in 0..1.
        alpha: error level of the difference of the arms, per side.
    """
    used = sorted((one for one in strata if one.champion.first_n and one.challenger.first_n), key=_revision)
    if not used:
        return None
    n_challenger = sum(one.challenger.first_n for one in used)
    total = math.fsum(_first_sum(one.challenger) for one in used)
    challenger_lower, challenger_upper = mean_bounds(total, n_challenger, alpha / 2)
    mean = lower = upper = 0.0
    for k, one in enumerate(used, start=1):
        share = one.challenger.first_n / n_challenger
        champion, n = _first_sum(one.champion), one.champion.first_n
        low, high = mean_bounds(champion, n, alpha / 2 / (k * (k + 1)))
        mean, lower, upper = mean + share * champion / n, lower + share * low, upper + share * high
    return ShareBounds(
        champion_mean=mean,
        champion_lower=lower,
        champion_upper=min(upper, 1.0),
        challenger_mean=total / n_challenger,
        challenger_lower=challenger_lower,
        challenger_upper=challenger_upper,
        n_champion=sum(one.champion.first_n for one in used),
        n_challenger=n_challenger,
    )


def _revision(one: StratumStatistics) -> int:
    return one.stratum.revision


def _first_sum(arm: ArmStatistics) -> float:
    """The sum that values in 0..1 can have; taking units away again leaves a rounding residue."""
    return min(max(arm.first_sum, 0.0), float(arm.first_n))


def _root(outside: float, power: float, constant: float) -> float:
    """Where M + constant - power ln(a + M) is 0, from an M where it is above: it is convex, so Newton's steps stay outside."""
    while True:
        above = outside + constant - power * math.log(_SHAPE + outside)
        step = above / (1 - power / (_SHAPE + outside))
        if not above > 0 or abs(step) <= 1e-13 * (1 + outside):
            return outside
        outside -= step
