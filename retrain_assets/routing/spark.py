"""The router's decision for a Spark frame: :func:`assign_frame` over its Arrow batches, where they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from retrain_assets.contract import RetrainError
from retrain_assets.routing.batch import assign_frame, refuse_missing
from retrain_assets.routing.router import whole_seconds
from retrain_assets.routing.rule import RoutingRule

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

ADDED = ("arm", "reason")


def assign_spark(rule: RoutingRule, frame: DataFrame, unit: str, now: datetime | str) -> DataFrame:
    """The frame with ``arm`` and ``reason`` (text) added, lazily; row by row what :func:`compile_rule` gives.

    The executors need this package. Every other column stays as it is.

    Args:
        rule: the model's rule.
        frame: one row per request, with the unit column and one column per cohort attribute.
        unit: name of the unit column (text or integers; integers count as their decimal text).
        now: the moment of all requests (aware, UTC), or the name of a timestamp column with one each.

    Raises:
        RetrainError: at once, where a column is missing, the unit column is neither text nor integer, or the time has no zone.
    """
    from pyspark.sql.types import IntegralType, NullType, StringType, StructField, StructType, TimestampType

    moments = [now] if isinstance(now, str) else []
    refuse_missing(rule, frame.columns, [unit, *moments])
    if not isinstance(frame.schema[unit].dataType, StringType | IntegralType | NullType):
        raise RetrainError(
            f"unit column {unit!r} has type {frame.schema[unit].dataType.simpleString()}",
            where=f"units of {rule.model}",
            remedy="give text or integers",
        )
    if isinstance(now, datetime):
        whole_seconds(now)
    elif not isinstance(frame.schema[now].dataType, TimestampType):
        raise RetrainError(
            f"column {now!r} has type {frame.schema[now].dataType.simpleString()}",
            where=f"units of {rule.model}",
            remedy="give a timestamp with time zone",
        )
    kept = [field for field in frame.schema.fields if field.name not in ADDED]
    added = [StructField(name, StringType(), nullable=False) for name in ADDED]
    return frame.mapInArrow(_assigning(rule, unit, now), StructType([*kept, *added]))


def _assigning(
    rule: RoutingRule, unit: str, now: datetime | str
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What an executor does with its batches."""
    asked = list(dict.fromkeys([unit, *rule.cohort, *([now] if isinstance(now, str) else [])]))

    def assign(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import polars as pl
        import pyarrow as pa

        for batch in batches:
            rows = pl.DataFrame(pa.Table.from_batches([batch.select(asked)]))
            assigned = assign_frame(rule, rows, unit, rows.get_column(now) if isinstance(now, str) else now)
            kept = [name for name in batch.schema.names if name not in ADDED]
            columns = [assigned.get_column(name).to_arrow().cast(pa.string()) for name in ADDED]
            yield pa.RecordBatch.from_arrays([*(batch.column(name) for name in kept), *columns], names=[*kept, *ADDED])

    return assign
