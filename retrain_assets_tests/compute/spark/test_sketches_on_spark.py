from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from retrain_assets.compute.parquet_sketch import sketch_parquet
from retrain_assets.compute.spark.file_order import OrderedRows
from retrain_assets.compute.spark.sketches import sketch_files, sketch_spark
from retrain_assets.contract import StageError
from retrain_assets.drift import Sketch, sketch_batches, sketch_frame

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SMALL_SAMPLE = 700


def mixed(rows: int = 5000, seed: int = 5) -> pl.DataFrame:
    """Numbers of several widths, texts and booleans, with missing, infinite and heavy values."""
    rng = np.random.default_rng(seed)
    amounts = rng.lognormal(2, 1, rows)
    amounts[rng.random(rows) < 0.4] = 0.0
    odd = rng.normal(1e4, 1, rows)
    odd[:3] = [np.nan, np.inf, -np.inf]
    towns = rng.choice(["Ålesund", "bergen", "Oslo", "oslo", ""], rows, p=[0.1, 0.2, 0.3, 0.3, 0.1])
    return pl.DataFrame(
        {
            "amount": amounts,
            "odd": odd,
            "narrow": pl.Series(rng.normal(size=rows), dtype=pl.Float32),
            "count": pl.Series(rng.poisson(3, rows), dtype=pl.Int16),
            "town": [None if one < 0.05 else town for one, town in zip(rng.random(rows), towns, strict=True)],
            "many": [f"unit {number}" for number in rng.zipf(1.3, rows) % 1000],
            "flag": [None if one < 0.1 else bool(one < 0.7) for one in rng.random(rows)],
            "empty": pl.Series([None] * rows, dtype=pl.Float64),
        }
    )


def assert_equal(found: Sketch, expected: Sketch) -> None:
    """Counts, edges, levels and range exactly; moments to 1e-9 of their scale."""
    assert list(found.columns) == list(expected.columns)
    for name, one in expected.columns.items():
        other = found.columns[name]
        for field in fields(one):
            value, wanted = getattr(other, field.name), getattr(one, field.name)
            if field.name in ("mean", "std", "skewness") and wanted is not None:
                assert value == pytest.approx(wanted, rel=1e-9, abs=1e-9), (name, field.name)
            else:
                assert value == wanted, (name, field.name)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows as three files of several row groups, sizes such that Spark reads the last first."""
    folder, rows = tmp_path_factory.mktemp("mixed"), mixed()
    for number, (begin, end) in enumerate([(0, 400), (400, 1700), (1700, 5000)]):
        rows[begin:end].write_parquet(folder / f"part-{number}.parquet", row_group_size=300)
    return folder


@pytest.mark.parametrize("partitions", [1, 7])
def test_over_a_reference_the_sketch_is_the_local_one_however_rows_lie(spark: SparkSession, files: Path, partitions: int) -> None:
    rows = mixed()
    edges = sketch_frame(mixed(seed=8), columns=rows.columns)
    found = sketch_spark(spark.read.parquet(str(files)).repartition(partitions), rows.columns, edges)
    assert_equal(found, sketch_frame(rows, columns=rows.columns, edges=edges))


@pytest.mark.parametrize("bytes_a_task", ["50000", "100000000"])
def test_fitted_edges_are_those_of_the_local_sample_however_spark_cuts_the_files(
    spark: SparkSession, files: Path, bytes_a_task: str
) -> None:
    rows, before = mixed(), spark.conf.get("spark.sql.files.maxPartitionBytes")
    spark.conf.set("spark.sql.files.maxPartitionBytes", bytes_a_task)
    try:
        found = sketch_files(OrderedRows.of(spark, [str(files)]), rows.columns, sample_rows=SMALL_SAMPLE)
    finally:
        spark.conf.set("spark.sql.files.maxPartitionBytes", str(before))
    expected = sketch_batches([rows[:1111], rows[1111:]], columns=rows.columns, sample_rows=SMALL_SAMPLE)
    assert expected.columns["amount"].fitted_on == 625
    assert_equal(found, expected)


def test_up_to_the_size_of_the_sample_edges_are_fitted_to_every_row(spark: SparkSession, files: Path) -> None:
    found = sketch_files(OrderedRows.of(spark, [str(files)]), mixed().columns)
    assert_equal(found, sketch_parquet(sorted(files.iterdir()), mixed().columns))


def test_rows_that_are_not_there_make_the_sketch_of_no_rows(spark: SparkSession, files: Path) -> None:
    rows = mixed()
    edges = sketch_frame(rows, columns=rows.columns)
    found = sketch_spark(spark.read.parquet(str(files)).limit(0), rows.columns, edges)
    assert found == sketch_frame(rows.clear(), columns=rows.columns, edges=edges)


def test_a_partition_sends_kilobytes_however_many_rows_it_has(spark: SparkSession, files: Path) -> None:
    rows = mixed()
    edges = sketch_frame(rows, columns=rows.columns)
    one = sketch_frame(rows, columns=rows.columns, edges=edges)
    ten = sketch_frame(pl.concat([rows] * 10), columns=rows.columns, edges=edges)
    sizes = [len(str(sketch.to_json())) for sketch in (one, ten)]
    assert max(sizes) < 2048 * len(rows.columns)
    assert sizes[1] < 1.05 * sizes[0]


def test_a_column_that_cannot_be_sketched_is_named_before_a_task_starts(spark: SparkSession) -> None:
    rows = spark.range(3).selectExpr("id", "array(id) as list")
    with pytest.raises(StageError, match="has no sketch") as told:
        sketch_spark(rows, ["list"], sketch_frame(pl.DataFrame({"list": ["a"]}), columns=["list"]))
    assert told.value.where == "drift, column list"
