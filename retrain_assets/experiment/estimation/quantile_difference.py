"""The difference of two arms' quantiles with limits at any number of standard errors: of a confidence
sequence, or of a planned look.

A quantile's limits are the values at which the distribution function, averaged over strata, reaches q - k se and q + k se, with
the standard error of that function at the quantile, units as clusters. With k that of a confidence sequence they hold
at all looks at once, asymptotically: the share of values below the true quantile is a mean. Sources:

- one quantile: Woodruff, "Confidence intervals for medians and other position measures", J. Am. Stat. Assoc. 47, 1952;
- exact sequences of independent values, for comparison: Howard, Ramdas, "Sequential estimation of quantiles with applications to
  A/B testing and best-arm identification", Bernoulli 28, 2022;
- from limits of two quantiles to those of their difference (MOVER): Zou, Donner, "Construction of confidence limits about effect
  measures: a general approach", Statistics in Medicine 27, 2008; and of their ratio (MOVER-R): Donner, Zou, "Closed-form
  confidence intervals for functions of the normal mean and standard deviation", Statistical Methods in Medical Research 21, 2012,
  equation 9.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from retrain_assets.experiment.estimation.intervals import MIN_UNITS
from retrain_assets.experiment.estimation.quantiles import BINS, GREATEST, LEAST, RequestHistogram, edges
from retrain_assets.experiment.estimation.statistics import Arm, Overlap, StratumStatistics

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class QuantileDifference:
    """Quantiles of both arms and their difference, in the unit of the measure; ``relative_*`` are challenger over champion - 1.

    A limit that the requests do not give yet is infinite, and ``missing`` says in words which and what it takes.
    ``clock`` is the intrinsic time of the sequence; ``n_*`` are units.
    """

    champion: float
    challenger: float
    estimate: float
    lower: float
    upper: float
    relative_estimate: float
    relative_lower: float
    relative_upper: float
    n_champion: int
    n_challenger: int
    clock: float
    missing: str | None = None


def quantile_difference(
    strata: Sequence[StratumStatistics],
    quantile: float,
    multipliers: Callable[[float], tuple[float, float]],
    *,
    reference_share: float,
    overlaps: Sequence[Overlap] = (),
) -> QuantileDifference | str:
    """The difference of the arms' quantiles with one-sided limits on both sides, or in words why there is none yet.

    Strata are averaged with the weights n_c n_t / (n_c + n_t) of their units, so the arms' distributions are those of one mix of
    periods. Strata with fewer than two units in an arm are left out. Limits are rounded outwards to the ends of their bins (1 %).

    Args:
        strata: one measure's strata with traffic; both arms' ``requests`` are read, nothing else.
        quantile: which quantile, 0..1.
        multipliers: standard errors between the estimate and its lower and upper limit, given the clock; finite.
        reference_share: challenger share (0..1, exclusive) in whose units the clock counts.
        overlaps: cells that share units. The covariance of two cells of one arm is bounded from above by sqrt(f_a V_a f_b V_b),
            f the share of the cell's units that are in both. Cells of different arms are taken as independent, which errs to the
            safe side as long as a unit that is slow in one period is not fast in the other.

    Raises:
        ValueError: for a quantile or share outside (0, 1).
    """
    if not (0 < quantile < 1 and 0 < reference_share < 1):
        raise ValueError(f"quantile {quantile} and reference_share {reference_share} must lie in (0, 1)")
    cells = [_Cells(one.stratum.revision, _requests(one, "champion"), _requests(one, "challenger")) for one in strata]
    if problem := next((arm.problem for one in cells for arm in (one.champion, one.challenger) if arm.problem), None):
        return problem
    used = [one for one in cells if min(one.champion.units, one.challenger.units) >= 2]
    if not used:
        return "no stage has two matured units in each arm"
    found = _both_arms(used, quantile, overlaps)
    if isinstance(found, str):
        return found
    champion, challenger = found
    variance = champion.variance + challenger.variance
    if not variance > 0:
        return "the values of requests never mix within a stage, which gives no measure of chance"
    per_unit = (champion.squares + challenger.squares) / (champion.degrees + challenger.degrees)
    clock = per_unit / (variance * reference_share * (1 - reference_share))
    below, above = multipliers(clock)
    (champion_low, challenger_low), (champion_high, challenger_high) = (
        [_limits(arm, quantile, k) for arm in (champion, challenger)] for k in (below, above)
    )
    lower, relative_lower = _least(challenger.value, challenger_low[0], champion.value, champion_low[1])
    upper, relative_upper = _greatest(challenger.value, challenger_high[1], champion.value, champion_high[0])
    lacking = [
        *_lacking("champion", champion, (champion_high[0], champion_low[1]), quantile, max(below, above)),
        *_lacking("challenger", challenger, (challenger_low[0], challenger_high[1]), quantile, max(below, above)),
    ]
    missing = "; ".join(lacking)
    if math.isinf(lower) and math.isinf(upper):
        return missing
    return QuantileDifference(
        champion=champion.value,
        challenger=challenger.value,
        estimate=challenger.value - champion.value,
        lower=lower,
        upper=upper,
        relative_estimate=challenger.value / champion.value - 1,
        relative_lower=relative_lower,
        relative_upper=relative_upper,
        n_champion=champion.units,
        n_challenger=challenger.units,
        clock=clock,
        missing=missing or None,
    )


@dataclass(frozen=True, slots=True)
class _Cells:
    """One stratum: the requests of both arms."""

    revision: int
    champion: RequestHistogram
    challenger: RequestHistogram

    @property
    def weight(self) -> float:
        return self.champion.units * self.challenger.units / (self.champion.units + self.challenger.units)


@dataclass(frozen=True, slots=True)
class _ArmQuantile:
    """One arm: its averaged distribution function at the bins' upper ends, its quantile, the variance of the function there."""

    distribution: Floats
    value: float
    variance: float
    squares: float
    degrees: int
    units: int
    requests: int


def _requests(one: StratumStatistics, arm: Arm) -> RequestHistogram:
    return one.arm(arm).requests or RequestHistogram.empty()


def _both_arms(used: Sequence[_Cells], quantile: float, overlaps: Sequence[Overlap]) -> tuple[_ArmQuantile, _ArmQuantile] | str:
    """Champion and challenger, averaged over the strata, or why there is no quantile to compare."""
    weights = np.array([one.weight for one in used])
    shares = weights / weights.sum()
    champions, challengers = [one.champion for one in used], [one.challenger for one in used]
    place = {one.revision: index for index, one in enumerate(used)}
    in_both = [_shared(overlaps, arm, place) for arm in ("champion", "challenger")]
    units = [_different_units(cells, shared) for cells, shared in zip((champions, challengers), in_both, strict=True)]
    if min(units) < MIN_UNITS:
        return f"an interval needs {MIN_UNITS} matured units in each arm (champion {units[0]}, challenger {units[1]})"
    champion = _arm_quantile(champions, shares, quantile, in_both[0])
    challenger = _arm_quantile(challengers, shares, quantile, in_both[1])
    if champion is None or challenger is None:
        arm = "champion" if champion is None else "challenger"
        return f"the {arm}'s {_name(quantile)} is not between {LEAST:g} and {GREATEST:g}, where values are told apart"
    return champion, challenger


def _shared(overlaps: Sequence[Overlap], arm: Arm, place: Mapping[int, int]) -> list[tuple[int, int, int]]:
    """Pairs of strata, by place, in which the arm has units in common, and how many."""
    return [
        (place[one.first[0]], place[one.second[0]], one.n)
        for one in overlaps
        if one.first[1] == one.second[1] == arm and one.first[0] in place and one.second[0] in place
    ]


def _different_units(cells: Sequence[RequestHistogram], shared: Sequence[tuple[int, int, int]]) -> int:
    """Units of an arm that are different ones for sure: a unit that returns is no new one."""
    units = [cell.units for cell in cells]
    return max(*units, sum(units) - sum(n for _, _, n in shared))


def _arm_quantile(
    cells: Sequence[RequestHistogram], shares: Floats, quantile: float, shared: Sequence[tuple[int, int, int]]
) -> _ArmQuantile | None:
    """The arm's quantile; None where it is in an outermost bin."""
    sums = [cell.cumulated() for cell in cells]
    distribution = np.zeros(BINS)
    for share, one, cell in zip(shares, sums, cells, strict=True):
        distribution += share / cell.requests * one[0]
    place = _reached(distribution, quantile)
    if not 0 < place < BINS - 1:
        return None
    below, at = distribution[place - 1], distribution[place]
    part = min(float((quantile - below) / (at - below)), 1.0)
    start, end = _ends()[place - 1], _ends()[place]
    spreads = [_spread(one, cell, place, part) for one, cell in zip(sums, cells, strict=True)]
    errors = [float(share) * math.sqrt(spread / cell.units) for share, spread, cell in zip(shares, spreads, cells, strict=True)]
    variance = math.fsum(error * error for error in errors)
    for first, second, n in shared:
        alike = math.sqrt(min(n / cells[first].units, 1.0) * min(n / cells[second].units, 1.0))
        variance += 2 * alike * errors[first] * errors[second]
    return _ArmQuantile(
        distribution,
        float(start * (end / start) ** part),
        variance,
        squares=math.fsum(spread * (cell.units - 1) for spread, cell in zip(spreads, cells, strict=True)),
        degrees=sum(cell.units - 1 for cell in cells),
        units=sum(cell.units for cell in cells),
        requests=sum(cell.requests for cell in cells),
    )


def _spread(sums: npt.NDArray[np.int64], cell: RequestHistogram, place: int, part: float) -> float:
    """Variance per unit of the share of a cell's requests below the quantile, units as clusters (delta method for a ratio).

    Within the quantile's bin the share is interpolated, and its variance is that of independent requests times the larger design
    effect of the bin's two ends; where neither end splits the requests, units are taken to be all alike inside.
    """
    units, requests = cell.units, cell.requests
    mean = requests / units
    effect = 0.0
    shares = [float(sums[0, end]) / requests for end in (place - 1, place)]
    for share, end in zip(shares, (place - 1, place), strict=True):
        if 0 < share < 1:
            squares = float(sums[1, end]) - 2 * share * float(sums[2, end]) + share * share * cell.squares
            effect = max(effect, squares / mean / mean / (units - 1) / (share * (1 - share)))
    share = shares[0] + part * (shares[1] - shares[0])
    if effect == 0.0:
        effect = cell.squares / units / mean / mean
    return share * (1 - share) * effect


def _limits(arm: _ArmQuantile, quantile: float, k: float) -> tuple[float, float]:
    """The quantile's limits, rounded outwards; infinite where the requests give none."""
    width = k * math.sqrt(arm.variance)
    lower, upper = -math.inf, math.inf
    if quantile - width > 0 and (place := _reached(arm.distribution, quantile - width)) > 0:
        lower = float(_ends()[place - 1])
    if quantile + width < 1:
        upper = float(_ends()[_reached(arm.distribution, quantile + width)])
    return lower, upper


def _lacking(arm: Arm, one: _ArmQuantile, limits: tuple[float, float], quantile: float, k: float) -> Iterator[str]:
    """Which limits an arm lacks, and how many units would give them."""
    sides = (("lower", limits[0], quantile, f"below {LEAST:g}"), ("upper", limits[1], 1 - quantile, f"above {GREATEST:g}"))
    for side, _, tail, beyond in (side for side in sides if math.isinf(side[1])):
        factor = k * k * one.variance / (tail * tail)
        reason = (
            f"from {one.units} units with {one.requests} requests; it needs about {_round_up(one.units * factor * 1.1)} units"
            if factor >= 1
            else f"as too many values lie {beyond}, where they are not told apart"
        )
        yield f"the {arm}'s {_name(quantile)} has no {side} limit {reason}"


def _name(quantile: float) -> str:
    return f"p{quantile * 100:g}"


def _round_up(number: float) -> int:
    """To two significant digits, upwards."""
    step = float(10 ** max(math.floor(math.log10(number)) - 1, 0))
    return int(math.ceil(number / step) * step)


def _least(a: float, a_lower: float, b: float, b_upper: float) -> tuple[float, float]:
    """Lower limits of a - b and of a / b - 1; the ratio's is the r at which the lower limit of a - r b is 0."""
    if math.isinf(a_lower) or math.isinf(b_upper):
        return -math.inf, -math.inf
    down, up = a - a_lower, b_upper - b
    product, ahead, behind = a * b, a * a - down * down, b * b - up * up
    return a - b - math.hypot(down, up), ahead / (product + math.sqrt(max(product * product - ahead * behind, 0.0))) - 1


def _greatest(a: float, a_upper: float, b: float, b_lower: float) -> tuple[float, float]:
    """Upper limits of a - b and of a / b - 1."""
    if math.isinf(a_upper) or math.isinf(b_lower):
        return math.inf, math.inf
    up, down = a_upper - a, b - b_lower
    product, ahead, behind = a * b, a * a - up * up, b * b - down * down
    return a - b + math.hypot(up, down), (product + math.sqrt(max(product * product - ahead * behind, 0.0))) / behind - 1


def _reached(distribution: Floats, share: float) -> int:
    """First bin at whose upper end the distribution function is at least ``share``."""
    return int(distribution.searchsorted(share - 1e-12))


@lru_cache(maxsize=1)
def _ends() -> Floats:
    return edges()
