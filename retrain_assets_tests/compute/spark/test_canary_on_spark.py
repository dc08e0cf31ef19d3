"""Executors count and sum a canary exactly as one machine does, and send sums alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from retrain_assets.compute import run_stage
from retrain_assets.compute.canary.inputs import Place
from retrain_assets.compute.spark.canary_aggregation import ADDED_TOGETHER, aggregate_spark
from retrain_assets.compute.spark.canary_inputs import frames_of
from retrain_assets.contract import RetrainError, SourceError
from retrain_assets.experiment import CanaryData
from retrain_assets_tests.compute.spark.canary_traffic import canary_request, write_traffic
from retrain_assets_tests.compute.test_canary_ticks import LAST, assert_same, terms, told

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("canary")
    write_traffic(folder, seed=11)
    return folder


@pytest.fixture(scope="module")
def local(seen: Path) -> CanaryData:
    return data_of(run_stage(canary_request(seen, seen / "local")).outputs["data"]["uri"])


def data_of(path: str) -> CanaryData:
    return CanaryData.from_json(json.loads(Path(path).read_bytes()))


@pytest.mark.parametrize("rows_per_part", [300, 8])
def test_spark_gives_what_one_machine_gives_whatever_the_parts(
    spark: SparkSession, seen: Path, local: CanaryData, rows_per_part: int
) -> None:
    exposures, outcomes = (frames_of(spark, Place(kind, seen / kind)) for kind in ("exposures", "outcomes"))
    found, moved = aggregate_spark(exposures, outcomes, terms(), LAST, rows_per_part=rows_per_part)
    assert_same(told(found), told(local))
    assert (found.exposures, found.outcomes) == (local.exposures, local.outcomes)
    assert moved.parts * rows_per_part >= moved.rows > (moved.parts - 1) * rows_per_part // 2
    most = -(-moved.parts // ADDED_TOGETHER) if moved.parts > ADDED_TOGETHER else moved.parts
    assert 0 < len(moved.collected_bytes) <= most


def test_the_stage_on_spark_writes_the_same_data_as_here_and_says_what_moved(
    spark: SparkSession, seen: Path, local: CanaryData, tmp_path: Path
) -> None:
    result = run_stage(replace(canary_request(seen, tmp_path), engine="spark"))
    assert_same(told(data_of(result.outputs["data"]["uri"])), told(local))
    again = run_stage(replace(canary_request(seen, tmp_path / "again"), engine="spark"))
    assert again.outputs["data"]["digest"] == result.outputs["data"]["digest"]
    moved = result.metadata["moved"]
    assert 0 < moved["most_collected_bytes"] < 100_000
    assert moved["parts"] == 1
    assert result.metadata["cross_arm_units"] == local.cross_arm_units > 0


def test_the_sums_sent_do_not_grow_with_the_rows(spark: SparkSession, tmp_path: Path) -> None:
    sizes = []
    for times in (1, 5):
        folder = tmp_path / str(times)
        write_traffic(folder, seed=3, requests=150)
        for kind in ("exposures", "outcomes"):
            for path in sorted((folder / kind).iterdir()):
                rows = pl.read_parquet(path)
                more = [rows.with_columns(pl.format("{}-{}", "unit_id", pl.lit(n)).alias("unit_id")) for n in range(times)]
                pl.concat(more).write_parquet(path)
        exposures, outcomes = (frames_of(spark, Place(kind, folder / kind)) for kind in ("exposures", "outcomes"))
        sizes.append(aggregate_spark(exposures, outcomes, terms(quantiles=False), LAST)[1])
    assert sizes[1].rows == 5 * sizes[0].rows
    assert sizes[1].shuffled_bytes > sizes[0].shuffled_bytes
    assert sum(sizes[1].collected_bytes) < 1.5 * sum(sizes[0].collected_bytes)


def test_delta_tables_are_read_at_their_version(spark: SparkSession, seen: Path, local: CanaryData, tmp_path: Path) -> None:
    import deltalake

    for kind in ("exposures", "outcomes"):
        for path in sorted((seen / kind).iterdir()):
            rows = pl.read_parquet(path)
            if kind == "exposures":
                moment = pl.col("exposed_at").dt.cast_time_unit("us")
                age = pl.col("age") if "age" in rows.columns else pl.lit(None, pl.Float64).alias("age")
                rows = rows.with_columns(moment, pl.col("origin").cast(pl.String), age).select(sorted({*rows.columns, "age"}))
            deltalake.write_deltalake(str(tmp_path / kind), rows.to_arrow(), mode="append")
    later = {kind: {"version": 3} for kind in ("exposures", "outcomes")}
    deltalake.write_deltalake(
        str(tmp_path / "outcomes"), pl.read_parquet(seen / "outcomes" / "0.parquet").to_arrow(), mode="append"
    )
    for engine in ("single_node", "spark"):
        request = replace(canary_request(tmp_path, tmp_path / engine, tables=later), engine=engine)
        assert_same(told(data_of(run_stage(request).outputs["data"]["uri"])), told(local))


@pytest.mark.parametrize("engine", ["single_node", "spark"])
@pytest.mark.parametrize(
    ("kind", "column", "value", "says"),
    [
        ("exposures", "arm", pl.lit("treatment"), "exposures.arm: arm 'treatment' is unknown; write champion or challenger"),
        ("exposures", "exposed_at", pl.lit("noon"), "column exposed_at is String, not Datetime"),
        ("outcomes", "observed_at", None, "column observed_at is missing"),
    ],
)
def test_records_that_cannot_be_counted_are_refused_in_one_line(
    spark: SparkSession, tmp_path: Path, engine: str, kind: str, column: str, value: pl.Expr | None, says: str
) -> None:
    write_traffic(tmp_path, seed=5, requests=40)
    path = tmp_path / kind / "0.parquet"
    rows = pl.read_parquet(path)
    (rows.drop(column) if value is None else rows.with_columns(value.alias(column))).write_parquet(path)
    with pytest.raises(RetrainError) as refusal:
        run_stage(replace(canary_request(tmp_path, tmp_path / "out"), engine=engine))  # type: ignore[arg-type]
    assert says in refusal.value.line
    assert "\n" not in refusal.value.line


def test_times_that_spark_does_not_read_are_refused_in_one_line(spark: SparkSession, tmp_path: Path) -> None:
    write_traffic(tmp_path, seed=5, requests=40)
    path = tmp_path / "exposures" / "0.parquet"
    pl.read_parquet(path).with_columns(pl.col("exposed_at").dt.cast_time_unit("ns")).write_parquet(path)
    with pytest.raises(SourceError, match=r"0\.parquet: column exposed_at counts nanoseconds, .*; write microseconds"):
        frames_of(spark, Place("exposures", tmp_path / "exposures"))


def test_no_records_at_all_are_no_units(spark: SparkSession) -> None:
    found, moved = aggregate_spark([], [], terms(), LAST)
    assert not any(stage.champion.exposed for stage in found.stages)
    assert (moved.rows, moved.collected_bytes) == (0, ())
