from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from threadpoolctl import threadpool_limits

from retrain_assets.bundle import IMPORTANCE, SKETCH, load_bundle, probe
from retrain_assets.compute import StageRequest, StageResult, clean_process, run_stage
from retrain_assets.compute.clean_process import CleanAnswer
from retrain_assets.compute.frames import Tables, read_tables, write_tables
from retrain_assets.compute.stages import training as training_stage
from retrain_assets.contract import Gate, Outcome, StageError
from retrain_assets.drift import Sketch
from retrain_assets.gates import TrainingEvidence, metric_value
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.parcels import CUTOFF, HERE


def trained(road: Road, folder: Path, features: str | None = None, **trainer: Any) -> StageResult:
    contract = {**road.contract, "trainer": {**road.contract["trainer"], **trainer}}
    inputs = {"features": features or road.inputs()["features"]}
    return run_stage(StageRequest("training", "parcel_delay", "2024-03-01", contract, inputs, str(folder)))


def made(result: StageResult) -> dict[str, Any]:
    """What was made, without the commit: somebody may commit while the tests run."""
    return {name: value for name, value in result.metadata["manifest"].items() if name != "code"}


@pytest.fixture
def nearby(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The probe in this process: a process of its own imports scikit-learn anew, seconds each time."""
    monkeypatch.setattr(probe, "_LIGHTGBM_GOES_WITHOUT", ())

    def here(bundle: Path, digest: str, rows: Path, *, code: Sequence[Path] = ()) -> CleanAnswer:
        answer = tmp_path_factory.mktemp("answer")
        assert probe.main([str(bundle), digest, str(rows), str(answer)]) == 0
        features = json.loads((answer / probe.FEATURES).read_text())
        return CleanAnswer(np.load(answer / probe.SCORES), tuple((name, kind) for name, kind in features))

    monkeypatch.setattr(training_stage, "in_clean_process", here)


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
    assert manifest.calibration == {"kind": "sigmoid", "fitted_on": "latest quarter of the training window, out of time"}
    assert manifest.params["deterministic"] is True
    assert manifest.params["random_state"] == 7
    assert (manifest.params["learning_rate"], manifest.params["max_depth"]) == (0.1, -1)
    assert manifest.environment["threads"] == 1
    assert manifest.code["estimator"].startswith("lightgbm 4.")
    assert set(manifest.files) == {"model.txt", "calibration.json", "categories.json", IMPORTANCE, SKETCH}


def test_other_parameters_give_another_digest(road: Road, tmp_path: Path) -> None:
    other = trained(road, tmp_path / "other", params={"n_estimators": 13, "num_threads": 1})
    assert other.outputs["bundle"]["digest"] != road.training.outputs["bundle"]["digest"]


def test_a_sound_candidate_passes_the_training_gate(road: Road) -> None:
    assert {verdict.outcome for verdict in road.training.verdicts_of(Gate.TRAINING)} == {Outcome.PASS}
    evidence = TrainingEvidence.from_json(road.training.metadata["evidence"])
    assert (evidence.reload_max_difference, evidence.refit_same_digest, evidence.loss_rows) == (0.0, True, 421)
    assert evidence.metrics == evidence.refit_metrics == road.training.metadata["holdout_metrics"]
    assert evidence.signatures["bundle"] == (
        ("depot", "categorical"),
        ("weight", "numeric"),
        ("rain", "numeric"),
        ("heavy", "boolean"),
    )
    assert road.training.metadata["seconds"].keys() == {"fit", "calibration", "refit", "clean process"}
    assert (evidence.memory_mb or 0) > 50


def test_the_recorded_loss_is_of_the_stored_bundle_on_the_holdout(road: Road) -> None:
    tables = read_tables(Path(road.inputs()["features"]))
    scores = load_bundle(Path(road.inputs()["candidate"])).score(tables.holdout)
    labels = tables.holdout["late"].to_numpy()
    evidence = road.training.metadata["evidence"]
    assert evidence["loss"] == metric_value("log_loss", labels, scores)
    share = tables.train["late"].mean()
    assert evidence["baseline_loss"] == pytest.approx(-np.mean(np.where(labels, np.log(share), np.log(1 - share))))
    recent = tables.train.filter(pl.col("sent_at") >= CUTOFF - timedelta(days=16))["late"]
    share = recent.mean()
    assert evidence["recent_rows"] == len(recent)
    assert evidence["recent_loss"] == pytest.approx(-np.mean(np.where(labels, np.log(share), np.log(1 - share))))
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
@pytest.mark.usefixtures("nearby")
def test_scikit_learn_estimators_are_repeatable_too(road: Road, tmp_path: Path, estimator: str, params: dict[str, Any]) -> None:
    with threadpool_limits(1):
        result = trained(road, tmp_path, estimator=estimator, params=params, calibration="isotonic")
    assert {verdict.outcome for verdict in result.verdicts_of(Gate.TRAINING)} == {Outcome.PASS}
    assert result.metadata["evidence"]["refit_same_digest"] is True


def test_a_scikit_learn_model_works_in_a_clean_process(road: Road, tmp_path: Path) -> None:
    result = trained(road, tmp_path, estimator="sklearn.linear_model.LogisticRegression", params={"C": 0.5})
    assert {verdict.outcome for verdict in result.verdicts_of(Gate.TRAINING)} == {Outcome.PASS}
    assert result.metadata["evidence"]["reload_max_difference"] == 0.0


def test_an_estimator_that_ignores_its_seed_does_not_reproduce_and_the_figures_say_so(road: Road, tmp_path: Path) -> None:
    result = trained(road, tmp_path, estimator=f"{HERE}.Restless", params={}, calibration="none")
    failed = [verdict for verdict in result.verdicts_of(Gate.TRAINING) if not verdict.passed]
    assert [verdict.check for verdict in failed] == ["refit_reproduces"]
    assert isinstance(failed[0].observed, float)
    assert failed[0].observed > 1e-4
    fits = {row["metric"]: (row["fit"], row["refit"]) for row in failed[0].evidence["metrics"]}
    assert fits["roc_auc"] == (result.metadata["holdout_metrics"]["roc_auc"], pytest.approx(fits["roc_auc"][0], abs=0.1))
    assert f"{failed[0].observed:.4g}" in failed[0].message
    assert result.metadata["machine"]["fits side by side"] == 1


def test_a_fit_that_draws_from_the_global_generator_repeats_and_leaves_it_as_it_was(road: Road, tmp_path: Path) -> None:
    before = np.random.get_state()[1].tolist()
    result = trained(road, tmp_path, estimator=f"{HERE}.Global", params={}, calibration="sigmoid")
    assert np.random.get_state()[1].tolist() == before
    assert {verdict.outcome for verdict in result.verdicts_of(Gate.TRAINING)} == {Outcome.PASS}
    assert "which the estimator does not take" in result.metadata["evidence"]["recorded"]["seed"]
    assert "source sha256:" in result.metadata["evidence"]["recorded"]["estimator's version"]


def test_a_model_that_says_the_same_of_everybody_beats_no_baseline(road: Road, tmp_path: Path) -> None:
    nothing_learnt = {"n_estimators": 2, "min_child_samples": 100_000, "num_threads": 1}
    result = trained(road, tmp_path, params=nothing_learnt, calibration="none")
    assert [verdict.check for verdict in result.verdicts_of(Gate.TRAINING) if not verdict.passed] == ["beats_baseline"]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ("nan", r"Bad: gives 106 of 421 rows no finite score; correct trainer\.params, the features or the estimator"),
        ("flat", r"Bad: predicting raised IndexError: too many indices"),
        ("one row", r"Bad: gives scores of shape \(1,\) where \(421,\) is wanted"),
        ("margins", r"Bad: gives scores from -3 to -3, which are no probabilities"),
        ("none", r"Bad: predicting raised "),
    ],
)
def test_scores_nobody_can_use_are_refused_in_one_line(road: Road, tmp_path: Path, scores: str, message: str) -> None:
    with pytest.raises(StageError, match=message) as refused:
        trained(road, tmp_path, estimator=f"{HERE}.Bad", params={"scores": scores}, calibration="none")
    assert "\n" not in refused.value.line


def test_what_fails_in_the_clean_process_is_a_verdict_with_its_last_line(
    road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean_process, "PROBE_ARGUMENTS", ("-c", "import sys; sys.exit('no such library')"))
    result = trained(road, tmp_path)
    failed = {verdict.check: verdict for verdict in result.verdicts_of(Gate.TRAINING) if not verdict.passed}
    assert failed.keys() == {"artifact_loads", "predictions_survive_reload", "signature_matches_features"}
    assert failed["artifact_loads"].message == "the saved bundle does not work in a clean process: no such library"
    assert failed["artifact_loads"].outcome is Outcome.FAIL
    assert made(result) == made(road.training)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_no_output(
    road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(training_stage, "fits_at_once", lambda trainer: workers)
    monkeypatch.setattr(training_stage, "room_beside_a_fit", lambda trainer: workers > 1)
    assert made(trained(road, tmp_path)) == made(road.training)


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


@pytest.mark.parametrize(
    ("estimator", "params"), [("lightgbm.LGBMRegressor", {"num_threads": 1}), ("sklearn.linear_model.Ridge", {})]
)
@pytest.mark.usefixtures("nearby")
def test_a_regression_is_scored_by_squared_error(road: Road, tmp_path: Path, estimator: str, params: dict[str, Any]) -> None:
    tables = read_tables(Path(road.inputs()["features"]))
    values = {name: frame.with_columns(late=frame["weight"] * 2 + frame["rain"]) for name, frame in vars_of(tables).items()}
    write_tables(tmp_path / "features", replace(tables, **values))
    contract = {
        **road.contract,
        "task": "regression",
        "decision": None,
        "trainer": {"estimator": estimator, "params": params, "seed": 7},
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
@pytest.mark.usefixtures("nearby")
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
    assert (bundle.manifest.calibration["fitted_on"] == "") is (calibration == "none")
    assert np.allclose(scores.sum(axis=1), 1)
    assert result.metadata["holdout_metrics"]["accuracy"] > 0.95


def vars_of(tables: Tables) -> dict[str, pl.DataFrame]:
    return {"train": tables.train, "holdout": tables.holdout}
