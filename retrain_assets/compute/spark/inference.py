"""Exposures from an inference table by the executors of a Spark session: the reader of one machine over their rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import polars as pl

from retrain_assets.compute.canary.inference import (
    COLUMNS,
    Delivered,
    InferenceTable,
    exposure_schema,
    exposures_of,
    without_payloads,
)
from retrain_assets.compute.canary.terms import Terms
from retrain_assets.compute.spark.canary_refusals import refusals_of_executors

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    OnExecutor = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

_SPARK = {pl.String: "string", pl.Int64: "bigint", pl.Float64: "double", pl.Boolean: "boolean", pl.Datetime: "timestamp"}


CHARACTERS_PER_ROW = 100
"""Of a request, at least: tells how many rows there may be before any request has been read."""


def exposures_of_table(
    frames: Sequence[DataFrame], table: InferenceTable, terms: Terms
) -> tuple[list[DataFrame], Delivered, int]:
    """Exposures of an inference table, lazily; what it says beside them, counted at once; about how many exposures there are.

    Args:
        frames: the table's rows.
        table: how they are meant.
        terms: toggle, revisions, attributes.

    Raises:
        StageError: for a table of other columns, a sampled one, a request that cannot be read, or what such a table cannot tell.
    """
    for frame in frames:
        exposures_of(pl.DataFrame(frame.limit(0).toArrow()), table, terms)
    from pyspark.sql import functions as sf

    told = {"table": table.to_json(), "terms": terms.to_json()}
    counted = [frame.select(*without_payloads(frame.columns)).mapInArrow(_counting(told), "delivered string") for frame in frames]
    with refusals_of_executors():
        found = [Delivered(**json.loads(row.delivered)) for one in counted for row in one.collect()]
    delivered = reduce(add, found, Delivered())
    delivered.refuse_sample()
    schema = ", ".join(f"`{name}` {_SPARK[_kind(kind)]}" for name, kind in exposure_schema(terms).items())
    needed = [[name for name in frame.columns if name in COLUMNS] for frame in frames]
    read = [frame.select(*names).mapInArrow(_reading(told), schema) for frame, names in zip(frames, needed, strict=True)]
    with refusals_of_executors():
        characters = sum(int(row[0] or 0) for frame in frames for row in frame.select(sf.sum(sf.length("request"))).collect())
    return read, delivered, max(delivered.requests, characters // CHARACTERS_PER_ROW)


def _kind(kind: Any) -> type[pl.DataType]:
    return kind if isinstance(kind, type) else type(kind)


def _told(told: Mapping[str, Any]) -> tuple[InferenceTable, Terms]:
    return InferenceTable.from_json(told["table"]), Terms.from_json(told["terms"])


def _counting(told: Mapping[str, Any]) -> OnExecutor:
    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        table, terms = _told(told)
        found = [Delivered.of(pl.DataFrame(pa.Table.from_batches([batch])), table, terms) for batch in batches]
        texts = [json.dumps(asdict(reduce(add, found)))] if found else []
        yield pa.RecordBatch.from_arrays([pa.array(texts, pa.string())], names=["delivered"])

    return count


def _reading(told: Mapping[str, Any]) -> OnExecutor:
    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        table, terms = _told(told)
        for batch in batches:
            found = exposures_of(pl.DataFrame(pa.Table.from_batches([batch])), table, terms)
            yield from found.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(_plain(found)).to_batches()

    return read


def _plain(rows: pl.DataFrame) -> pa.Schema:
    """The Arrow types that Spark takes: text with 32-bit offsets."""
    import pyarrow as pa

    schema = rows.clear().to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    kinds = [pa.string() if pa.types.is_large_string(one.type) else one.type for one in schema]
    return pa.schema([pa.field(one.name, kind) for one, kind in zip(schema, kinds, strict=True)])
