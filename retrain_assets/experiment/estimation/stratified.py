"""The stage-stratified difference of two arms. Never a pooled difference.

Within a stratum the arms met the same days and the same baseline; between strata neither does. So arms are only compared inside a
stratum, and the comparisons are averaged with weights n_c n_t / (n_c + n_t), the optimal ones for equal variances.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from retrain_assets.experiment.estimation.combination import Key, Row, Shared, combined
from retrain_assets.experiment.estimation.difference import Difference
from retrain_assets.experiment.estimation.linearised import linearised_difference
from retrain_assets.experiment.estimation.statistics import MeasureStatistics, Overlap, StratumStatistics

LEAST_UNITS = 2
"""Units in each arm below which a stratum has no variance and is left out."""

_ROUNDING = 1e-13
"""Share of a sum of squares below which a sum of squared deviations is rounding noise."""


def stratified_difference(statistics: MeasureStatistics, *, least_units: int = LEAST_UNITS) -> Difference | None:
    """The difference of the arms, averaged over strata; None when no stratum has ``least_units`` units in each arm.

    Whether a stratum is left out depends on counts alone, never on values, so this does not bias the difference. Units that are
    in several strata are accounted for by the overlaps.

    Args:
        statistics: one measure; its sums must be those of real values (see :mod:`soundness`).
        least_units: units each arm of a stratum needs, at least 2.
    """
    used = [one for one in statistics.strata if one.champion.n >= least_units and one.challenger.n >= least_units]
    if not used:
        return None
    return _of_means(used, statistics.overlaps) if len(statistics.columns) == 1 else linearised_difference(statistics, used)


def _of_means(used: Sequence[StratumStatistics], overlaps: Sequence[Overlap]) -> Difference:
    """One column."""
    rows: list[Row] = []
    means: dict[Key, float] = {}
    for one in used:
        revision, champion, challenger = one.stratum.revision, one.champion, one.challenger
        n, total, squares = champion.n, champion.sums[0], champion.products[0]
        mean = total / n
        spread = squares - total * mean
        m, other_total, other_squares = challenger.n, challenger.sums[0], challenger.products[0]
        other_mean = other_total / m
        other_spread = other_squares - other_total * other_mean
        rows.append(
            (
                *(revision, n, mean, spread if spread > _ROUNDING * squares else 0.0),
                *(m, other_mean, other_spread if other_spread > _ROUNDING * other_squares else 0.0),
            )
        )
        if overlaps:
            means[revision, "champion"], means[revision, "challenger"] = mean, other_mean
    return combined(rows, _shared(overlaps, means) if overlaps else ())


def _shared(overlaps: Sequence[Overlap], means: Mapping[Key, float]) -> Iterator[Shared]:
    for one in overlaps:
        if one.first in means and one.second in means:
            mean, other_mean = means[one.first], means[one.second]
            apart = mean * (one.second_sums[0] - one.n * other_mean) + other_mean * one.first_sums[0]
            yield one.first, one.second, one.products[0] - apart
