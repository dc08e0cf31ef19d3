"""The interval of a quantile measure: the limits of its confidence sequence, and those of a planned look."""

from __future__ import annotations

import math

from retrain_assets.experiment.estimation.difference import radius
from retrain_assets.experiment.estimation.intervals import Interval, Limits, Tuning
from retrain_assets.experiment.estimation.quantile_difference import QuantileDifference, quantile_difference
from retrain_assets.experiment.estimation.statistics import MeasureStatistics

_NOTHING_SHOWN = Limits(-math.inf, math.inf, -math.inf, math.inf)


def quantile_interval(
    statistics: MeasureStatistics,
    quantile: float,
    tuning: Tuning,
    *,
    upper_alpha: float | None = None,
    planned_z: float | None = None,
) -> Interval | str:
    """The interval of a quantile of the requests, or in words why there is none yet.

    Arguments but ``quantile`` (0..1) as in :func:`intervals.interval_of`. A limit that the tail of the
    requests does not give yet is infinite, and ``note`` says what it takes.
    """
    harm_alpha = tuning.alpha if upper_alpha is None else upper_alpha

    def sequence(clock: float) -> tuple[float, float]:
        below, above = (
            radius(1.0, clock=clock, alpha=alpha, planned_units=tuning.planned_units) for alpha in (tuning.alpha, harm_alpha)
        )
        return below, above

    found = quantile_difference(
        statistics.strata, quantile, sequence, reference_share=tuning.reference_share, overlaps=statistics.overlaps
    )
    if isinstance(found, str):
        return found
    return Interval(
        found.champion,
        found.challenger,
        found.estimate,
        found.lower,
        found.upper,
        found.relative_estimate,
        found.relative_lower,
        found.relative_upper,
        found.n_champion,
        found.n_challenger,
        "quantile",
        planned=None if planned_z is None else _planned(statistics, quantile, tuning, planned_z),
        note=found.missing,
    )


def _planned(statistics: MeasureStatistics, quantile: float, tuning: Tuning, z: float) -> Limits:
    """The limits at z standard errors."""
    found = quantile_difference(
        statistics.strata, quantile, lambda _: (z, z), reference_share=tuning.reference_share, overlaps=statistics.overlaps
    )
    if not isinstance(found, QuantileDifference):
        return _NOTHING_SHOWN
    return Limits(found.lower, found.upper, found.relative_lower, found.relative_upper)
