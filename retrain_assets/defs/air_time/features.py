"""What is known of a flight from JFK before it departs: where it goes, when, and the wind. One code for Polars and Spark."""

from typing import Any

import narwhals as nw

ROUTE = ["carrier", "dest", "distance"]
WEATHER = ["temp", "wind_dir", "wind_speed", "pressure"]


def build(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """One row per flight, in the order of ``rows``."""
    return rows.select("flight_id", *ROUTE, *WEATHER, sched_dep_hour=(nw.col("sched_dep_time").cast(nw.Float64) / 100).floor())
