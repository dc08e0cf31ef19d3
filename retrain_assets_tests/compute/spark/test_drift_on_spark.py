from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from retrain_assets.compute import StageRequest, run_stage
from retrain_assets.contract import StageError
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.parcels import CUTOFF
from retrain_assets_tests.compute.spark.test_evaluation_on_spark import assert_same
from retrain_assets_tests.compute.test_drift_stage import SINCE, traffic

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def reported(engine: Any, road: Road, inputs: dict[str, str], folder: Path, window: str, **changes: Any) -> dict[str, Any]:
    rule = {"window": window, "limits": {"prediction_psi": 0.2, "cost": 0.1}}
    contract = {**road.contract, "cadence": {"min_interval": "7d", "on_drift": rule}, **changes}
    digest = road.training.outputs["bundle"]["digest"]
    parameters = {"now": CUTOFF.isoformat(), "since": SINCE.isoformat(), "bundle_digest": digest}
    given = {"bundle": road.inputs()["candidate"], **inputs}
    request = StageRequest("drift", "parcel_delay", "drift", contract, given, str(folder / engine), parameters, engine)
    return dict(run_stage(request).metadata)


def both(road: Road, inputs: dict[str, str], folder: Path, window: str = "4d", **changes: Any) -> tuple[Any, Any]:
    found, expected = (reported(engine, road, inputs, folder, window, **changes) for engine in ("spark", "single_node"))
    return found, expected


def test_the_report_of_both_engines_is_the_same(spark: SparkSession, road: Road, tmp_path: Path) -> None:
    found, expected = both(road, traffic(road, tmp_path / "t", shift=0.05, late_cost=15.0), tmp_path)
    assert expected["report"]["metrics"]["cost"] == pytest.approx(0.5)
    assert len(expected["report"]["segments"]) == 3
    assert_same(found, expected)


def test_a_request_in_two_files_and_a_unit_with_two_rows_count_as_on_one_machine(
    spark: SparkSession, road: Road, tmp_path: Path
) -> None:
    inputs = traffic(road, tmp_path / "t")
    path = Path(inputs["exposures"])
    known = pl.read_parquet(path)
    folder = tmp_path / "files"
    folder.mkdir()
    known.with_columns(score=pl.lit(0.9)).head(200).write_parquet(folder / "2.parquet")
    known.with_columns(region=pl.lit("here")).write_parquet(folder / "1.parquet")
    known.with_columns(exposed_at=pl.col("exposed_at") - pl.duration(seconds=1), score=pl.lit(0.1)).tail(30).write_parquet(
        folder / "3.parquet"
    )
    source = tmp_path / "source"
    source.mkdir()
    rows = pl.read_parquet(road.contract["source"]["uri"])
    twice = rows.tail(300).with_columns(depot=pl.lit("airport"), sent_at=pl.col("sent_at") - pl.duration(minutes=1))
    pl.concat([twice, rows]).write_parquet(source / "rows.parquet", row_group_size=500)
    changed: Any = {"source": {**road.contract["source"], "uri": f"{source}/*.parquet"}}
    found, expected = both(road, inputs | {"exposures": str(folder)}, tmp_path, **changed)
    assert_same(found, expected)


def test_before_anything_is_served_both_engines_say_so(spark: SparkSession, road: Road, tmp_path: Path) -> None:
    for name in ("exposures", "outcomes"):
        (tmp_path / "none" / name).mkdir(parents=True)
    inputs = {name: str(tmp_path / "none" / name) for name in ("exposures", "outcomes")}
    found, expected = both(road, inputs, tmp_path, "8d")
    assert expected["report"]["metrics"]["prediction_psi"] is None
    assert_same(found, expected)


def test_traffic_without_a_column_is_refused_in_one_line(spark: SparkSession, road: Road, tmp_path: Path) -> None:
    inputs = traffic(road, tmp_path / "t")
    pl.read_parquet(inputs["exposures"]).drop("arm").write_parquet(inputs["exposures"])
    with pytest.raises(StageError, match="traffic cannot be read") as told:
        reported("spark", road, inputs, tmp_path, "4d")
    assert "\n" not in told.value.line
