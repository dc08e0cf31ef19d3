"""What one row of the source must look like, and what the desk's preparation for a flight cost against what happened."""

from typing import Annotated, Any

import narwhals as nw
import pandera.polars as pa
import polars as pl

BANDS = ["early", "on_time", "late", "disrupted"]

COST = {
    "early": {"early": 0, "on_time": 2, "late": 6, "disrupted": 12},
    "on_time": {"early": 2, "on_time": 0, "late": 3, "disrupted": 8},
    "late": {"early": 5, "on_time": 2, "late": 0, "disrupted": 3},
    "disrupted": {"early": 8, "on_time": 5, "late": 2, "disrupted": 0},
}
"""What it costs to prepare for one band when another one comes."""


class FlightFromLaGuardia(pa.DataFrameModel):
    """One flight: schedule and weather known before departure, how it arrived known a day later."""

    flight_id: str = pa.Field(unique=True)
    scheduled_at: Annotated[pl.Datetime, "us", "UTC"]
    carrier: str = pa.Field(str_length={"min_value": 2, "max_value": 2})
    dest: str = pa.Field(str_length={"min_value": 3, "max_value": 3})
    distance: float = pa.Field(gt=0, lt=6000)
    sched_dep_time: int = pa.Field(ge=0, le=2400)
    temp: float = pa.Field(nullable=True, ge=-30, le=120)
    humid: float = pa.Field(nullable=True, ge=0, le=100)
    wind_dir: float = pa.Field(nullable=True, ge=0, le=360)
    wind_speed: float = pa.Field(nullable=True, ge=0)
    precip: float = pa.Field(nullable=True, ge=0)
    pressure: float = pa.Field(nullable=True, ge=900, le=1100)
    visib: float = pa.Field(nullable=True, ge=0, le=100)
    band: str = pa.Field(isin=BANDS)


def outcomes(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """The cost of what was prepared, and whether a disrupted flight was announced as early or on time."""
    cost = nw.lit(None, dtype=nw.Float64)
    for announced, by_band in COST.items():
        for band, value in by_band.items():
            cost = (
                nw.when((nw.col("decision") == announced) & (nw.col("band") == band)).then(nw.lit(float(value))).otherwise(cost)
            )
    calm = nw.col("decision").is_in(["early", "on_time"])
    return rows.select(desk_cost=cost, missed_disruption=(calm & (nw.col("band") == "disrupted")).cast(nw.Float64))
