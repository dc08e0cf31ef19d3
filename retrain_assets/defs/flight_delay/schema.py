"""What one row of the flights source must look like, how its columns agree, and what became of a scored flight."""

from typing import Annotated, Any

import narwhals as nw
import pandera.polars as pa
import polars as pl

WARNING_COST = 10.0
UNWARNED_LATE_COST = 30.0


class Flights(pa.DataFrameModel):
    """One flight: schedule and weather known before departure, what happened known a day later."""

    flight_id: str = pa.Field(unique=True, str_matches=r"^2\d{3}-\d{2}-\d{2}\|[A-Z0-9]{2}\|\d+\|[A-Z]{3}$")
    scheduled_at: Annotated[pl.Datetime, "us", "UTC"]
    carrier: str = pa.Field(str_length={"min_value": 2, "max_value": 2})
    origin: str = pa.Field(isin=["EWR", "JFK", "LGA"])
    dest: str = pa.Field(str_length={"min_value": 3, "max_value": 3})
    distance: float = pa.Field(gt=0, lt=6000)
    sched_dep_time: int = pa.Field(ge=0, le=2400)
    sched_arr_time: int = pa.Field(ge=0, le=2400)
    temp: float = pa.Field(nullable=True, ge=-30, le=120)
    dewp: float = pa.Field(nullable=True, ge=-50, le=100)
    humid: float = pa.Field(nullable=True, ge=0, le=100)
    wind_dir: float = pa.Field(nullable=True, ge=0, le=360)
    wind_speed: float = pa.Field(nullable=True, ge=0)
    precip: float = pa.Field(nullable=True, ge=0)
    pressure: float = pa.Field(nullable=True, ge=900, le=1100)
    visib: float = pa.Field(nullable=True, ge=0, le=100)
    dep_delay: float = pa.Field(nullable=True)
    arr_delay: float = pa.Field(nullable=True)
    late: pl.Int8 = pa.Field(nullable=True, isin=[0, 1])

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


def outcomes(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """A warning costs 10, an unwarned late flight 30; of a flight that never arrived nothing is known."""
    late, warned, arrived = nw.col("late") == 1, nw.col("decision"), ~nw.col("late").is_null()
    unwarned = nw.when(late).then(UNWARNED_LATE_COST).otherwise(0.0)
    return rows.select(
        cost_per_flight=nw.when(arrived).then(nw.when(warned).then(WARNING_COST).otherwise(unwarned)),
        missed_late_rate=nw.when(arrived).then((late & ~warned).cast(nw.Float64)),
        false_warning_rate=nw.when(arrived).then((warned & ~late).cast(nw.Float64)),
    )
