"""Features of a flight, all known before its scheduled departure. One code for Polars and Spark (narwhals)."""

from typing import Any

import narwhals as nw

SCHEDULE = ["carrier", "origin", "dest", "distance"]
WEEKDAY = nw.col("scheduled_at").dt.weekday().cast(nw.Float64)
"""Monday 1 to Sunday 7; on Spark, narwhals 2.29 says 0 for a Sunday."""
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]


def build(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """Schedule and the weather one hour before; one row per flight, in the order of ``rows``."""
    return rows.select(
        "flight_id",
        *SCHEDULE,
        *WEATHER,
        sched_dep_min=minutes_of_day("sched_dep_time"),
        sched_arr_min=minutes_of_day("sched_arr_time"),
        day_of_week=nw.when(WEEKDAY == 0).then(nw.lit(7.0)).otherwise(WEEKDAY),
    )


def minutes_of_day(column: str) -> nw.Expr:
    """Minutes since midnight of a clock time written as ``hhmm``."""
    clock = nw.col(column).cast(nw.Float64)
    hours = (clock / 100).floor()
    return hours * 60 + (clock - hours * 100)
