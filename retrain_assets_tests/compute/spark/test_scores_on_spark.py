from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from retrain_assets.bundle import load_bundle
from retrain_assets.compute.spark import scores
from retrain_assets.compute.spark.file_order import OrderedRows
from retrain_assets.compute.spark.scores import CarriedBundle, scores_in_order, with_scores
from retrain_assets.contract import CustodyError, StageError
from retrain_assets_tests.compute.conftest import Road

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="module")
def files(road: Road, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The features of the hold-out as two files."""
    folder = tmp_path_factory.mktemp("features")
    rows = pl.read_parquet(Path(road.inputs()["features"]) / "holdout.parquet")
    rows[:100].write_parquet(folder / "part-0.parquet", row_group_size=30)
    rows[100:].write_parquet(folder / "part-1.parquet", row_group_size=30)
    return folder


def test_scores_of_executors_are_those_of_this_machine_in_the_order_of_the_files(
    spark: SparkSession, road: Road, files: Path
) -> None:
    bundle = load_bundle(Path(road.inputs()["candidate"]))
    found = scores_in_order(OrderedRows.of(spark, [str(files)]), {"candidate": bundle, "champion": bundle})
    expected = bundle.score(pl.read_parquet(files / "*.parquet"))
    assert np.array_equal(found["candidate"], expected)
    assert np.array_equal(found["champion"], expected)


def test_scores_stand_beside_the_kept_columns(spark: SparkSession, road: Road, files: Path) -> None:
    bundle = load_bundle(Path(road.inputs()["candidate"]))
    scored = with_scores(spark.read.parquet(str(files)), {"score": bundle}, ["parcel_id"])
    rows = pl.read_parquet(files / "*.parquet")
    expected = dict(zip(rows["parcel_id"], bundle.score(rows), strict=True))
    assert {row.parcel_id: row.score for row in scored.collect()} == expected


def test_a_missing_feature_is_named_before_a_task_starts(spark: SparkSession, road: Road, files: Path) -> None:
    bundle = load_bundle(Path(road.inputs()["candidate"]))
    with pytest.raises(StageError, match="features rain are missing"):
        scores_in_order(OrderedRows.of(spark, [str(files)]).select(["depot", "weight", "heavy"]), {"candidate": bundle})


def test_an_executor_refuses_a_bundle_that_is_not_the_recorded_one(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "_loaded", {})
    bundle = load_bundle(Path(road.inputs()["candidate"]))
    sound = CarriedBundle.of(bundle)
    changed = dict(sound.files) | {"calibration.json": b"{}"}
    with pytest.raises(CustodyError, match="the manifest says"):
        CarriedBundle(sound.digest, changed, sound.uri).load()
    with pytest.raises(CustodyError, match="recorded is sha256:other"):
        CarriedBundle("sha256:other", sound.files, sound.uri).load()


def test_a_large_bundle_is_read_where_it_is(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = load_bundle(Path(road.inputs()["candidate"]))
    monkeypatch.setattr(scores, "CARRIED_BYTES", 10)
    carried = CarriedBundle.of(bundle)
    assert carried.files == {}
    assert carried.load().digest == bundle.digest
