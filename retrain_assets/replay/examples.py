"""The sources of the shipped examples besides the flights' story: what each model sees of the flights of 2013."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from retrain_assets.replay.flights import flights_of_2013

LATE_MINUTES, DISRUPTED_MINUTES, EARLY_MINUTES = 15, 60, -10


@dataclass(frozen=True, slots=True)
class Example:
    """A shipped model that a demo plays.

    Args:
        rows: its source rows of the whole year, in the schema of its source.
        first: day of its first champion.
        last: the day its demo ends.
    """

    rows: Callable[[], pl.DataFrame]
    first: date
    last: date


def flights_from_jfk() -> pl.DataFrame:
    """Every flight from JFK with its minutes in the air; null where it never arrived."""
    return flights_of_2013().filter(origin="JFK").drop("origin", "date")


def flights_from_laguardia() -> pl.DataFrame:
    """Every flight from LaGuardia with the band it arrived in.

    ``early`` (10 minutes or more), ``on_time``, ``late`` (more than 15 minutes), ``disrupted`` (more than an hour, or never).
    """
    delay = pl.col("arr_delay")
    band = (
        pl.when(delay.is_null() | (delay > DISRUPTED_MINUTES))
        .then(pl.lit("disrupted"))
        .when(delay > LATE_MINUTES)
        .then(pl.lit("late"))
        .when(delay > EARLY_MINUTES)
        .then(pl.lit("on_time"))
        .otherwise(pl.lit("early"))
    )
    return flights_of_2013().filter(origin="LGA").with_columns(band=band).drop("origin", "date")


EXAMPLES: Mapping[str, Example] = {
    "air_time": Example(flights_from_jfk, date(2013, 4, 2), date(2013, 9, 16)),
    "arrival_band": Example(flights_from_laguardia, date(2013, 4, 2), date(2013, 12, 16)),
}
"""By model."""
