"""The records of a canary stage as Spark frames, files of different columns in frames of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from retrain_assets.compute.canary.inputs import Place, readable
from retrain_assets.compute.delta_catalog import SessionTable, has_delta
from retrain_assets.compute.spark.session import spark_path
from retrain_assets.contract import SourceError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def frames_of(session: SparkSession, place: Place) -> list[DataFrame]:
    """The records of a place, lazily.

    A table is read by Spark's own Delta where the session has it, else by its list of files.

    Raises:
        SourceError: when they cannot be read.
    """
    if not place.is_delta:
        return list(_by_columns(session, place.files()))
    if not has_delta(session):
        return list(_by_columns(session, [Path(name) for name in place.delta().files()]))
    if place.table is not None:
        return [SessionTable.open(session, place.table, place.version).frame()]
    assert place.path is not None
    reader = session.read.format("delta")
    if place.version is not None:
        reader = reader.option("versionAsOf", place.version)
    return [reader.load(spark_path(place.path))]


def _by_columns(session: SparkSession, files: Sequence[Path]) -> Iterator[DataFrame]:
    """One frame for all files that have the same columns of the same types; a column without any value has no type in Spark."""
    from pyspark.sql import functions

    alike: dict[tuple[tuple[str, pl.DataType], ...], list[str]] = {}
    for path in files:
        schema = readable(str(path), lambda path=path: pl.read_parquet_schema(path))
        alike.setdefault(tuple(schema.items()), []).append(str(path))
    for schema, paths in alike.items():
        if fine := [name for name, kind in schema if isinstance(kind, pl.Datetime) and kind.time_unit == "ns"]:
            raise SourceError(
                f"column {fine[0]} counts nanoseconds, which Spark does not read", where=paths[0], remedy="write microseconds"
            )
        empty = [name for name, kind in schema if kind == pl.Null]
        frame = session.read.parquet(*map(spark_path, paths))
        yield frame.select(
            *(functions.lit(None).cast("string").alias(name) if name in empty else frame[name] for name, _ in schema)
        )
