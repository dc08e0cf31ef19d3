"""The stage-stratified difference of two arms. Never a pooled difference.

Within a stratum the arms met the same days and the same baseline; between strata neither does. So arms are only compared inside a
stratum, and the comparisons are averaged with weights n_c n_t / (n_c + n_t), the optimal ones for equal variances.
"""

from __future__ import annotations

from collections.abc import Sequence

from retrain_assets.experiment.difference import Difference
from retrain_assets.experiment.linearised import linearised_difference
from retrain_assets.experiment.statistics import MeasureStatistics, StratumStatistics

LEAST_UNITS = 2
"""Units in each arm below which a stratum has no variance and is left out."""

_ROUNDING = 1e-13
"""Share of a sum of squares below which a sum of squared deviations is rounding noise."""


def stratified_difference(statistics: MeasureStatistics, *, least_units: int = LEAST_UNITS) -> Difference | None:
    """The difference of the arms, averaged over strata; None when no stratum has ``least_units`` units in each arm.

    Whether a stratum is left out depends on counts alone, never on values, so this does not bias the difference. Units that are
    in several strata are accounted for by the overlaps.

    Args:
        statistics: one measure; its sums must be those of real values (see :mod:`retrain_assets.experiment.soundness`).
        least_units: units each arm of a stratum needs, at least 2.
    """
    used = [one for one in statistics.strata if one.champion.n >= least_units and one.challenger.n >= least_units]
    if not used:
        return None
    if len(statistics.columns) > 1 or statistics.overlaps:
        return linearised_difference(statistics, used)
    return _of_means(used)


def _of_means(used: Sequence[StratumStatistics]) -> Difference:
    """One column, no unit in two strata: plain floats, because this runs for every measure of every segment at every look."""
    weights = [one.champion.n * one.challenger.n / (one.champion.n + one.challenger.n) for one in used]
    information = sum(weights)
    means, variances, shortfalls, n, deviations = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0, 0], 0.0
    for weight, stratum in zip(weights, used, strict=True):
        share = weight / information
        own, within = [0.0, 0.0], 0.0
        for side, arm in ((0, stratum.champion), (1, stratum.challenger)):
            units, total, squares = arm.n, arm.sums[0], arm.products[0]
            spread = squares - total * total / units
            if spread > _ROUNDING * squares:
                within += spread
                own[side] = spread / (units - 1)
                variances[side] += share * share * own[side] / units
            means[side] += share * total / units
            n[side] += units
        deviations += within
        both = within / (stratum.champion.n + stratum.challenger.n - 2)
        side, units = (0, stratum.champion.n) if own[0] < own[1] else (1, stratum.challenger.n)
        if both > own[side]:
            shortfalls[side] += share * share * (both - own[side]) / units
    return Difference(
        means[0],
        means[1],
        variances[0],
        variances[1],
        variances[0] + variances[1],
        deviations / (n[0] + n[1] - 2 * len(used)),
        information,
        n[0],
        n[1],
        None,
        shortfalls[0],
        shortfalls[1],
    )
