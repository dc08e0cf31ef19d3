"""The stage-stratified difference of two arms. Never a pooled difference.

Within a stratum the arms met the same days and the same baseline; between strata neither does. So arms are only compared inside a
stratum, and the comparisons are averaged with weights n_c n_t / (n_c + n_t), the optimal ones for equal variances.
"""

from __future__ import annotations

from collections.abc import Sequence

from retrain_assets.experiment.difference import Difference
from retrain_assets.experiment.linearised import linearised_difference
from retrain_assets.experiment.statistics import Arm, MeasureStatistics, Overlap, StratumStatistics

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
    return _of_means(used, statistics.overlaps) if len(statistics.columns) == 1 else linearised_difference(statistics, used)


def _of_means(used: Sequence[StratumStatistics], overlaps: Sequence[Overlap]) -> Difference:
    """One column: plain floats, because this runs for every measure of every segment at every look."""
    weights = [one.champion.n * one.challenger.n / (one.champion.n + one.challenger.n) for one in used]
    information = sum(weights)
    champion_mean = challenger_mean = champion_variance = challenger_variance = deviations = covariance = 0.0
    champion_shortfall = challenger_shortfall = 0.0
    n_champion = n_challenger = 0
    cells: dict[tuple[int, Arm], tuple[float, float]] = {}
    for weight, stratum in zip(weights, used, strict=True):
        share = weight / information
        arm = stratum.champion
        n, total, squares = arm.n, arm.sums[0], arm.products[0]
        mean = total / n
        spread = squares - total * mean
        if spread <= _ROUNDING * squares:
            spread = 0.0
        arm = stratum.challenger
        m, total, squares = arm.n, arm.sums[0], arm.products[0]
        other_mean = total / m
        other_spread = squares - total * other_mean
        if other_spread <= _ROUNDING * squares:
            other_spread = 0.0
        champion_mean += share * mean
        challenger_mean += share * other_mean
        own, other, both = spread / (n - 1), other_spread / (m - 1), (spread + other_spread) / (n + m - 2)
        champion_variance += share * share * own / n
        challenger_variance += share * share * other / m
        if both > own:
            champion_shortfall += share * share * (both - own) / n
        elif both > other:
            challenger_shortfall += share * share * (both - other) / m
        deviations += spread + other_spread
        n_champion += n
        n_challenger += m
        if overlaps:
            revision = stratum.stratum.revision
            cells[revision, "champion"] = (share / n, mean)
            cells[revision, "challenger"] = (share / m, other_mean)
    for overlap in overlaps:
        if overlap.first in cells and overlap.second in cells:
            (a, mean), (b, other_mean) = cells[overlap.first], cells[overlap.second]
            apart = mean * (overlap.second_sums[0] - overlap.n * other_mean) + other_mean * overlap.first_sums[0]
            product = a * b * (overlap.products[0] - apart)
            if overlap.first[1] != overlap.second[1]:
                covariance += product
            elif overlap.first[1] == "champion":
                champion_variance += 2 * product
            else:
                challenger_variance += 2 * product
    return Difference(
        champion_mean,
        challenger_mean,
        max(champion_variance, 0.0),
        max(challenger_variance, 0.0),
        max(champion_variance + challenger_variance - 2 * covariance, 0.0),
        deviations / (n_champion + n_challenger - 2 * len(used)),
        information,
        n_champion,
        n_challenger,
        None,
        champion_shortfall,
        challenger_shortfall,
    )
