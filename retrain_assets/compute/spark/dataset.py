"""Stage ``dataset`` on Spark: the executors filter, split, sort and write the snapshot; gate data judges it as without Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from retrain_assets.compute.frames import read_tables, stored_digest
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.compute.spark.dataset_memory import refuse_what_does_not_fit
from retrain_assets.compute.spark.dataset_parts import in_order, write_parts
from retrain_assets.compute.spark.dataset_source import source_frame
from retrain_assets.compute.spark.dataset_split import Split, collected
from retrain_assets.compute.spark.session import between, session_of, steady
from retrain_assets.compute.stages.dataset import Asked, judged, split
from retrain_assets.compute.stages.source import no_rows, sort_columns
from retrain_assets.gates import LeftOut, SourceRows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def dataset(request: StageRequest) -> StageResult:
    """Snapshot the source: what :func:`retrain_assets.compute.stages.dataset.dataset` makes, with the same digests.

    The windows are written as folders of parts, in the order that stage sorts in (see
    :func:`retrain_assets.compute.spark.dataset_parts.in_order`). The driver reads them column by column for the digest; for gate
    data it holds the snapshot and the rows left out, about three times their size in memory.

    Raises:
        SourceError: when the source is not what the contract says, or has a type that Spark cannot hold.
        StageError: as the stage without Spark; when an executor fails, or the snapshot does not fit the driver for its gate.
    """
    asked = Asked.of(request)
    with steady(session_of(asked.contract.spark)) as session:
        return _snapshot(session, asked)


def _snapshot(session: SparkSession, asked: Asked) -> StageResult:
    contract, windows = asked.contract, asked.windows
    source, folder = contract.source, asked.request.directory / "dataset"
    frame, types = source_frame(session, source, asked.schema, asked.table)
    order = sort_columns(source, types)
    rows = frame.where(between(frame, source.event_time, windows.train_start, windows.cutoff))
    parts = Split.of(rows, contract, windows)

    written = [
        write_parts(in_order(window, order, types), folder / f"{name}.parquet", types, asked.about)
        for name, window in (("train", parts.train), ("holdout", parts.holdout))
    ]
    if not any(stored.rows for stored in written) and frame.isEmpty():
        raise no_rows(source.place)
    refuse_what_does_not_fit(written)
    tables = read_tables(folder)
    left_out = _left_out(parts, types, order, asked, frame)
    judged_rows = SourceRows(tables.train, tables.holdout, contract, windows.cutoff, left_out, asked.request.unit_names)
    return judged(asked, judged_rows, stored_digest(folder), folder)


def _left_out(parts: Split, types: dict[str, pl.DataType], order: list[str], asked: Asked, source: DataFrame) -> LeftOut:
    """The rows that are in neither window, sorted, as the stage without Spark has them."""
    neither = collected(parts.unlabelled_or_young, types, order)
    told = split(neither, asked.contract, asked.windows).left_out
    without_time = source.where(source[asked.contract.source.event_time].isNull()).count()
    shared = parts.group_in_training
    group = neither.clear() if shared is None else collected(shared, types, order)
    return LeftOut(told.too_young, told.unlabelled, group, without_time)
