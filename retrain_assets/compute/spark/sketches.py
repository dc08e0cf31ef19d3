"""Sketches of Spark frames: executors sketch their rows with the code of this machine, the driver adds what they send."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from retrain_assets.compute.spark.file_order import OrderedRows, in_types, placed_batches
from retrain_assets.contract import StageError
from retrain_assets.drift import Sketch, sketch_frame
from retrain_assets.drift.batches import SAMPLE_ROWS

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    OnExecutor = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def sketch_spark(
    frame: DataFrame, columns: Sequence[str], edges: Sketch, types: Mapping[str, pl.DataType] | None = None
) -> Sketch:
    """The sketch of some columns over the edges and levels of a reference, in one pass.

    Counts, range and missing values are those of :func:`~retrain_assets.drift.sketch_frame` however the rows are partitioned;
    moments are equal up to rounding. Each partition that has rows sends one sketch, a kilobyte or two a column.

    Args:
        frame: the rows, in any order.
        columns: the columns to sketch: numbers, booleans or text.
        edges: the reference.
        types: the columns' own types, where Spark's differ.

    Raises:
        StageError: as :func:`~retrain_assets.drift.sketch_frame`.
    """
    nothing = sketch_frame(in_types(no_rows(frame).to_arrow(), types or {}), columns=columns, edges=edges)
    return _sketched(frame, columns, edges, types or {}, nothing)


def sketch_files(
    rows: OrderedRows, columns: Sequence[str], *, bins: int = 20, max_levels: int = 50, sample_rows: int = SAMPLE_ROWS
) -> Sketch:
    """The sketch of some columns with edges and levels fitted to them: what ``sketch_parquet`` gives for the same files.

    Edges are fitted by the driver on the systematic sample of :func:`~retrain_assets.drift.sketch_batches`: every k-th row in the
    order of the files, k the smallest power of two that leaves at most ``sample_rows``. So they are exactly the local ones
    whatever Spark's partitions are. Up to ``sample_rows`` rows the sample is all there is and nothing is read again; beyond, a
    second pass counts every row over the edges, as locally. The sample is what moves: at most ``sample_rows`` values a column.

    Args:
        rows: the rows, in the order of their files.
        columns: the columns to sketch: numbers, booleans or text.
        bins: most bins of a numeric column.
        max_levels: most levels of a categorical column.
        sample_rows: most rows of the sample.

    Raises:
        StageError: as :func:`~retrain_assets.drift.sketch_frame`.
    """
    nothing = sketch_frame(rows.nothing, columns=columns, bins=bins, max_levels=max_levels)
    if not columns or not rows.rows:
        return nothing
    step = 1
    while -(-rows.rows // step) > sample_rows:
        step *= 2
    wanted = rows.select(columns).frame
    plain = wanted.select(*columns)
    taken = plain if step == 1 else wanted.mapInArrow(_sampling(step, dict(rows.begins)), plain.schema)
    fitted = sketch_frame(in_types(taken.toArrow(), rows.types), columns=columns, bins=bins, max_levels=max_levels)
    return fitted if step == 1 else _sketched(plain, columns, fitted, rows.types, nothing)


def no_rows(frame: DataFrame) -> pl.DataFrame:
    """A frame of no rows with the columns of a Spark frame."""
    return local_frame(frame.limit(0))


def local_frame(frame: DataFrame) -> pl.DataFrame:
    """The rows of a Spark frame, brought to the driver."""
    found = pl.from_arrow(frame.toArrow())
    if not isinstance(found, pl.DataFrame):
        raise StageError("Spark gives no table", where="compute.spark")
    return found


def _sketched(
    frame: DataFrame, columns: Sequence[str], edges: Sketch, types: Mapping[str, pl.DataType], nothing: Sketch
) -> Sketch:
    """One sketch of each partition, added in the order of the partitions; ``nothing`` where there are no rows."""
    if not columns:
        return nothing
    executor = _sketching(list(columns), json.dumps(edges.to_json()), dict(types))
    sent = frame.select(*columns).mapInArrow(executor, "part int, sketch string")
    parts = sorted((row.part, row.sketch) for row in sent.collect())
    found = [Sketch.from_json(json.loads(text)) for _, text in parts]
    whole = found[0] if found else nothing
    for part in found[1:]:
        whole = whole + part
    return whole


def _sketching(columns: list[str], edges_json: str, types: dict[str, pl.DataType]) -> OnExecutor:
    def sketch(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        from pyspark import TaskContext

        edges = Sketch.from_json(json.loads(edges_json))
        found: Sketch | None = None
        for batch in batches:
            if batch.num_rows:
                part = sketch_frame(in_types(batch, types), columns=columns, edges=edges)
                found = part if found is None else found + part
        if found is not None:
            context = TaskContext.get()
            number, text = context.partitionId() if context else 0, json.dumps(found.to_json())
            columns_sent = [pa.array([number], pa.int32()), pa.array([text], pa.string())]
            yield pa.RecordBatch.from_arrays(columns_sent, names=["part", "sketch"])

    return sketch


def _sampling(step: int, begins: dict[tuple[str, int], int]) -> OnExecutor:
    def sample(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for places, batch in placed_batches(batches, begins):
            yield batch.filter(pa.array(places % step == 0))

    return sample
