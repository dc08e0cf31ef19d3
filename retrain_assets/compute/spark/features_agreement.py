"""Whether a feature function gives the same on Spark as without it: asked of both engines on the same few rows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from retrain_assets.compute.parts import in_type
from retrain_assets.compute.spark.dataset_parts import POSITION, not_computed, read_parts
from retrain_assets.compute.spark.features_building import ENGINE_REMEDY, spark_features
from retrain_assets.compute.stages.building import Build
from retrain_assets.contract import Contract, StageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TOLERANCE = 1e-9
"""Largest difference of a feature, relative to its size or absolute, that is rounding."""


def refuse_other_values(
    session: SparkSession, build: Build, contract: Contract, rows: pl.DataFrame, expected: pl.DataFrame, directory: Path
) -> None:
    """Refuse a function that gives other features on Spark: a model would be trained on what serving never computes.

    Args:
        session: the session, in UTC.
        build: the function.
        contract: roles of the columns.
        rows: some rows of the data set.
        expected: what the function gives for them without Spark.
        directory: a folder that executors can read too.

    Raises:
        StageError: with the features and the number of rows that differ; as
            :func:`retrain_assets.compute.spark.features_building.spark_features`.
    """
    from pyspark.errors import PySparkException

    where = f"feature function {contract.features}"
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sample-", dir=directory) as scratch:
        path = Path(scratch) / "rows.parquet"
        rows.write_parquet(path)
        built = spark_features(build, read_parts(session, path), expected.columns, contract, rows)
        try:
            given = pl.DataFrame(built.orderBy(POSITION).select(*expected.columns).toArrow())
        except PySparkException as error:
            raise not_computed(error, where, ENGINE_REMEDY) from error
    if given.height != expected.height:
        raise StageError(
            f"returned {given.height} rows for {expected.height} on Spark", where=where, remedy="return exactly one row per row"
        )
    found = given.select(in_type(name, given.schema[name], dtype) for name, dtype in expected.schema.items())
    differing = {name: count for name in expected.columns if (count := _differing(found[name], expected[name]))}
    if differing:
        told = ", ".join(f"{name} ({count})" for name, count in differing.items())
        raise StageError(
            f"gives other values on Spark than without it, in so many of {expected.height} sampled rows: {told}",
            where=where,
            remedy="write them so that both engines agree (a weekday is 0 on Sundays there), or set engine: single_node",
        )


def _differing(found: pl.Series, expected: pl.Series) -> int:
    pair = pl.DataFrame({"found": found, "expected": expected})
    same = pl.col("found").eq_missing(pl.col("expected"))
    if expected.dtype.is_float():
        size = pl.max_horizontal(pl.col("found").abs(), pl.col("expected").abs(), pl.lit(1.0))
        close = (pl.col("found") - pl.col("expected")).abs() <= TOLERANCE * size
        same = same | close.fill_null(False)
    return int(pair.select((~same).sum()).item())
