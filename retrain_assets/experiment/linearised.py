"""The stratified difference where a unit's contribution is linear in several columns or several strata share units.

Ratios, covariates and carry-over are one calculation: every arm's mean is a sum over units of psi_u = sum over cells of a' z_u,
with z the unit's columns in a cell and a coefficients that depend on the cell's means. Its variance is the sum of psi_u^2, a
quadratic form of sums: one per cell, and twice a bilinear one per pair of cells that share units.

Sources: Deng, Knoblich, Lu, "Applying the delta method in metric analytics" (KDD 2018), section 3 (ratios, units as clusters);
Liang, Zeger, "Longitudinal data analysis using generalized linear models" (Biometrika 73, 1986), the variance of clustered sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retrain_assets.experiment.covariates import adjustment
from retrain_assets.experiment.difference import Difference
from retrain_assets.experiment.statistics import Arm, ArmStatistics, MeasureStatistics, Overlap, StratumStatistics

_ROUNDING = 1e-13
"""Share of the absolute terms of a quadratic form below which its value is rounding noise."""

ARMS: tuple[Arm, Arm] = ("champion", "challenger")

Cell = tuple[int, Arm]
Coefficients = Mapping[Cell, Sequence[float]]
"""Per cell the coefficients of its k columns."""


def linearised_difference(statistics: MeasureStatistics, used: Sequence[StratumStatistics]) -> Difference:
    """The difference of the arms over the strata ``used``: two units in each arm and, for a ratio, positive denominators.

    Covariates are centred at their stratum's mean over both arms, so the means stay on the measure's scale: this centre is itself
    random and enters the variance of each arm's mean, and cancels in the difference.
    """
    theta = adjustment(statistics, used)
    adjusted = any(theta)
    first = len(statistics.columns) - len(theta)
    slope = [0.0] * first + [float(one) for one in theta]
    weights = [one.weight for one in used]
    information = sum(weights)
    means = dict.fromkeys(ARMS, 0.0)
    raw: dict[Arm, dict[Cell, list[float]]] = {name: {} for name in ARMS}
    own: dict[Arm, dict[Cell, list[float]]] = {name: {} for name in ARMS}
    centre: dict[Cell, list[float]] = {}
    deviations, n = 0.0, dict.fromkeys(ARMS, 0)
    for weight, stratum in zip(weights, used, strict=True):
        share = weight / information
        both = stratum.champion.n + stratum.challenger.n
        for name in ARMS:
            arm, cell = stratum.arm(name), (stratum.stratum.revision, name)
            mean, value = _linearised(arm, is_ratio=first == 2)
            line = [(value[i] if i < first else 0.0) - slope[i] for i in range(len(slope))]
            other = stratum.champion if name == "challenger" else stratum.challenger
            shift = sum(t * (a / arm.n - (a + b) / both) for t, a, b in zip(slope, arm.sums, other.sums, strict=True) if t)
            means[name] += share * (mean - shift)
            deviations += squared_deviations(arm, line)
            raw[name][cell] = [share * one / arm.n for one in (*value, *([0.0] * len(theta)))]
            own[name][cell] = [share * one / arm.n for one in line]
            centre[cell] = [share * one / both for one in slope]
            n[name] += arm.n
    form = _Form(statistics, used)
    contrast = {**own["challenger"], **{cell: [-one for one in line] for cell, line in own["champion"].items()}}
    variance = form.variance(contrast)
    with_centre = {name: _plus(centre, own[name]) if adjusted else own[name] for name in ARMS}
    saved = None
    if theta:
        unadjusted = {**raw["challenger"], **{cell: [-one for one in line] for cell, line in raw["champion"].items()}}
        before = form.variance(unadjusted) if adjusted else variance
        saved = 1 - variance / before if before > 0 else None
    return Difference(
        champion_mean=means["champion"],
        challenger_mean=means["challenger"],
        champion_variance=form.variance(with_centre["champion"]),
        challenger_variance=form.variance(with_centre["challenger"]),
        variance=variance,
        unit_variance=deviations / (n["champion"] + n["challenger"] - 2 * len(used)),
        information=information,
        n_champion=n["champion"],
        n_challenger=n["challenger"],
        variance_saved=saved,
    )


def _linearised(arm: ArmStatistics, *, is_ratio: bool) -> tuple[float, tuple[float, ...]]:
    """Mean (or ratio) of an arm and the coefficients of its linearised value, whose mean is 0 when columns are centred."""
    if not is_ratio:
        return arm.sums[0] / arm.n, (1.0,)
    ratio = arm.sums[0] / arm.sums[1]
    per = arm.n / arm.sums[1]
    return ratio, (per, -ratio * per)


def _plus(some: Coefficients, others: Coefficients) -> Coefficients:
    return {
        cell: [a + b for a, b in zip(line, others[cell], strict=True)] if cell in others else line for cell, line in some.items()
    }


class _Form:
    """The variance of a sum over units of linear functions of their columns, cell by cell."""

    def __init__(self, statistics: MeasureStatistics, used: Sequence[StratumStatistics]) -> None:
        self.cells = {(one.stratum.revision, name): one.arm(name) for one in used for name in ARMS}
        self.overlaps = [one for one in statistics.overlaps if one.first in self.cells and one.second in self.cells and one.n]

    def variance(self, coefficients: Coefficients) -> float:
        """Sum over units of the squared, centred combination; per cell with factor n / (n - 1), which makes it unbiased."""
        total = 0.0
        for cell, line in coefficients.items():
            arm = self.cells[cell]
            total += squared_deviations(arm, line) * arm.n / (arm.n - 1)
        for overlap in self.overlaps:
            if overlap.first in coefficients and overlap.second in coefficients:
                total += 2 * self._shared(overlap, coefficients[overlap.first], coefficients[overlap.second])
        return max(total, 0.0)

    def _shared(self, overlap: Overlap, first: Sequence[float], second: Sequence[float]) -> float:
        """Sum over the shared units of the two cells' centred combinations, multiplied."""
        one, other = self.cells[overlap.first], self.cells[overlap.second]
        first_mean = sum(a * total for a, total in zip(first, one.sums, strict=True)) / one.n
        second_mean = sum(a * total for a, total in zip(second, other.sums, strict=True)) / other.n
        columns = len(first)
        crossed = sum(
            a * sum(b * overlap.products[i * columns + j] for j, b in enumerate(second) if b) for i, a in enumerate(first) if a
        )
        first_sum = sum(a * total for a, total in zip(first, overlap.first_sums, strict=True))
        second_sum = sum(a * total for a, total in zip(second, overlap.second_sums, strict=True))
        return crossed - first_mean * second_sum - second_mean * first_sum + overlap.n * first_mean * second_mean


def squared_deviations(arm: ArmStatistics, line: Sequence[float]) -> float:
    """Sum over an arm's units of the squared deviation of a combination of its columns from its mean; 0 where it is rounding.

    Args:
        arm: one arm of one stratum.
        line: the combination's k coefficients.
    """
    sums, products, n = arm.sums, arm.products, arm.n
    columns = len(line)
    total = noise = 0.0
    place = 0
    for i in range(columns):
        a = line[i]
        for j in range(i, columns):
            if a and line[j]:
                factor = a * line[j] * (1.0 if i == j else 2.0)
                total += factor * (products[place] - sums[i] * sums[j] / n)
                noise += abs(factor * products[place])
            place += 1
    return total if total > _ROUNDING * noise else 0.0
