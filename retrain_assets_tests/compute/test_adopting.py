"""An MLflow model becomes a bundle that scores as MLflow does; what reads other features, or may run code, is refused."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrain_assets.bundle import load_bundle, probe
from retrain_assets.bundle.mlflow_model import MLflowModel
from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.compute.clean_process import CleanAnswer
from retrain_assets.compute.frames import read_tables
from retrain_assets.compute.stages import adopting
from retrain_assets.contract import Gate, StageError
from retrain_assets.gates.training import NOT_ASKED_OF_ADOPTED
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.parcels import build


@pytest.fixture(autouse=True)
def nearby(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The probe in this process; a process of its own is tried by the tutorial."""
    monkeypatch.setattr(probe, "_LIGHTGBM_GOES_WITHOUT", ())

    def here(bundle: Path, digest: str, rows: Path, *, code: Sequence[Path] = ()) -> CleanAnswer:
        answer = tmp_path_factory.mktemp("answer")
        assert probe.main([str(bundle), digest, str(rows), str(answer)]) == 0
        features = json.loads((answer / probe.FEATURES).read_text())
        return CleanAnswer(np.load(answer / probe.SCORES), tuple((name, kind) for name, kind in features))

    monkeypatch.setattr(adopting, "in_clean_process", here)


def learnable(road: Road) -> tuple[Any, Any]:
    """Features of the training window as a pandas frame, and the label."""
    tables = read_tables(Path(road.inputs()["features"]))
    names = tables.about["feature_names"]
    keys = [name for name in tables.train.columns if name not in names]
    return tables.train.select(names).to_pandas(), tables.train[keys[-1]].to_numpy()


def adopted(
    road: Road, folder: Path, save: Callable[[Path], None], *, trained_on: list[str] | None = None, trust: bool = False
) -> StageResult:
    """The training stage of a retrain that adopts what ``save`` writes."""
    source = folder / "adopted"
    source.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(source / "model")
    told = {"source": "models:/churn/12", "server": "here", "source_run": None, "files": "sha256:0", "trained_on": trained_on}
    told |= {"trust_pickle": trust, "parameters": {"depth": "3"}, "metrics": {"auc": 0.8}}
    (source / "adoption.json").write_text(json.dumps(told))
    inputs = {**road.inputs(), "adopted": str(source)}
    inputs.pop("candidate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run_stage(
            StageRequest("training", road.contract["model"], "r", road.contract, inputs, str(folder / "training"), {})
        )


def saved(road: Road, kind: str, **more: Any) -> Callable[[Path], None]:
    """Writes a model of a kind that was fitted on the training window."""
    import mlflow.lightgbm
    import mlflow.sklearn
    from lightgbm import LGBMClassifier
    from mlflow.models import infer_signature
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame, label = learnable(road)
    if kind in ("lightgbm", "booster"):
        model = LGBMClassifier(n_estimators=8, verbose=-1, n_jobs=1).fit(frame.astype({"depot": "category"}), label)
        chosen = model.booster_ if kind == "booster" else model
        return lambda path: mlflow.lightgbm.save_model(chosen, path, pip_requirements=[], **more)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["depot"]), (StandardScaler(), ["weight", "rain"]), ("passthrough", ["heavy"])
    )
    fitted = make_pipeline(columns, LogisticRegression()).fit(frame, label)
    signature = more.pop("signature", infer_signature(frame, fitted.predict(frame)))
    return lambda path: mlflow.sklearn.save_model(fitted, path, signature=signature, pip_requirements=[], **more)


def scores_of_mlflow(folder: Path, road: Road) -> Any:
    """Probabilities by the model that MLflow loads, of the hold-out."""
    import mlflow.pyfunc

    tables = read_tables(Path(road.inputs()["features"]))
    frame = tables.holdout.select(tables.about["feature_names"]).to_pandas()
    loaded = mlflow.pyfunc.load_model(str(folder / "adopted" / "model"))
    if "lightgbm" in loaded.loader_module:
        frame = frame.astype({"depot": "category"})
    raw = loaded.get_raw_model()
    return np.asarray(raw.predict_proba(frame))[:, 1] if hasattr(raw, "predict_proba") else np.asarray(raw.predict(frame))


@pytest.mark.parametrize("kind", ["lightgbm", "booster", "pipeline"])
def test_the_bundle_scores_as_mlflow_does(kind: str, road: Road, tmp_path: Path) -> None:
    result = adopted(road, tmp_path, saved(road, kind))
    bundle = load_bundle(Path(result.outputs["bundle"]["uri"]), result.outputs["bundle"]["digest"])
    tables = read_tables(Path(road.inputs()["features"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = scores_of_mlflow(tmp_path, road)
    assert np.abs(bundle.score(tables.holdout) - expected).max() <= 1e-9
    assert expected.std() > 0.05
    rows = tables.holdout.select(bundle.encoding.names).head(20).to_dicts()
    assert np.array_equal(bundle.score_rows(rows), bundle.score(tables.holdout.head(20)))
    verdicts = {one.check: one for one in result.verdicts_of(Gate.TRAINING)}
    assert all(one.passed for one in verdicts.values())
    assert not set(verdicts) & set(NOT_ASKED_OF_ADOPTED)


def test_xgboost_keeps_the_trees_up_to_where_it_stopped(road: Road, tmp_path: Path) -> None:
    import mlflow.xgboost
    from xgboost import XGBClassifier

    frame, label = learnable(road)
    numbers = frame.drop(columns="depot")
    model = XGBClassifier(n_estimators=60, learning_rate=0.8, early_stopping_rounds=2, n_jobs=1)
    model.fit(numbers[600:], label[600:], eval_set=[(numbers[:600], label[:600])], verbose=False)
    assert model.best_iteration + 1 < len(model.get_booster().get_dump())
    without_depot = {**road.contract, "features": "retrain_assets_tests.compute.test_adopting.numbers_alone"}
    folder = tmp_path / "numbers"
    features = run_stage(
        StageRequest(
            "features", road.contract["model"], "r", without_depot, {"dataset": road.inputs()["dataset"]}, str(folder), {}
        )
    )
    mine = Road(folder, without_depot, road.dataset, features, road.training)
    result = adopted(mine, tmp_path, lambda path: mlflow.xgboost.save_model(model, path, pip_requirements=[]))
    bundle = load_bundle(Path(result.outputs["bundle"]["uri"]))
    holdout = read_tables(Path(mine.inputs()["features"])).holdout
    expected = model.predict_proba(holdout.select(bundle.encoding.names).to_pandas())[:, 1]
    assert np.abs(bundle.score(holdout) - expected).max() <= 1e-9


def numbers_alone(rows: Any) -> Any:
    """The features without the text."""
    return build(rows).drop("depot")


def test_features_that_differ_are_named_one_by_one(road: Road, tmp_path: Path) -> None:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = Schema(
        [ColSpec("string", "depot"), ColSpec("long", "weight"), ColSpec("double", "snow"), ColSpec("boolean", "heavy")]
    )
    with pytest.raises(StageError) as refused:
        adopted(road, tmp_path, saved(road, "pipeline", signature=ModelSignature(inputs=inputs)))
    for said in (
        "weight: the model long, features Float64",
        "snow: the model double, features not there",
        "rain: the model does not",
    ):
        assert said in refused.value.what


def test_a_bundle_that_scores_otherwise_is_refused(road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = adopting.adopted_predictor

    def a_little_off(*given: Any, **more: Any) -> Any:
        predictor = made(*given, **more)
        exact = predictor.predict
        predictor.predict = lambda matrix: np.minimum(exact(matrix) + 3e-9, 1.0)
        return predictor

    monkeypatch.setattr(adopting, "adopted_predictor", a_little_off)
    with pytest.raises(StageError, match="the bundle's scores differ from MLflow's by up to 3e-09 on"):
        adopted(road, tmp_path, saved(road, "booster"))
    assert not (tmp_path / "training" / "bundle").exists()


@pytest.mark.parametrize("how", ["cloudpickle", "pickle"])
def test_a_pickle_is_read_only_on_somebodys_word(how: str, road: Road, tmp_path: Path) -> None:
    with pytest.raises(StageError, match=f"is not loaded: it is a {how}, .* --trust-pickle"):
        adopted(road, tmp_path, saved(road, "pipeline", serialization_format=how))
    again = tmp_path / "again"
    again.mkdir()
    result = adopted(road, again, saved(road, "pipeline", serialization_format=how), trust=True)
    assert "model.table.skops" in result.metadata["manifest"]["files"]


def test_code_that_comes_with_a_model_is_not_run(road: Road, tmp_path: Path) -> None:
    code = tmp_path / "theirs.py"
    code.write_text("raise SystemExit('it was run')")
    saved(road, "booster", code_paths=[str(code)])(tmp_path / "model")
    assert MLflowModel.read(tmp_path / "model").unsafe == "code comes with it that would be run"


def test_a_model_nothing_here_can_keep_is_refused(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {python_function: {loader_module: mlflow.pyfunc.model}, pytorch: {}}")
    with pytest.raises(StageError, match="has the flavors python_function, pytorch; only lightgbm, xgboost, sklearn"):
        MLflowModel.read(tmp_path)


def test_the_sketch_is_of_the_rows_it_was_fitted_on_where_they_are_here(road: Road, tmp_path: Path) -> None:
    result = adopted(
        road, tmp_path, saved(road, "booster"), trained_on=["2024-01-01T00:00:00+00:00", "2024-01-21T00:00:00+00:00"]
    )
    adoption, manifest = result.metadata["adoption"], result.metadata["manifest"]
    assert adoption["sketch"]["to"] < "2024-01-21"
    assert "as --trained-on says" in adoption["sketch"]["of"]
    assert manifest["window"]["train_end"] == "2024-01-21T00:00:00+00:00"
    assert manifest["seed"] is None
    sketch = load_bundle(Path(result.outputs["bundle"]["uri"])).document("training_sketch.json")
    assert adoption["sketch"]["rows"] < result.metadata["rows"]["train"]
    assert json.dumps(sketch["features"]).count(str(adoption["sketch"]["rows"])) > 0
