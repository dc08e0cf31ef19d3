"""How much a measure varies, for planning: read back from a recorded look, or from the champion's own traffic. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from retrain_assets.experiment.estimation.intervals import Tuning
from retrain_assets.experiment.estimation.measures import MeasureResult
from retrain_assets.experiment.estimation.quantiles import GREATEST, edges
from retrain_assets.experiment.estimation.statistics import ArmStatistics, MeasureStatistics
from retrain_assets.experiment.look import Look
from retrain_assets.experiment.planning.power import anytime_z

MIN_SEEN = 30
"""Units below which nothing is said about how much a measure varies."""

_WOODRUFF = 2.0
"""Standard errors of a share at which the limits of a quantile are read off."""

_SYMMETRIC = 1e-6


@dataclass(frozen=True, slots=True)
class Spread:
    """How much one measure varies.

    Args:
        champion_mean: its mean on the champion (a ratio's ratio, a quantile's quantile).
        variance: variance per unit: that of the estimated difference times its information, sum of n_c n_t / (n_c + n_t).
        units: units it rests on.
        is_share: whether every value lies in 0..1, so that few events get exact bounds.
    """

    champion_mean: float
    variance: float
    units: int
    is_share: bool = False


def spread_of_look(result: MeasureResult, look: Look, tuning: Tuning) -> Spread | None:
    """The spread of a measure, read back from the interval of a recorded look; None where that was not the asymptotic one.

    What covariates saved is in it.

    Args:
        result: the measure's result in the look.
        look: the look, for its stages' units.
        tuning: the tuning the look was made with.
    """
    width = _width_towards_harm(result)
    if width is None or result.champion_mean is None:
        return None
    information = _information(look, result.n_champion, result.n_challenger)
    if information is None:
        return None
    clock = information / (tuning.reference_share * (1 - tuning.reference_share))
    standard_error = width / anytime_z(clock, tuning.alpha, tuning.planned_units)
    return Spread(result.champion_mean, standard_error**2 * information, result.n_champion + result.n_challenger)


def _width_towards_harm(result: MeasureResult) -> float | None:
    """Distance of the limit that shows harm from the estimate: it has the plan's alpha, whatever the other has."""
    estimate, lower, upper = result.estimate, result.lower, result.upper
    if estimate is None or lower is None or upper is None or result.method in ("exact", "quantile"):
        return None
    width = upper - estimate if result.spec.direction == "increase" else estimate - lower
    if result.method is None and not math.isclose(upper - estimate, estimate - lower, rel_tol=_SYMMETRIC):
        return None  # an older look, which does not say that its bounds are those of few events
    return width if width > 0 else None


def spread_of_champion(statistics: MeasureStatistics, quantile: float | None = None) -> Spread | str:
    """The spread of a measure on the champion's own units, before any experiment; or in words why there is none.

    Covariates are left aside: what they will save is not known before both arms have traffic.

    Args:
        statistics: the measure over the champion's units.
        quantile: the quantile compared, for a quantile measure.
    """
    arms = [one.champion for one in statistics.strata if one.champion.n or one.champion.not_finite]
    if not arms:
        return "the champion has no matured unit with a value"
    units = sum(one.n for one in arms)
    if broken := sum(one.not_finite for one in arms):
        return f"{broken} of the champion's {units + broken} units have values that are not finite or cannot be; correct them"
    if units < MIN_SEEN:
        return f"the champion has {units} matured units with a value, {MIN_SEEN} are needed"
    if quantile is not None:
        return _of_quantile(arms, quantile, units)
    mean, variance = _of_ratio(arms) if statistics.is_ratio else _of_mean(arms)
    if not math.isfinite(mean) or not math.isfinite(variance):
        return "the champion's sums are those of no real values"
    share = not statistics.is_ratio and all(one.is_share for one in arms)
    if not variance > 0 and not share:
        return f"all {units:,} values of the champion are equal ({mean:.4g}), which gives no measure of chance"
    return Spread(mean, variance, units, share)


def _of_mean(arms: list[ArmStatistics]) -> tuple[float, float]:
    n = sum(one.n for one in arms)
    within = math.fsum(one.variance * (one.n - 1) for one in arms if one.n > 1)
    return math.fsum(one.sum for one in arms) / n, within / (n - 1)


def _of_ratio(arms: list[ArmStatistics]) -> tuple[float, float]:
    """Ratio of sums, and the variance of a unit's linearised value (Y - R D) / mean of D."""
    n = sum(one.n for one in arms)
    above, below = (math.fsum(one.sums[column] for one in arms) for column in (0, 1))
    if not below:
        return math.nan, math.nan
    ratio, columns = above / below, len(arms[0].sums)
    yy, yd, dd = (math.fsum(one.products[place] for one in arms) for place in (0, 1, columns))
    return ratio, max(yy - 2 * ratio * yd + ratio * ratio * dd, 0.0) / (n - 1) / (below / n) ** 2


def _of_quantile(arms: list[ArmStatistics], quantile: float, units: int) -> Spread | str:
    """The quantile of the requests and its variance per unit, units as clusters.

    Source: Woodruff, "Confidence intervals for medians and other position measures", J. Am. Stat. Assoc. 47 (1952) 635-646:
    limits of the share of requests up to the quantile, read off as limits of the quantile.
    """
    found = [one.requests for one in arms if one.requests is not None]
    if not found:
        return "the champion's requests are not known one by one"
    histogram = sum(found[1:], found[0])
    below, squared, crossed = (row.astype(float) for row in histogram.cumulated())
    shares = below / histogram.requests
    place = int(np.searchsorted(shares, quantile))
    least = histogram.requests * quantile * (1 - quantile)  # independent requests: a bin's end may lie far above the quantile
    squares = squared[place] - 2 * quantile * crossed[place] + quantile**2 * histogram.squares
    error = math.sqrt(max(float(squares), least)) / histogram.requests
    low, high = quantile - _WOODRUFF * error, quantile + _WOODRUFF * error
    if not 0 < low < high < 1:
        return f"the champion's {histogram.requests:,} requests are too few for the quantile {quantile:g}"
    ends = np.minimum(edges(), GREATEST)
    middle, lower, upper = (float(np.interp(one, shares, ends)) for one in (quantile, low, high))
    if not upper > lower:
        return f"the champion's values lie too close together around the quantile {quantile:g}, which gives no measure of chance"
    return Spread(middle, ((upper - lower) / (2 * _WOODRUFF)) ** 2 * units, units)


def _information(look: Look, n_champion: int, n_challenger: int) -> float | None:
    """Sum over the stages of n_c n_t / (n_c + n_t), the stages' units scaled to those the measure has."""
    live = [(one.champion.with_outcome, one.challenger.with_outcome) for one in look.stages if not one.is_shadow]
    champion, challenger = sum(c for c, _ in live), sum(t for _, t in live)
    if not champion or not challenger:
        return None
    scaled = [(c * n_champion / champion, t * n_challenger / challenger) for c, t in live]
    return sum(c * t / (c + t) for c, t in scaled if min(c, t) >= 2) or None
