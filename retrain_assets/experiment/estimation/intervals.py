"""Which interval a measure gets: the asymptotic sequence, the exact bounds for few events, or none with the reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from retrain_assets.experiment.estimation.difference import Difference, information_clock, radius
from retrain_assets.experiment.estimation.linearised import LARGEST_IMBALANCE
from retrain_assets.experiment.estimation.rare_events import few_events, share_bounds
from retrain_assets.experiment.estimation.statistics import MeasureStatistics
from retrain_assets.experiment.estimation.stratified import stratified_difference

Method = Literal["asymptotic", "exact", "quantile"]

EXACT_SPENDING = 0.25
"""Part of alpha that the exact bounds spend, on top of the asymptotic sequence that takes over from them."""

MIN_UNITS = 30
"""Units in each arm below which no asymptotic interval is read."""

MIN_RATIO_UNITS = 30
"""Units in each arm of a stratum below which its ratio is left out: the delta method needs a denominator that is no accident."""

DENOMINATOR_ERRORS = 4.0
"""Standard errors that the mean denominator of every stratum and arm must be above 0."""


PREDICTED = 1e-11
"""Share of the variance of both means below which what the covariates leave of it is rounding noise."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Error level and tuning of a confidence sequence.

    Args:
        alpha: one-sided error level of each limit, in (0, 0.5).
        planned_units: units of both arms at which the sequence is tightest.
        reference_share: challenger share (0..1, exclusive) those units are planned at.
    """

    alpha: float
    planned_units: int
    reference_share: float


class Limits(NamedTuple):
    """Limits of the difference challenger minus champion; a relative one None where the champion's mean may be too near 0."""

    lower: float
    upper: float
    relative_lower: float | None
    relative_upper: float | None


@dataclass(frozen=True, slots=True)
class Interval:
    """Anytime-valid limits of the difference challenger minus champion, absolute and relative.

    Each limit has its own one-sided error. Where the champion's mean cannot be told from 0 there is no relative estimate, and one
    relative limit at most: that of a difference which is far from 0 for any such mean.
    ``planned`` are the limits at a planned look, with the multiplier of its group-sequential boundary; None without one.
    A quantile's limit may be infinite. ``note`` says why and what it takes, or why covariates were not adjusted for.
    """

    champion_mean: float
    challenger_mean: float
    estimate: float
    lower: float
    upper: float
    relative_estimate: float | None
    relative_lower: float | None
    relative_upper: float | None
    n_champion: int
    n_challenger: int
    method: Method
    variance_saved: float | None = None
    planned: Limits | None = None
    note: str | None = None


def interval_of(
    statistics: MeasureStatistics,
    tuning: Tuning,
    *,
    upper_alpha: float | None = None,
    planned_z: float | None = None,
    is_share: bool = True,
) -> Interval | str:
    """The interval of one measure, or in words why there is none yet.

    A measure all of whose values lie in 0..1 and that has few events or non-events in an arm gets the exact bounds of
    :mod:`rare_events`. Everything else gets the asymptotic sequence on the stage-stratified difference,
    once both arms have ``MIN_UNITS`` units and both vary.

    Args:
        statistics: the measure's strata with traffic, sums of real values (see :mod:`soundness`).
        tuning: error level (of the lower limit) and tuning.
        upper_alpha: error level of the upper limit; the same by default.
        planned_z: multiplier of the standard error at a planned look; None when this is none.
        is_share: whether a unit's value lies in 0..1 whatever comes. Else that is only believed once a value above 0 is there.
    """
    upper_alpha = tuning.alpha if upper_alpha is None else upper_alpha
    if few_events(statistics):
        if not is_share and not any(one.champion.sum or one.challenger.sum for one in statistics.strata):
            return (
                "all values are 0 so far, which does not say how large one can be (if none can be above 1, write "
                "winsorise: {at_least: 0, at_most: 1})"
            )
        return _exact(statistics, tuning.alpha, upper_alpha, planned=planned_z is not None)
    difference = difference_of(statistics)
    if isinstance(difference, str):
        return difference
    if reason := _unreadable(difference, statistics):
        return reason
    return _asymptotic(difference.guarded(), tuning, upper_alpha, planned_z)


def difference_of(statistics: MeasureStatistics) -> Difference | str:
    """The stage-stratified difference, or in words why there is none: no stage with enough units, or denominators near 0."""
    if not statistics.is_ratio:
        return stratified_difference(statistics) or "no stage has two matured units in each arm"
    if reason := _denominators(statistics):
        return reason
    difference = stratified_difference(statistics, least_units=MIN_RATIO_UNITS)
    return difference or f"no stage has {MIN_RATIO_UNITS} matured units in each arm"


def _unreadable(difference: Difference, statistics: MeasureStatistics) -> str | None:
    n_champion, n_challenger = difference.n_champion, difference.n_challenger
    if statistics.overlaps:
        n_champion, n_challenger = (_different_units(statistics, arm) for arm in ("champion", "challenger"))
    if n_champion < MIN_UNITS or n_challenger < MIN_UNITS:
        return f"an interval needs {MIN_UNITS} matured units in each arm (champion {n_champion}, challenger {n_challenger})"
    for arm, variance, mean in (
        ("champion", difference.champion_variance, difference.champion_mean),
        ("challenger", difference.challenger_variance, difference.challenger_mean),
    ):
        if not variance > 0:
            return f"all values of the {arm} are equal within each stage (mean {mean:.4g}), which gives no measure of chance"
    if not difference.variance > PREDICTED * (difference.champion_variance + difference.challenger_variance):
        return "the covariates leave nothing of the values to vary, which gives no measure of chance"
    if not difference.unit_variance > PREDICTED * difference.variance:
        return "the sums of units in several stages are not those of any values; aggregate the experiment anew"
    return None


def _different_units(statistics: MeasureStatistics, arm: str) -> int:
    """Units of an arm that are different ones for sure: a unit that returns is no new one."""
    units = [one.champion.n if arm == "champion" else one.challenger.n for one in statistics.strata]
    if max(units) >= MIN_UNITS:
        return max(units)
    shared = sum(one.n for one in statistics.overlaps if one.first[1] == one.second[1] == arm)
    return max(*units, sum(units) - shared)


def _denominators(statistics: MeasureStatistics) -> str | None:
    """Why a ratio cannot be read: a denominator that may be 0."""
    for one in statistics.strata:
        if one.champion.n < MIN_RATIO_UNITS or one.challenger.n < MIN_RATIO_UNITS:
            continue
        for name, arm in (("champion", one.champion), ("challenger", one.challenger)):
            n, total, squares = arm.n, arm.sums[1], arm.products[len(arm.sums)]
            error = math.sqrt(max(squares - total * total / n, 0.0) * n / (n - 1))
            if not total > DENOMINATOR_ERRORS * error:
                return (
                    f"the denominator of the {name} in stage {one.stratum.stage} (revision {one.stratum.revision}, "
                    f"mean {total / n:.4g}) cannot be told from 0, so the ratio is not defined"
                )
    return None


def _asymptotic(difference: Difference, tuning: Tuning, upper_alpha: float, planned_z: float | None) -> Interval:
    clock = information_clock(difference, tuning.reference_share)
    below = radius(1.0, clock=clock, alpha=tuning.alpha, planned_units=tuning.planned_units)
    above = below
    if upper_alpha != tuning.alpha:
        above = radius(1.0, clock=clock, alpha=upper_alpha, planned_units=tuning.planned_units)
    limits = _limits(difference, below, above)
    defined = limits.relative_lower is not None and limits.relative_upper is not None
    return Interval(
        difference.champion_mean,
        difference.challenger_mean,
        difference.estimate,
        limits.lower,
        limits.upper,
        difference.relative_estimate if defined else None,
        limits.relative_lower,
        limits.relative_upper,
        difference.n_champion,
        difference.n_challenger,
        "asymptotic",
        difference.variance_saved,
        None if planned_z is None else _limits(difference, planned_z, planned_z),
        _imbalanced(difference) if difference.imbalance > LARGEST_IMBALANCE else None,
    )


def _imbalanced(difference: Difference) -> str:
    return (
        f"not adjusted: the arms differ in their covariates by {difference.imbalance:.1f} standard errors; "
        "find out for whom they are missing, or how the arm changes them"
    )


def _limits(difference: Difference, below: float, above: float) -> Limits:
    """Limits at ``below`` and ``above`` standard errors from the estimate."""
    estimate, error = difference.estimate, math.sqrt(difference.variance)
    lower = _relative_limits(difference, below)
    upper = lower if above == below else _relative_limits(difference, above)
    return Limits(estimate - below * error, estimate + above * error, lower[0], upper[1])


def _relative_limits(difference: Difference, multiplier: float) -> tuple[float | None, float | None]:
    """Limits of the change relative to the champion's absolute mean, after Fieller.

    For every ratio q of the means, challenger - q champion has a confidence sequence of its own with the same multiplier of its
    standard error; the limits are those q at which it just touches 0. So the relative limits exclude 0 exactly when the absolute
    ones do, which limits by the delta method do not. Where the champion's mean may be 0 one limit at most is left, see
    :func:`_nearest`.

    Source: E. C. Fieller, "Some problems in interval estimation", J. R. Stat. Soc. B 16 (1954) 175-185.
    """
    champion, challenger = difference.champion_mean, difference.challenger_mean
    squared = multiplier * multiplier
    a = champion * champion - squared * difference.champion_variance
    c = challenger * challenger - squared * difference.challenger_variance
    product = champion * challenger - squared * difference.covariance
    if not a > 0:
        nearest = _nearest(a, product, c)
        return (nearest, None) if difference.estimate > 0 else (None, None if nearest is None else -nearest)
    root = math.sqrt(max(product * product - a * c, 0.0))
    low, high = (product - root) / a, (product + root) / a
    return (low - 1, high - 1) if champion > 0 else (1 - high, 1 - low)


def _nearest(a: float, product: float, c: float) -> float | None:
    """How far from 0 the relative change is at least, whichever side of 0 the champion's mean is on; None when it may be 0.

    Where that mean may be 0, the ratios that are excluded lie between the roots. A change of r or less of an absolute mean is
    excluded when both ratios 1 - r and 1 + r are (intersection-union), so what is shown reaches to the root nearer to 1.
    """
    squared = product * product - a * c
    if not (a < 0 < squared and a - 2 * product + c > 0):
        return None
    far = product + math.copysign(math.sqrt(squared), product)
    low, high = sorted((far / a, c / far))
    return max(min(1 - low, high - 1), 0.0)


def _exact(statistics: MeasureStatistics, lower_alpha: float, upper_alpha: float, *, planned: bool) -> Interval | str:
    bounds = share_bounds(statistics.strata, lower_alpha * EXACT_SPENDING)
    if bounds is None:
        return "no stage has a matured unit in each arm that was in no stage before"
    above = bounds
    if upper_alpha != lower_alpha:
        above = share_bounds(statistics.strata, upper_alpha * EXACT_SPENDING) or bounds
    limits = Limits(
        bounds.challenger_lower - bounds.champion_upper,
        above.challenger_upper - above.champion_lower,
        bounds.challenger_lower / bounds.champion_upper - 1,
        above.challenger_upper / above.champion_lower - 1 if above.champion_lower > 0 else None,
    )
    relative = bounds.challenger_mean / bounds.champion_mean - 1 if bounds.champion_lower > 0 else None
    return Interval(
        bounds.champion_mean,
        bounds.challenger_mean,
        bounds.challenger_mean - bounds.champion_mean,
        *limits[:2],
        relative,
        *limits[2:],
        bounds.n_champion,
        bounds.n_challenger,
        "exact",
        None,
        limits if planned else None,
    )
