"""Which interval a measure gets: the asymptotic sequence, the exact bounds for few events, or none with the reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from retrain_assets.experiment.rare_events import share_bounds
from retrain_assets.experiment.statistics import ArmStatistics, StratumStatistics
from retrain_assets.experiment.stratified import Difference, information_clock, radius, stratified_difference

FEW_EVENTS = 20
"""A share with fewer events, or fewer non-events, in either arm gets exact bounds."""

EXACT_SPENDING = 0.25
"""Part of alpha that the exact bounds spend, on top of the asymptotic sequence that takes over from them."""

MIN_UNITS = 30
"""Units in each arm below which no asymptotic interval is read."""


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


@dataclass(frozen=True, slots=True)
class Interval:
    """Anytime-valid limits of the difference challenger minus champion, absolute and relative.

    Each limit has one-sided error alpha. The relative values are None where the champion's mean cannot be told from 0.
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
    exact: bool


def interval_of(strata: Sequence[StratumStatistics], tuning: Tuning) -> Interval | str:
    """The interval of one measure's strata, or in words why there is none yet.

    A measure all of whose values lie in 0..1 and that has fewer than ``FEW_EVENTS`` events or non-events in an arm gets the exact
    bounds of :mod:`retrain_assets.experiment.rare_events`. Everything else gets the asymptotic sequence on the stage-stratified
    difference, once both arms have ``MIN_UNITS`` units and both vary.
    """
    shares = all(one.champion.is_share and one.challenger.is_share for one in strata)
    if shares and (_few_events([one.champion for one in strata]) or _few_events([one.challenger for one in strata])):
        return _exact(strata, tuning)
    difference = stratified_difference(strata)
    if difference is None:
        return "no stage has two matured units in each arm"
    if min(difference.n_champion, difference.n_challenger) < MIN_UNITS:
        return (
            f"an interval needs {MIN_UNITS} matured units in each arm "
            f"(champion {difference.n_champion}, challenger {difference.n_challenger})"
        )
    for arm, variance, mean in (
        ("champion", difference.champion_variance, difference.champion_mean),
        ("challenger", difference.challenger_variance, difference.challenger_mean),
    ):
        if not variance > 0:
            return f"all values of the {arm} are equal within each stage (mean {mean:.4g}), which gives no measure of chance"
    return _asymptotic(difference, tuning)


def _few_events(arm: Sequence[ArmStatistics]) -> bool:
    events = sum(one.sum for one in arm)
    return min(events, sum(one.n for one in arm) - events) < FEW_EVENTS


def _asymptotic(difference: Difference, tuning: Tuning) -> Interval:
    clock = information_clock(difference, tuning.reference_share)

    def reach(variance: float) -> float:
        return radius(variance, clock=clock, alpha=tuning.alpha, planned_units=tuning.planned_units)

    width = reach(difference.variance)
    relative: tuple[float | None, float | None, float | None] = (None, None, None)
    if abs(difference.champion_mean) > reach(difference.champion_variance):
        relative = (difference.relative_estimate, *_relative_limits(difference, reach(1.0)))
    return Interval(
        champion_mean=difference.champion_mean,
        challenger_mean=difference.challenger_mean,
        estimate=difference.estimate,
        lower=difference.estimate - width,
        upper=difference.estimate + width,
        relative_estimate=relative[0],
        relative_lower=relative[1],
        relative_upper=relative[2],
        n_champion=difference.n_champion,
        n_challenger=difference.n_challenger,
        exact=False,
    )


def _relative_limits(difference: Difference, multiplier: float) -> tuple[float, float]:
    """Limits of the change relative to the champion's absolute mean, after Fieller.

    For every ratio q of the means, challenger - q champion has a confidence sequence of its own with the same multiplier of its
    standard error; the limits are those q at which it just touches 0. So the relative limits exclude 0 exactly when the absolute
    ones do, which limits by the delta method do not. Needs a champion's mean whose own limits exclude 0.

    Source: E. C. Fieller, "Some problems in interval estimation", J. R. Stat. Soc. B 16 (1954) 175-185.
    """
    champion, challenger = difference.champion_mean, difference.challenger_mean
    squared = multiplier**2
    a = champion**2 - squared * difference.champion_variance
    c = challenger**2 - squared * difference.challenger_variance
    product = champion * challenger
    root = math.sqrt(max(product**2 - a * c, 0.0))
    changes = sorted(math.copysign(1.0, champion) * (ratio - 1) for ratio in ((product - root) / a, (product + root) / a))
    return changes[0], changes[1]


def _exact(strata: Sequence[StratumStatistics], tuning: Tuning) -> Interval | str:
    bounds = share_bounds(strata, tuning.alpha * EXACT_SPENDING)
    if bounds is None:
        return "no stage has a matured unit in each arm"
    relative: tuple[float | None, float | None, float | None] = (None, None, None)
    if bounds.champion_lower > 0:
        relative = (
            bounds.challenger_mean / bounds.champion_mean - 1,
            bounds.challenger_lower / bounds.champion_upper - 1,
            bounds.challenger_upper / bounds.champion_lower - 1,
        )
    return Interval(
        champion_mean=bounds.champion_mean,
        challenger_mean=bounds.challenger_mean,
        estimate=bounds.challenger_mean - bounds.champion_mean,
        lower=bounds.challenger_lower - bounds.champion_upper,
        upper=bounds.challenger_upper - bounds.champion_lower,
        relative_estimate=relative[0],
        relative_lower=relative[1],
        relative_upper=relative[2],
        n_champion=bounds.n_champion,
        n_challenger=bounds.n_challenger,
        exact=True,
    )
