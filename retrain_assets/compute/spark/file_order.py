"""Rows of Parquet files on Spark with their places in the files: what Spark reads in parts has its order again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.compute.parts import StoredTable, in_type
from retrain_assets.compute.spark.session import spark_path
from retrain_assets.contract import StageError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

FILE, BLOCK = "_file", "_block"
"""Columns beside the rows: the file a row is from, and where in it the block of bytes begins that was read with it."""

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OrderedRows:
    """Rows of some files, whose places 0..n-1 the executors can tell.

    A task of Spark reads blocks of files, each from its first row to its last. Rows of a block are counted once; from then on the
    place of a row is that of its block's first row and its number in the block. Only documented columns of Spark's file metadata
    are used, so that it holds on every runtime.

    Args:
        frame: the rows, with :data:`FILE` and :data:`BLOCK`.
        begins: place of each block's first row.
        rows: rows of all files.
        types: the columns' own types, where Spark's differ; see :mod:`retrain_assets.compute.parts`.
    """

    frame: DataFrame
    begins: Mapping[tuple[str, int], int]
    rows: int
    types: Mapping[str, pl.DataType] = field(default_factory=dict)

    @classmethod
    def of(cls, session: SparkSession, paths: Sequence[str]) -> OrderedRows:
        """The rows of Parquet files, or folders of them, ordered by path; costs one pass that reads no column.

        Args:
            session: the session.
            paths: as Spark names them.
        """
        from pyspark.sql import functions

        file, block = functions.col("_metadata.file_path"), functions.col("_metadata.file_block_start")
        frame = session.read.parquet(*paths).select("*", file.alias(FILE), block.alias(BLOCK))
        counted = frame.groupBy(FILE, BLOCK).count().collect()
        begins: dict[tuple[str, int], int] = {}
        seen = 0
        for name, start, rows in sorted(tuple(row) for row in counted):
            begins[name, start] = seen
            seen += rows
        return cls(frame, begins, seen)

    @classmethod
    def stored(cls, session: SparkSession, table: StoredTable) -> OrderedRows:
        """The rows of a table of a snapshot, whichever engine wrote it."""
        return replace(cls.of(session, [spark_path(file) for file in table.files]), types=table.schema)

    def select(self, columns: Sequence[str]) -> OrderedRows:
        """Some columns of the rows."""
        return replace(self, frame=self.frame.select(*columns, FILE, BLOCK))

    @property
    def nothing(self) -> pl.DataFrame:
        """A frame of none of the rows, in their own types."""
        return in_types(self.frame.drop(FILE, BLOCK).limit(0).toArrow(), self.types)


def placed_batches(
    batches: Iterator[pa.RecordBatch], begins: Mapping[tuple[str, int], int]
) -> Iterator[tuple[Places, pa.RecordBatch]]:
    """The batches that an executor is given of an :class:`OrderedRows`, without its two columns, and the places of their rows.

    Raises:
        StageError: when files are read in other blocks than they were counted in.
    """
    import pyarrow as pa

    seen: dict[tuple[str, int], int] = {}
    for batch in batches:
        blocks = pl.DataFrame(pa.Table.from_batches([batch.select([FILE, BLOCK])]))
        places = np.empty(blocks.height, dtype=np.int64)
        first = 0
        for length, key in blocks.select(pl.struct(FILE, BLOCK).rle().alias("run")).unnest("run").iter_rows():
            block = (key[FILE], key[BLOCK])
            if block not in begins:
                raise StageError("was read in other blocks than it was counted in", where=block[0], remedy="run the stage again")
            begin = begins[block] + seen.get(block, 0)
            places[first : first + length] = np.arange(begin, begin + length)
            seen[block] = seen.get(block, 0) + length
            first += length
        yield places, batch.drop_columns([FILE, BLOCK])


def in_types(rows: pa.RecordBatch | pa.Table, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Rows as Spark gives them in their own types; a column without a type keeps Spark's."""
    import pyarrow as pa

    found = pl.DataFrame(pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows)
    return found.select(in_type(name, dtype, types.get(name, dtype)) for name, dtype in found.schema.items())
