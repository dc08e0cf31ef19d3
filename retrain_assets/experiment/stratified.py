"""The stage-stratified difference of two arms and its anytime-valid limits. Never a pooled difference.

Within a stratum the arms met the same days and the same baseline; between strata neither does. So arms are only compared inside a
stratum, and the comparisons are averaged with weights n_c n_t / (n_c + n_t), the optimal ones for equal variances.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from retrain_assets.experiment.confidence_sequence import one_sided_radius, tuning, two_sided_radius
from retrain_assets.experiment.statistics import StratumStatistics


@dataclass(frozen=True, slots=True)
class Difference:
    """Two weighted means and how far apart they are.

    Args:
        champion_mean: mean of the champion at the combination weights, unit of the measure.
        challenger_mean: the same of the challenger.
        champion_variance: variance of ``champion_mean`` itself (a squared standard error).
        challenger_variance: variance of ``challenger_mean`` itself.
        information: sum of the strata's weights n_c n_t / (n_c + n_t); grows with the evidence.
        n_champion: units used.
        n_challenger: units used.
    """

    champion_mean: float
    challenger_mean: float
    champion_variance: float
    challenger_variance: float
    information: float
    n_champion: int
    n_challenger: int

    @property
    def estimate(self) -> float:
        """Challenger minus champion."""
        return self.challenger_mean - self.champion_mean

    @property
    def variance(self) -> float:
        """Variance of the estimate; the arms are independent."""
        return self.champion_variance + self.challenger_variance

    @property
    def relative_estimate(self) -> float:
        """The estimate over the absolute value of the champion's mean: positive always means the measure went up."""
        return self.estimate / abs(self.champion_mean) if self.champion_mean else math.nan


def stratified_difference(strata: Iterable[StratumStatistics]) -> Difference | None:
    """The difference of the arms, averaged over strata; None when no stratum has two units in each arm.

    A stratum with fewer than two units in an arm has no variance and is left out. Whether it is left out depends on counts
    alone, never on values, so this does not bias the difference.
    """
    used = [one for one in strata if one.champion.n >= 2 and one.challenger.n >= 2]
    if not used:
        return None
    weights = [one.weight for one in used]
    information = sum(weights)
    shares = [weight / information for weight in weights]
    pairs = list(zip(shares, used, strict=True))
    return Difference(
        champion_mean=math.fsum([w * one.champion.mean for w, one in pairs]),
        challenger_mean=math.fsum([w * one.challenger.mean for w, one in pairs]),
        champion_variance=math.fsum([w * w * one.champion.variance / one.champion.n for w, one in pairs]),
        challenger_variance=math.fsum([w * w * one.challenger.variance / one.challenger.n for w, one in pairs]),
        information=information,
        n_champion=sum(one.champion.n for one in used),
        n_challenger=sum(one.challenger.n for one in used),
    )


def radius(variance: float, *, clock: float, alpha: float, planned_units: float, two_sided: bool = False) -> float:
    """Distance of an anytime-valid limit from an estimate.

    Args:
        variance: variance of the estimate itself (a squared standard error).
        clock: sample size n of the sequence; the variance per unit is ``variance * clock``.
        alpha: error level: one-sided for each limit, or two-sided for both.
        planned_units: clock at which the sequence is tightest.
        two_sided: the two-sided form of the sequence.

    Raises:
        ValueError: for arguments outside their ranges (see :mod:`retrain_assets.experiment.confidence_sequence`).
    """
    if two_sided:
        return two_sided_radius(clock, variance * clock, tuning(planned_units, alpha), alpha)
    return one_sided_radius(clock, variance * clock, tuning(planned_units, 2 * alpha), alpha)


def information_clock(difference: Difference, reference_share: float) -> float:
    """Units an experiment at one constant challenger share would have needed for the same information.

    The mixture boundary holds when its clock is proportional to the variance collected so far. Over a ramp the plain number of
    units is not: a unit at 5 % brings a fifth of the information of a unit at 50 %. For one stratum at the reference share the
    clock is the number of units.

    Args:
        difference: the combined strata.
        reference_share: challenger share (0..1, exclusive) of the stage the plan is tuned for.
    """
    return difference.information / (reference_share * (1 - reference_share))
