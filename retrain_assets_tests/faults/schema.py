"""The shipped schema with the rules across columns that hold on every flight of 2013."""

from __future__ import annotations

import pandera.polars as pa
import polars as pl

from retrain_assets.defs.flight_delay.schema import Flights


class FlightsWithRules(Flights):
    """One flight, its columns in agreement with each other."""

    visib: float = pa.Field(nullable=True, ge=0, le=100)

    class Config:
        """The name under which verdicts speak of it."""

        name = "Flights"

    @pa.dataframe_check
    @classmethod
    def scheduled_at_is_sched_dep_time(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """The moment, in New York, has the clock time of the schedule."""
        local = pl.col("scheduled_at").dt.convert_time_zone("America/New_York")
        clock = local.dt.hour().cast(pl.Int64) * 100 + local.dt.minute()
        return data.lazyframe.select(clock == pl.col("sched_dep_time"))

    @pa.dataframe_check
    @classmethod
    def flight_id_has_the_day(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """The id begins with the day of the schedule in New York."""
        day = pl.col("scheduled_at").dt.convert_time_zone("America/New_York").dt.strftime("%Y-%m-%d")
        return data.lazyframe.select(pl.col("flight_id").str.starts_with(day))

    @pa.dataframe_check
    @classmethod
    def late_is_arr_delay_above_15(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """The label is what its definition says, and not known where no arrival is."""
        return data.lazyframe.select((pl.col("arr_delay") > 15).cast(pl.Int8).eq_missing(pl.col("late")))

    @pa.dataframe_check
    @classmethod
    def dew_point_is_not_above_temperature(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """Air cannot hold more water than it does."""
        return data.lazyframe.select((pl.col("dewp") <= pl.col("temp")).fill_null(True))

    @pa.dataframe_check
    @classmethod
    def what_arrived_had_departed(cls, data: pa.PolarsData) -> pl.LazyFrame:
        """An arrival delay needs a departure delay."""
        return data.lazyframe.select(pl.col("arr_delay").is_null() | pl.col("dep_delay").is_not_null())
