"""What became of the flights that were scored: the outcome table of the replay."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

WARNING_COST = 10.0
UNWARNED_LATE_COST = 30.0


def outcomes_of(exposures: pl.DataFrame, flights: pl.DataFrame, delay: timedelta) -> pl.DataFrame:
    """What happened to the exposed flights, as rows of the outcome table.

    A warning costs 10, an unwarned late flight 30. Flights that never arrived have no outcome.

    Args:
        exposures: exposure rows with ``request_id``, ``unit_id``, ``exposed_at`` and ``decision``.
        flights: source rows with ``flight_id`` and ``late`` (null where the flight never arrived).
        delay: how long after the exposure the outcome is known.
    """
    known = exposures.join(flights.select("flight_id", "late"), left_on="unit_id", right_on="flight_id").filter(
        pl.col("late").is_not_null()
    )
    late, warned = pl.col("late") == 1, pl.col("decision")
    return known.select(
        "request_id",
        "unit_id",
        observed_at=pl.col("exposed_at") + delay,
        cost_per_flight=pl.when(warned).then(WARNING_COST).when(late).then(UNWARNED_LATE_COST).otherwise(0.0),
        missed_late_rate=(late & ~warned).cast(pl.Float64),
        false_warning_rate=(warned & ~late).cast(pl.Float64),
    )
