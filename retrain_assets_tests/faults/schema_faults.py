"""Files and columns that are not what the schema says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from retrain_assets.compute.stages.dataset import Windows
from retrain_assets_tests.faults.fault import Fault, InFile, InRows, refused


def always(change: Callable[[pl.DataFrame], pl.DataFrame]) -> InRows:
    """A change of every row, whatever the windows are."""

    def changed(rows: pl.DataFrame, _: Windows) -> pl.DataFrame:
        return change(rows)

    return InRows(changed)


def truncate_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty_file(path: Path) -> None:
    path.write_bytes(b"")


def rename_temp(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.rename({"temp": "temp_f"})


def drop_visib(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.drop("visib")


def write_temp_as_text(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("temp").cast(pl.String))


def write_time_without_zone(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("scheduled_at").dt.replace_time_zone(None))


def write_time_in_milliseconds(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("scheduled_at").cast(pl.Datetime("ms", "UTC")))


def drop_decimal_point(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("pressure") * 10)


def temp_in_kelvin(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns((pl.col("temp") - 32) / 1.8 + 273.15)


def distance_in_kilometres(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("distance") * 1.609)


def null_as_minus_999(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("temp", "pressure").fill_null(-999.0))


def swap_humidity_and_wind_direction(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.rename({"humid": "wind_dir", "wind_dir": "humid"})


def swap_origin_and_destination(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.rename({"origin": "dest", "dest": "origin"})


def lower_case_origin(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("origin").str.to_lowercase())


def label_of_three_values(rows: pl.DataFrame) -> pl.DataFrame:
    """Cancelled flights get a class of their own."""
    return rows.with_columns(pl.col("late").fill_null(2))


def negative_wind(rows: pl.DataFrame) -> pl.DataFrame:
    """One sensor writes -1 for a failed reading, in one row of two hundred."""
    failed = pl.int_range(pl.len()) % 200 == 0
    return rows.with_columns(pl.when(failed).then(-1.0).otherwise(pl.col("wind_speed")).alias("wind_speed"))


FAULTS = (
    Fault("truncated_file", "The copy of the source file stopped half-way.", InFile(truncate_file), (refused("dataset"),)),
    Fault("empty_file", "The disk was full and the file has no bytes.", InFile(empty_file), (refused("dataset"),)),
    Fault("missing_file", "The export did not run; there is no file.", InFile(Path.unlink), (refused("dataset"),)),
    Fault("renamed_column", "The weather export renamed temp to temp_f.", always(rename_temp), (refused("dataset"),)),
    Fault("missing_column", "The weather export no longer has visib.", always(drop_visib), (refused("dataset"),)),
    Fault("number_as_text", "A CSV step in between wrote temp as text.", always(write_temp_as_text), (refused("dataset"),)),
    Fault("time_without_zone", "The export lost the time zone.", always(write_time_without_zone), (refused("dataset"),)),
    Fault("time_in_milliseconds", "The unit of timestamps changed.", always(write_time_in_milliseconds), (refused("dataset"),)),
    Fault("decimal_point_lost", "1013.2 hPa arrives as 10132.", always(drop_decimal_point), ("schema_holds",)),
    Fault("temperature_in_kelvin", "The weather service now gives Kelvin.", always(temp_in_kelvin), ("schema_holds",)),
    Fault("distance_in_kilometres", "Miles became kilometres.", always(distance_in_kilometres), ("schema_holds",)),
    Fault("null_as_minus_999", "Missing weather is written as -999.", always(null_as_minus_999), ("schema_holds",)),
    Fault("negative_wind", "A failed wind reading is written as -1, one in 200.", always(negative_wind), ("schema_holds",)),
    Fault(
        "swapped_humidity_and_wind_direction",
        "Two columns were exchanged in a join.",
        always(swap_humidity_and_wind_direction),
        ("schema_holds",),
    ),
    Fault(
        "swapped_origin_and_destination",
        "Arrivals were exported in place of departures.",
        always(swap_origin_and_destination),
        ("schema_holds",),
    ),
    Fault("lower_case_origin", "A new writer gives airports in lower case.", always(lower_case_origin), ("schema_holds",)),
    Fault("label_of_three_values", "Cancelled flights got a class 2.", always(label_of_three_values), ("schema_holds",)),
)
