"""What is known of a flight from LaGuardia before it departs: schedule and weather. One code for Polars and Spark."""

from typing import Any

import narwhals as nw

SCHEDULE = ["carrier", "dest", "distance"]
WEATHER = ["temp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]


def build(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """One row per flight, in the order of ``rows``."""
    return rows.select("flight_id", *SCHEDULE, *WEATHER, sched_dep_hour=(nw.col("sched_dep_time").cast(nw.Float64) / 100).floor())
