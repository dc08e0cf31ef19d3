"""What one row of the source must look like, and what became of a flight whose time in the air was forecast."""

from typing import Annotated, Any

import narwhals as nw
import pandera.polars as pa
import polars as pl


class FlightFromJFK(pa.DataFrameModel):
    """One flight: schedule and weather known before departure, minutes in the air known a day later."""

    flight_id: str = pa.Field(unique=True)
    scheduled_at: Annotated[pl.Datetime, "us", "UTC"]
    carrier: str = pa.Field(str_length={"min_value": 2, "max_value": 2})
    dest: str = pa.Field(str_length={"min_value": 3, "max_value": 3})
    distance: float = pa.Field(gt=0, lt=6000)
    sched_dep_time: int = pa.Field(ge=0, le=2400)
    temp: float = pa.Field(nullable=True, ge=-30, le=120)
    wind_dir: float = pa.Field(nullable=True, ge=0, le=360)
    wind_speed: float = pa.Field(nullable=True, ge=0)
    pressure: float = pa.Field(nullable=True, ge=900, le=1100)
    air_time: float = pa.Field(nullable=True, gt=0, lt=1000)


def outcomes(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """Minutes the forecast was off, and whether the flight took a quarter of an hour longer."""
    late = nw.col("air_time") - nw.col("score")
    return rows.select(absolute_error=late.abs(), short_by_15=nw.when(~late.is_null()).then((late > 15).cast(nw.Float64)))
