"""What one row of the flights source must look like."""

from typing import Annotated

import pandera.polars as pa
import polars as pl


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
    visib: float = pa.Field(nullable=True, ge=0)
    dep_delay: float = pa.Field(nullable=True)
    arr_delay: float = pa.Field(nullable=True)
    late: pl.Int8 = pa.Field(nullable=True, isin=[0, 1])
