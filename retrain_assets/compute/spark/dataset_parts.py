"""Tables of a snapshot as Spark writes and reads them: ordered part files, and what of the types Spark cannot hold."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from retrain_assets.compute.parts import ROWS_A_PART, StoredTable, remove_parts, write_types
from retrain_assets.compute.spark.session import spark_path
from retrain_assets.contract import SourceError, StageError

if TYPE_CHECKING:
    from pyspark.errors import PySparkException
    from pyspark.sql import Column, DataFrame, SparkSession

SEE_LOG = "see the log of the Spark run"

POSITION = "__position__"
"""Column with the place of a row in a stored table, where it is asked for: comparable within the table, not consecutive."""


def write_parts(
    frame: DataFrame, path: Path, types: Mapping[str, pl.DataType], about: Mapping[str, Any], *, remedy: str = SEE_LOG
) -> StoredTable:
    """Write a sorted frame as a folder of parts, each sorted and none larger than a million rows, and say its types beside it.

    Args:
        frame: the rows in their order, one column for each type.
        path: the folder; what an earlier try left there is removed.
        types: the types the rows are read in again.
        about: facts about the table.
        remedy: what to do where a row cannot be computed.

    Raises:
        StageError: when an executor cannot compute or write a row.
    """
    from pyspark.errors import PySparkException

    remove_parts(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = [frame[name].cast("int") if dtype == pl.Null else frame[name] for name, dtype in types.items()]
    writer = frame.select(*plain).write.option("maxRecordsPerFile", ROWS_A_PART).option("compression", "zstd")
    try:
        writer.parquet(spark_path(path))
    except PySparkException as error:
        raise not_computed(error, str(path), remedy) from error
    for other in path.iterdir():
        if other.suffix != ".parquet":
            with contextlib.suppress(FileNotFoundError):
                other.unlink()
    write_types(path, types, about)
    return StoredTable.at(path)


def not_computed(error: PySparkException, where: str, remedy: str = SEE_LOG) -> StageError:
    """The error of rows that executors cannot compute, by its class: its words may hold values of rows."""
    return StageError(f"the executors fail ({error.getCondition() or type(error).__name__})", where=where, remedy=remedy)


def read_parts(session: SparkSession, path: Path, *, position: bool = False) -> DataFrame:
    """A stored table as a Spark frame, whichever engine wrote it, in Spark's types.

    Args:
        session: the session, in UTC (see :func:`retrain_assets.compute.spark.session.steady`).
        path: ``train.parquet`` or ``holdout.parquet`` of a snapshot, a file or a folder of parts.
        position: whether to add :data:`POSITION`.

    Raises:
        StageError: when it is missing or unreadable.
    """
    from pyspark.sql import functions as sf

    stored = StoredTable.at(path)
    frame = session.read.parquet(*[spark_path(file) for file in stored.files])
    columns = list(stored.schema)
    return frame.select(*columns, position_of(sf.col("_metadata")).alias(POSITION)) if position else frame.select(*columns)


def position_of(metadata: Column) -> Column:
    """Place of a row from the hidden column ``_metadata`` of a Spark frame that was read from files."""
    from pyspark.sql import functions as sf

    return sf.struct(metadata["file_name"].alias("file"), metadata["row_index"].alias("row"))


def refuse_types(types: Mapping[str, pl.DataType], where: str) -> None:
    """Refuse what Spark cannot hold.

    Raises:
        SourceError: for nanoseconds, times of day, integers of 128 bits and nested columns.
    """
    for name, dtype in types.items():
        nanoseconds = isinstance(dtype, (pl.Datetime, pl.Duration)) and dtype.time_unit == "ns"
        if nanoseconds or dtype.is_nested() or dtype in (pl.Time, pl.Int128, pl.UInt128, pl.Float16, pl.Object):
            raise SourceError(
                f"column {name!r} is {dtype}, which Spark cannot hold",
                where=where,
                remedy="write it as microseconds, text or a plain number, or set engine: single_node",
            )


def in_order(frame: DataFrame, columns: list[str], types: Mapping[str, pl.DataType]) -> DataFrame:
    """The frame sorted as Polars sorts: ascending by each column, nulls last.

    Both engines put NaN above every number and take -0.0 as 0.0, compare text and binaries by bytes, booleans as false before
    true, and decimals, dates and moments by value. An enum is sorted by the place of its category. Rows that differ in the sign
    of a zero alone, or not at all, have no order in either engine.
    """
    from pyspark.sql import functions as sf

    def key(name: str) -> Column:
        dtype = types[name]
        if isinstance(dtype, pl.Enum):
            return sf.array_position(sf.lit(dtype.categories.to_list()), frame[name]).asc_nulls_last()
        return frame[name].asc_nulls_last()

    return frame.orderBy(*[key(name) for name in columns])
