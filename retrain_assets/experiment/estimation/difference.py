"""Two arms' means with their variances, the clock of their comparison, and how far an anytime-valid limit is from an estimate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from retrain_assets.experiment.estimation.confidence_sequence import one_sided_radius, tuning, two_sided_radius


@dataclass(frozen=True, slots=True)
class Difference:
    """Two weighted means and how far apart they are.

    The means of a ratio measure are ratios; means adjusted for covariates stay on the measure's scale.

    Args:
        champion_mean: mean of the champion at the combination weights, unit of the measure.
        challenger_mean: the same of the challenger.
        champion_variance: variance of ``champion_mean`` itself (a squared standard error).
        challenger_variance: variance of ``challenger_mean`` itself.
        variance: variance of the estimate; not the sum of the two when strata share units or covariates are adjusted for.
        unit_variance: variance of a unit's (linearised, adjusted) value within its cell, pooled over cells.
        information: sum of the strata's weights n_c n_t / (n_c + n_t); depends on counts only.
        n_champion: units used, each counted once in every stratum it was in.
        n_challenger: the same of the challenger.
        variance_saved: share of the estimate's variance that covariates took out; None without covariates.
        champion_shortfall: by how much ``champion_variance`` is below what it is when every arm is taken to vary at least as its
            whole stratum does.
        challenger_shortfall: the same of the challenger.
        imbalance: by how many standard errors the arms differ in what the covariates predict; 0 without covariates.
    """

    champion_mean: float
    challenger_mean: float
    champion_variance: float
    challenger_variance: float
    variance: float
    unit_variance: float
    information: float
    n_champion: int
    n_challenger: int
    variance_saved: float | None = None
    champion_shortfall: float = 0.0
    challenger_shortfall: float = 0.0
    imbalance: float = 0.0

    def guarded(self) -> Difference:
        """The same with no arm taken to vary less than its whole stratum does.

        An arm's own variance goes with its mean: where most units bring nothing and a few bring much, an arm that happens to have
        few of those has a low mean *and* seems to be certain of it. Limits from that variance call no-effect challengers worse in
        a quarter of the simulated ramps that begin at 5 %, with the stratum's variance in under 1 % (docs/statistics.md).
        """
        shortfall = self.champion_shortfall + self.challenger_shortfall
        if not shortfall:
            return self
        return Difference(
            self.champion_mean,
            self.challenger_mean,
            self.champion_variance + self.champion_shortfall,
            self.challenger_variance + self.challenger_shortfall,
            self.variance + shortfall,
            self.unit_variance,
            self.information,
            self.n_champion,
            self.n_challenger,
            self.variance_saved,
            imbalance=self.imbalance,
        )

    @property
    def estimate(self) -> float:
        """Challenger minus champion."""
        return self.challenger_mean - self.champion_mean

    @property
    def covariance(self) -> float:
        """Covariance of the two means."""
        return (self.champion_variance + self.challenger_variance - self.variance) / 2

    @property
    def relative_estimate(self) -> float:
        """The estimate over the absolute value of the champion's mean: positive always means the measure went up."""
        return self.estimate / abs(self.champion_mean) if self.champion_mean else math.nan


def radius(variance: float, *, clock: float, alpha: float, planned_units: float, two_sided: bool = False) -> float:
    """Distance of an anytime-valid limit from an estimate.

    Args:
        variance: variance of the estimate itself (a squared standard error).
        clock: sample size n of the sequence; the variance per unit is ``variance * clock``.
        alpha: error level: one-sided for each limit, or two-sided for both.
        planned_units: clock at which the sequence is tightest.
        two_sided: the two-sided form of the sequence.

    Raises:
        ValueError: for arguments outside their ranges (see :mod:`retrain_assets.experiment.estimation.confidence_sequence`).
    """
    if two_sided:
        return two_sided_radius(clock, variance * clock, tuning(planned_units, alpha), alpha)
    return one_sided_radius(clock, variance * clock, tuning(planned_units, 2 * alpha), alpha)


def information_clock(difference: Difference, reference_share: float) -> float:
    """Units an experiment at one constant challenger share would have needed for the same information.

    The mixture boundary holds when its clock is proportional to the information 1 / V collected so far. Over a ramp the plain
    number of units is not: a unit at 5 % brings a fifth of the information of a unit at 50 %, and one that returns brings less
    than a new one. For one stratum at the reference share, with arms that vary alike, the clock is the number of units.

    Args:
        difference: the combined strata, of positive variance.
        reference_share: challenger share (0..1, exclusive) of the stage the plan is tuned for.
    """
    return difference.unit_variance / (difference.variance * reference_share * (1 - reference_share))
