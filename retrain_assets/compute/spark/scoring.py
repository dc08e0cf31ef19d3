"""Stage ``scoring`` on Spark: executors route and score the units they have, by the code of one machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

import polars as pl

from retrain_assets.compute.canary.inputs import Place
from retrain_assets.compute.logged_attributes import attribute_kinds
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.compute.spark.canary_inputs import frames_of
from retrain_assets.compute.spark.canary_refusals import refusals_of_executors
from retrain_assets.compute.spark.scores import CarriedBundle
from retrain_assets.compute.spark.session import session_of, spark_path, steady
from retrain_assets.compute.stages.scoring import batch_of, clear, refuse_no_unit, scored
from retrain_assets.compute.stages.scoring_parts import HEX_DIGITS, MOST_PARTS, Batch, PartFacts, parts_for, write_part
from retrain_assets.compute.traffic_schema import EXPOSURE_COLUMNS
from retrain_assets.contract import StageError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

PART = "_part"
PIECES = ".pieces"
"""Folder of what executors wrote, before it has its names."""

_TYPES = {pl.String: "string", pl.Int64: "bigint", pl.Float64: "double", pl.Boolean: "boolean", pl.Datetime: "timestamp"}


def scoring(request: StageRequest) -> StageResult:
    """As :func:`retrain_assets.compute.stages.scoring.scoring`, by the executors of a Spark session; the same files.

    Each part of the units is scored by one executor core; the driver names the parts and takes their digests, one at a time.

    Raises:
        RetrainError: as there.
    """
    batch = batch_of(request)
    clear(request)
    with steady(session_of(batch.contract.spark)) as session:
        frames = frames_of(session, Place.of(request, "rows"))
        if not frames:
            raise StageError("has no rows", where="input rows", remedy="write them as Parquet")
        rows = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), frames)
        refuse_no_unit(batch, rows.columns)
        pieces = request.directory / PIECES
        shutil.rmtree(pieces, ignore_errors=True)
        request.directory.mkdir(parents=True, exist_ok=True)
        try:
            with refusals_of_executors():
                exposures_frame(rows, batch, parts_for(rows.count())).write.partitionBy(PART).parquet(spark_path(pieces))
            found: dict[int, PartFacts] = {}
            for folder in sorted(pieces.glob(f"{PART}=*")):
                part = int(folder.name.partition("=")[2])
                exposures = pl.read_parquet(folder / "*.parquet", hive_partitioning=False)
                ordered = exposures.sort("request_id", "unit_id", nulls_last=True)
                found[part] = write_part(request.directory, batch.name, part, ordered)
        finally:
            shutil.rmtree(pieces, ignore_errors=True)
    return scored(request, found, {})


def exposures_frame(rows: DataFrame, batch: Batch, parts: int) -> DataFrame:
    """Exposures of rows, lazily, with the number of their part in :data:`PART`."""
    from pyspark.sql import functions as sf

    unit = sf.col(batch.contract.source.unit).cast("string")
    bits = sf.conv(sf.substring(sf.sha2(unit, 256), 1, HEX_DIGITS), 16, 10).cast("int")
    part = sf.coalesce(sf.floor(bits / (MOST_PARTS // parts)).cast("int"), sf.lit(0))
    return rows.withColumn(PART, part).groupBy(PART).applyInArrow(_scoring(batch), _schema(rows, batch))


def _schema(rows: DataFrame, batch: Batch) -> str:
    documented = [f"`{name}` {_TYPES[kind if isinstance(kind, type) else type(kind)]}" for name, kind in EXPOSURE_COLUMNS.items()]
    attributes = [name for name in attribute_kinds(batch.contract.experiment) if name in rows.columns]
    types = {field.name: field.dataType.simpleString() for field in rows.schema.fields}
    logged = [f"`{name}` {'string' if types[name].startswith(('array', 'void')) else types[name]}" for name in attributes]
    return ", ".join([*documented, *logged, "decision boolean", f"{PART} int"])


@dataclass(frozen=True, slots=True)
class _Carried:
    """The batch without its bundles, and these on their way."""

    batch: Batch
    bundles: Sequence[CarriedBundle]

    def load(self) -> Batch:
        champion, *others = (bundle.load() for bundle in self.bundles)
        return replace(self.batch, champion=champion, challenger=others[0] if others else None)


def _scoring(batch: Batch) -> Callable[[pa.Table], pa.Table]:
    bundles = [CarriedBundle.of(one) for one in (batch.champion, batch.challenger) if one is not None]
    carried = _Carried(replace(batch, champion=None, challenger=None), bundles)  # type: ignore[arg-type]

    def score(rows: pa.Table) -> pa.Table:
        import pyarrow as pa

        frame = pl.DataFrame(rows)
        part = int(frame[PART][0])
        exposures = carried.load().exposures(frame.drop(PART)).with_columns(pl.lit(part, pl.Int32).alias(PART))
        table = exposures.to_arrow(compat_level=pl.CompatLevel.oldest())
        kinds = [pa.string() if pa.types.is_large_string(one.type) else one.type for one in table.schema]
        return table.cast(pa.schema([pa.field(one.name, kind) for one, kind in zip(table.schema, kinds, strict=True)]))

    return score
