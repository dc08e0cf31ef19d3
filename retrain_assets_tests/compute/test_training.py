from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.bundle import IMPORTANCE, SKETCH, load_bundle
from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.compute.frames import Tables, read_tables, write_tables
from retrain_assets.contract import Gate, Outcome, StageError
from retrain_assets.drift import Sketch
from retrain_assets.gates import TrainingEvidence, metric_value
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.parcels import HERE


def trained(road: Road, folder: Path, features: str | None = None, **trainer: Any) -> StageResult:
    contract = {**road.contract, "trainer": {**road.contract["trainer"], **trainer}}
    inputs = {"features": features or road.inputs()["features"]}
    return run_stage(StageRequest("training", "parcel_delay", "2024-03-01", contract, inputs, str(folder)))


def changed_features(road: Road, folder: Path, change: Any) -> str:
    tables = read_tables(Path(road.inputs()["features"]))
    write_tables(folder, replace(tables, train=change(tables.train)))
    return str(folder)


def test_the_bundle_says_what_it_was_made_of(road: Road) -> None:
    bundle = load_bundle(Path(road.inputs()["candidate"]), road.training.outputs["bundle"]["digest"])
    manifest = bundle.manifest
    assert manifest.dataset == road.dataset.outputs["dataset"]["digest"]
    assert manifest.feature_pipeline == road.features.metadata["feature_pipeline"]
    assert manifest.feature_names == ("depot", "weight", "rain", "heavy")
    assert manifest.window == road.dataset.metadata["window"]
    assert manifest.label == {"column": "late", "delay": "1d"}
    assert manifest.decision == {"threshold": 0.5}
    assert manifest.params["deterministic"] is True
    assert manifest.params["random_state"] == 7
    assert set(manifest.files) == {"model.txt", "calibration.json", "categories.json", IMPORTANCE, SKETCH}


def test_the_same_inputs_give_the_same_digest_and_another_seed_another(road: Road, tmp_path: Path) -> None:
    again = trained(road, tmp_path / "again")
    other = trained(road, tmp_path / "other", params={"n_estimators": 13, "num_threads": 1})
    assert again.outputs["bundle"]["digest"] == road.training.outputs["bundle"]["digest"]
    assert other.outputs["bundle"]["digest"] != road.training.outputs["bundle"]["digest"]


def test_a_sound_candidate_passes_the_training_gate(road: Road) -> None:
    assert {verdict.outcome for verdict in road.training.verdicts_of(Gate.TRAINING)} == {Outcome.PASS}
    evidence = TrainingEvidence.from_json(road.training.metadata["evidence"])
    assert (evidence.reload_max_difference, evidence.refit_same_digest, evidence.loss_rows) == (0.0, True, 421)


def test_the_recorded_loss_is_of_the_stored_bundle_on_the_holdout(road: Road) -> None:
    tables = read_tables(Path(road.inputs()["features"]))
    scores = load_bundle(Path(road.inputs()["candidate"])).score(tables.holdout)
    labels = tables.holdout["late"].to_numpy()
    evidence = road.training.metadata["evidence"]
    assert evidence["loss"] == metric_value("log_loss", labels, scores)
    share = tables.train["late"].mean()
    assert evidence["baseline_loss"] == pytest.approx(-np.mean(np.where(labels, np.log(share), np.log(1 - share))))
    assert road.training.metadata["holdout_metrics"]["roc_auc"] == metric_value("roc_auc", labels, scores)


def test_the_reference_of_live_traffic_is_in_the_bundle(road: Road) -> None:
    bundle = load_bundle(Path(road.inputs()["candidate"]))
    sketch, holdout = bundle.document(SKETCH), read_tables(Path(road.inputs()["features"])).holdout
    assert Sketch.from_json(sketch["features"]).rows == 2400
    assert Sketch.from_json(sketch["predictions"]).rows == 421
    assert sketch["reference"]["label_mean"] == pytest.approx(holdout["late"].mean())
    assert sketch["reference"]["prediction_mean"] == pytest.approx(bundle.score(holdout).mean())
    importance = bundle.document(IMPORTANCE)
    assert importance["kind"] == "gain"
    assert sum(importance["importance"].values()) == pytest.approx(1)
    assert max(importance["importance"], key=importance["importance"].get) == "rain"


@pytest.mark.parametrize(
    ("estimator", "params"),
    [
        ("sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 5}),
        ("sklearn.ensemble.RandomForestClassifier", {"n_estimators": 5, "n_jobs": 1}),
        ("sklearn.linear_model.LogisticRegression", {"C": 0.5}),
    ],
)
def test_scikit_learn_estimators_are_repeatable_too(road: Road, tmp_path: Path, estimator: str, params: dict[str, Any]) -> None:
    result = trained(road, tmp_path, estimator=estimator, params=params, calibration="isotonic")
    assert {verdict.outcome for verdict in result.verdicts_of(Gate.TRAINING)} == {Outcome.PASS}
    assert result.metadata["evidence"]["refit_same_digest"] is True


def test_an_estimator_that_raises_is_named_with_what_it_said(road: Road, tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"trainer\.estimator .*Stubborn: fit raised RuntimeError: I will not converge"):
        trained(road, tmp_path, estimator=f"{HERE}.Stubborn", params={})


@pytest.mark.parametrize(
    ("estimator", "params", "message"),
    [
        ("sklearn.linear_model.LogisticRegression", {"depth": 3}, r"cannot be made with depth, random_state: .*depth"),
        ("sklearn.linear_model.NoSuchModel", {}, r"module sklearn\.linear_model has no NoSuchModel; correct trainer\.estimator"),
        ("nosuchpackage.Model", {}, r"nosuchpackage\.Model cannot be imported"),
        (f"{HERE}.Homemade", {}, r"Homemade: cannot be stored without pickle"),
    ],
)
def test_an_estimator_that_cannot_be_used_is_refused(
    road: Road, tmp_path: Path, estimator: str, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(StageError, match=message):
        trained(road, tmp_path, estimator=estimator, params=params, calibration="none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.filter(pl.col("late") == 0), r"label late: the training window has 1 class; widen window\.train"),
        (lambda rows: rows.clear(), r"the training window has no labelled rows"),
        (lambda rows: rows.with_columns(late=pl.lit(2)), r"label late: is Int32 with values other than 0 and 1"),
        (
            lambda rows: rows.with_columns(late=pl.col("late") * (pl.int_range(pl.len()) > 1800)),
            r"the earlier three quarters of the training window lack a class, so calibration cannot be fitted",
        ),
    ],
    ids=["one class", "no rows", "third class", "one class early"],
)
def test_labels_that_cannot_be_learnt_are_refused(road: Road, tmp_path: Path, change: Any, message: str) -> None:
    features = changed_features(road, tmp_path / "features", change)
    with pytest.raises(StageError, match=message):
        trained(road, tmp_path / "out", features)


def test_what_is_no_feature_snapshot_is_refused(road: Road, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="is no feature snapshot"):
        trained(road, tmp_path, road.inputs()["dataset"])
    with pytest.raises(StageError, match="input 'features' is not there"):
        trained(road, tmp_path, str(tmp_path / "nowhere"))


@pytest.mark.parametrize("estimator", ["lightgbm.LGBMRegressor", "sklearn.linear_model.Ridge"])
def test_a_regression_is_scored_by_squared_error(road: Road, tmp_path: Path, estimator: str) -> None:
    tables = read_tables(Path(road.inputs()["features"]))
    values = {name: frame.with_columns(late=frame["weight"] * 2 + frame["rain"]) for name, frame in vars_of(tables).items()}
    write_tables(tmp_path / "features", replace(tables, **values))
    contract = {
        **road.contract,
        "task": "regression",
        "decision": None,
        "trainer": {"estimator": estimator, "params": {}, "seed": 7},
        "gates": {
            "data": {"min_rows": 10, "max_age": "3d"},
            "offline": {"metrics": {"root_mean_squared_error": {"max": 1.0}}},
        },
    }
    request = StageRequest(
        "training", "parcel_delay", "r", contract, {"features": str(tmp_path / "features")}, str(tmp_path / "out")
    )
    result = run_stage(request)
    rmse = result.metadata["holdout_metrics"]["root_mean_squared_error"]
    assert result.metadata["evidence"]["loss"] == pytest.approx(rmse**2)
    assert rmse < 1.5
    assert {verdict.outcome for verdict in result.verdicts_of(Gate.TRAINING)} == {Outcome.PASS}


@pytest.mark.parametrize("calibration", ["none", "isotonic"])
def test_a_multiclass_task_gives_one_probability_per_class(road: Road, tmp_path: Path, calibration: str) -> None:
    tables = read_tables(Path(road.inputs()["features"]))
    size = pl.when(pl.col("weight") < 3).then(pl.lit("s")).when(pl.col("weight") < 6).then(pl.lit("m")).otherwise(pl.lit("l"))
    values = {name: frame.with_columns(late=size) for name, frame in vars_of(tables).items()}
    write_tables(tmp_path / "features", replace(tables, **values))
    contract = {
        **road.contract,
        "task": "multiclass",
        "decision": None,
        "trainer": {**road.contract["trainer"], "calibration": calibration},
        "gates": {"data": {"min_rows": 10, "max_age": "3d"}, "offline": {"metrics": {"accuracy": {"min": 0.9}}}},
    }
    request = StageRequest(
        "training", "parcel_delay", "r", contract, {"features": str(tmp_path / "features")}, str(tmp_path / "out")
    )
    result = run_stage(request)
    bundle = load_bundle(Path(result.outputs["bundle"]["uri"]))
    scores = bundle.score(tables.holdout)
    assert bundle.manifest.classes == ("l", "m", "s")
    assert np.allclose(scores.sum(axis=1), 1)
    assert result.metadata["holdout_metrics"]["accuracy"] > 0.95


def vars_of(tables: Tables) -> dict[str, pl.DataFrame]:
    return {"train": tables.train, "holdout": tables.holdout}
