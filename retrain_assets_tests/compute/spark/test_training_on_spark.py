from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.bundle import load_bundle
from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.contract import Gate, Outcome, StageError
from retrain_assets_tests.compute.conftest import Road

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BOOSTED = {"estimator": "xgboost.spark.SparkXGBClassifier", "params": {"n_estimators": 5, "max_depth": 3, "num_workers": 2}}
LINEAR = {"estimator": "pyspark.ml.classification.LogisticRegression", "params": {"regParam": 0.01, "maxIter": 20}}


def trained(
    road: Road, folder: Path, trainer: dict[str, Any], engine: Any = "spark", inputs: dict[str, str] | None = None
) -> StageResult:
    contract = road.contract | {"trainer": {"calibration": "sigmoid", "seed": 7, **trainer}}
    names = road.inputs()
    given = inputs or {"dataset": names["dataset"], "features": names["features"]}
    return run_stage(StageRequest("training", "parcel_delay", "2024-03-01", contract, given, str(folder), {}, engine))


@pytest.fixture(scope="module")
def parts(road: Road, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The road's feature snapshot as folders of parts, as a Spark session writes it."""
    from retrain_assets.compute.frames import read_tables
    from retrain_assets.compute.parts import write_types

    folder, tables = tmp_path_factory.mktemp("parts"), read_tables(Path(road.inputs()["features"]))
    for name, rows in (("train", tables.train), ("holdout", tables.holdout)):
        (folder / f"{name}.parquet").mkdir()
        for place, part in enumerate(rows.iter_slices(1000)):
            part.write_parquet(folder / f"{name}.parquet" / f"part-{place:05}.parquet", row_group_size=200)
        write_types(folder / f"{name}.parquet", rows.schema, tables.about)
    return str(folder)


@pytest.fixture(scope="module")
def boosted(spark: SparkSession, road: Road, parts: str, tmp_path_factory: pytest.TempPathFactory) -> StageResult:
    inputs = {"dataset": road.inputs()["dataset"], "features": parts}
    return trained(road, tmp_path_factory.mktemp("boosted"), BOOSTED, inputs=inputs)


def test_a_booster_that_executors_fitted_passes_gate_training_and_scores_without_spark(
    boosted: StageResult, road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [verdict for verdict in boosted.verdicts_of(Gate.TRAINING) if not verdict.passed] == []
    monkeypatch.setitem(sys.modules, "pyspark", None)
    bundle = load_bundle(Path(boosted.outputs["bundle"]["uri"]))
    rows = pl.read_parquet(Path(road.inputs()["features"]) / "holdout.parquet")
    scores = bundle.score(rows)
    assert set(bundle.manifest.files) >= {"model.xgboost.json", "calibration.json", "training_sketch.json"}
    assert np.corrcoef(scores, rows["late"].to_numpy())[0, 1] > 0.4
    assert bundle.calibration.kind == "sigmoid"


def test_the_manifest_says_every_parameter_and_which_libraries_fitted_and_score(boosted: StageResult) -> None:
    manifest = boosted.metadata["manifest"]
    assert {"n_estimators", "num_workers", "tree_method", "learning_rate"} <= set(manifest["params"])
    assert manifest["params"]["random_state"] == 7
    assert manifest["code"]["estimator"].startswith("xgboost")
    assert any(name.startswith("xgboost") for name in manifest["environment"]["packages"])
    assert boosted.metadata["feature_importance"]["kind"] == "gain"


def test_two_fits_by_executors_are_compared_as_two_fits_here(boosted: StageResult) -> None:
    evidence = boosted.metadata["evidence"]
    assert evidence["refit_same_digest"] is True
    assert evidence["refit_max_difference"] == 0
    assert evidence["reload_max_difference"] == 0


def test_a_linear_model_of_spark_ml_passes_gate_training(spark: SparkSession, road: Road, tmp_path: Path) -> None:
    result = trained(road, tmp_path, LINEAR)
    assert [verdict for verdict in result.verdicts_of(Gate.TRAINING) if not verdict.passed] == []
    assert "model.spark.json" in result.metadata["manifest"]["files"]
    assert result.metadata["feature_importance"]["kind"] == "coefficient"
    assert "elasticNetParam" in result.metadata["manifest"]["params"]


def test_what_calibration_and_sketch_rest_on_is_the_same_on_both_engines(
    spark: SparkSession, road: Road, boosted: StageResult
) -> None:
    here, there = (Path(result.outputs["bundle"]["uri"]) for result in (road.training, boosted))
    bundles = [load_bundle(place) for place in (here, there)]
    assert bundles[0].document("training_sketch.json")["features"] == bundles[1].document("training_sketch.json")["features"]
    assert bundles[0].encoding == bundles[1].encoding


def test_an_estimator_of_one_machine_is_fitted_by_the_driver_to_the_same_bundle(
    spark: SparkSession, road: Road, tmp_path: Path, parts: str
) -> None:
    found = trained(road, tmp_path, road.contract["trainer"], inputs={"features": parts})
    assert found.metadata["manifest"]["files"] == road.training.metadata["manifest"]["files"]
    assert {verdict.outcome for verdict in found.verdicts_of(Gate.TRAINING)} == {Outcome.PASS}


def test_an_estimator_of_spark_is_refused_on_one_machine_with_what_to_write(road: Road, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="this stage runs on one machine") as told:
        trained(road, tmp_path, BOOSTED, "single_node")
    assert "compute: {spark" in told.value.remedy


def test_another_estimator_of_spark_is_refused_with_those_that_work(spark: SparkSession, road: Road, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no estimator whose model can be stored") as told:
        trained(road, tmp_path, {"estimator": "pyspark.ml.classification.NaiveBayes", "params": {}})
    assert "pyspark.ml.classification.GBTClassifier" in told.value.remedy
