from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.bundle import (
    IMPORTANCE,
    SKETCH,
    Calibration,
    Encoding,
    EstimatorPredictor,
    LightGBMPredictor,
    Manifest,
    Predictor,
    environment,
    fit_calibration,
    load_bundle,
    save_bundle,
    verify_bundle,
)
from retrain_assets.bundle.pyfunc import _load_pyfunc
from retrain_assets.contract import CustodyError, StageError

RNG = np.random.default_rng(0)
FRAME = pl.DataFrame({"depot": RNG.choice(["north", "south"], 300), "rain": RNG.normal(size=300)})
LABELS = (FRAME["rain"].to_numpy() > 0).astype(np.int64)
ENCODING = Encoding.of(FRAME, FRAME.columns)


def lightgbm_predictor(**params: Any) -> Predictor:
    import lightgbm

    model = lightgbm.LGBMClassifier(n_estimators=5, random_state=7, n_jobs=1, verbosity=-1, **params)
    return LightGBMPredictor(model.fit(ENCODING.matrix(FRAME), LABELS, categorical_feature=[0]).booster_)


def linear_predictor() -> Predictor:
    from sklearn.linear_model import LogisticRegression

    return EstimatorPredictor(LogisticRegression().fit(ENCODING.matrix(FRAME), LABELS), "binary_classification")


def manifest(**changes: Any) -> Manifest:
    whole = Manifest(
        model="parcel_delay",
        retrain="2024-03-01",
        task="binary_classification",
        estimator="lightgbm.LGBMClassifier",
        params={"n_estimators": 5, "learning_rate": 1.0},
        feature_names=ENCODING.names,
        feature_dtypes=dict(ENCODING.kinds),
        feature_function="parcels.build",
        feature_pipeline="sha256:f",
        dataset="sha256:d",
        label={"column": "late", "delay": "1d"},
        window={"train_start": "a", "train_end": "b", "holdout_end": "c"},
        calibration={"kind": "none", "fitted_on": ""},
        decision={"threshold": 0.5},
        classes=(0, 1),
        seed=7,
        code={"commit": None, "dirty": None},
        environment=environment(),
        files={},
    )
    return replace(whole, **changes)


def saved(
    directory: Path, predictor: Predictor | None = None, calibration: Calibration | None = None, **changes: Any
) -> Manifest:
    return save_bundle(
        directory,
        manifest(**changes),
        predictor=predictor or lightgbm_predictor(),
        encoding=ENCODING,
        calibration=calibration or Calibration("none"),
        documents={IMPORTANCE: {"rain": 1.0}, SKETCH: {"features": {}}},
    )


@pytest.mark.parametrize("make", [lightgbm_predictor, linear_predictor])
def test_a_loaded_bundle_scores_exactly_as_the_fitted_model(tmp_path: Path, make: Any) -> None:
    predictor = make()
    raw = predictor.predict(ENCODING.matrix(FRAME))
    calibration = fit_calibration("isotonic", raw, LABELS)
    bundle = load_bundle(tmp_path / "b", saved(tmp_path / "b", predictor, calibration).digest)
    assert np.array_equal(bundle.score(FRAME), calibration.apply(raw))
    assert np.array_equal(bundle.score(FRAME[7:8]), calibration.apply(raw)[7:8])
    assert bundle.score(FRAME.clear()).shape == (0,)


def test_same_parts_same_digest_and_any_other_part_another(tmp_path: Path) -> None:
    digest = saved(tmp_path / "one").digest
    assert saved(tmp_path / "two").digest == digest
    assert saved(tmp_path / "three", seed=8).digest != digest
    assert saved(tmp_path / "four", lightgbm_predictor(num_leaves=3)).digest != digest


def test_the_decision_is_taken_at_the_threshold(tmp_path: Path) -> None:
    saved(tmp_path / "b")
    assert load_bundle(tmp_path / "b").decide(np.array([0.49, 0.5, 0.51])).tolist() == [False, True, True]
    saved(tmp_path / "r", decision=None)
    with pytest.raises(StageError, match="has no decision rule"):
        load_bundle(tmp_path / "r").decide(np.array([0.5]))


def test_no_file_of_a_bundle_is_a_pickle(tmp_path: Path) -> None:
    saved(tmp_path / "b", linear_predictor())
    names = {path.name for path in (tmp_path / "b").iterdir()}
    assert names == {"manifest.json", "model.skops", "calibration.json", "categories.json", IMPORTANCE, SKETCH}
    assert not any(path.read_bytes().startswith(b"\x80") for path in (tmp_path / "b").iterdir())


@pytest.mark.parametrize("name", ["model.txt", "calibration.json", "categories.json", IMPORTANCE, SKETCH])
def test_a_changed_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    saved(tmp_path / "b")
    path = tmp_path / "b" / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(CustodyError, match=rf"{name}: SHA-256 is .* changed after the bundle was written"):
        load_bundle(tmp_path / "b")


def test_a_changed_manifest_is_refused_by_the_digest_on_record(tmp_path: Path) -> None:
    digest = saved(tmp_path / "b").digest
    path = tmp_path / "b" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "decision": {"threshold": 0.1}}))
    with pytest.raises(CustodyError, match=f"recorded is {digest}"):
        load_bundle(tmp_path / "b", digest)


def test_missing_and_added_files_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "b")
    (tmp_path / "b" / "extra.py").write_text("")
    with pytest.raises(CustodyError, match=r"extra\.py: is not in the manifest"):
        verify_bundle(tmp_path / "b")
    (tmp_path / "b" / "extra.py").unlink()
    (tmp_path / "b" / "model.txt").unlink()
    with pytest.raises(CustodyError, match=r"model\.txt: is missing"):
        verify_bundle(tmp_path / "b")


def test_a_directory_without_manifest_or_with_another_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CustodyError, match=r"manifest\.json: is missing"):
        load_bundle(tmp_path)
    (tmp_path / "manifest.json").write_text('{"model": "x"}')
    with pytest.raises(CustodyError, match="are missing or unknown"):
        load_bundle(tmp_path)


def test_saving_again_replaces_the_directory(tmp_path: Path) -> None:
    saved(tmp_path / "b", linear_predictor())
    digest = saved(tmp_path / "b").digest
    assert load_bundle(tmp_path / "b", digest).digest == digest
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_mlflow_flavour_scores_pandas_rows(tmp_path: Path) -> None:
    saved(tmp_path / "b")
    assert np.array_equal(_load_pyfunc(str(tmp_path / "b")).predict(FRAME.to_pandas()), load_bundle(tmp_path / "b").score(FRAME))
