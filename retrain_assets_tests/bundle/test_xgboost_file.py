from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.bundle import Encoding, XGBoostPredictor
from retrain_assets.bundle.xgboost_file import XGBOOST_FILE, read_xgboost
from retrain_assets.compute.fitting import Labels, fit_model
from retrain_assets.contract import Contract, CustodyError, StageError
from retrain_assets_tests.compute.parcels import contract_values

RNG = np.random.default_rng(2)
FRAME = pl.DataFrame(
    {"depot": RNG.choice(["north", "south", "harbour", ""], 400), "rain": RNG.normal(size=400), "area": RNG.normal(size=400)}
).with_columns(depot=pl.col("depot").replace("", None))
ENCODING = Encoding.of(FRAME, FRAME.columns)
SCORES = FRAME["rain"].to_numpy() + (FRAME["depot"] == "south").fill_null(False).to_numpy()


def contract(task: str, estimator: str, **params: Any) -> Contract:
    changes: dict[str, Any] = {"decision": None} if task != "binary_classification" else {}
    offline = {"metrics": {"mean_squared_error" if task == "regression" else "log_loss": {"max": 9.0}}}
    trainer = {"estimator": estimator, "params": {"n_estimators": 6, "max_depth": 3, **params}, "seed": 7}
    gates = {"data": {"min_rows": 1, "max_age": "3d"}, "offline": offline}
    values = contract_values(Path("/nowhere"), task=task, trainer=trainer, gates=gates, cadence={"min_interval": "7d"}, **changes)
    return Contract.recorded(values)


def fitted(task: str, estimator: str, labels: Any, classes: tuple[str | int, ...], **params: Any) -> XGBoostPredictor:
    found = fit_model(
        contract(task, estimator, **params), ENCODING, ENCODING.matrix(FRAME), Labels(labels.astype(float), classes)
    )
    assert isinstance(found, XGBoostPredictor)
    return found


def test_a_stored_classifier_scores_to_the_last_bit_as_xgboost_itself() -> None:
    from xgboost import XGBClassifier

    labels = (SCORES > 0.3).astype(int)
    name, data = fitted("binary_classification", "xgboost.XGBClassifier", labels, (0, 1)).file()
    own = XGBClassifier(
        n_estimators=6, max_depth=3, random_state=7, n_jobs=2, feature_types=["c", "q", "q"], enable_categorical=True
    ).fit(ENCODING.matrix(FRAME), labels)
    expected = own.predict_proba(ENCODING.matrix(FRAME))[:, 1]
    assert name == XGBOOST_FILE
    assert np.array_equal(read_xgboost(data, name).predict(ENCODING.matrix(FRAME)), expected.astype(np.float64))


def test_two_fits_are_the_same_file() -> None:
    labels = (SCORES > 0.3).astype(int)
    files = [fitted("binary_classification", "xgboost.XGBClassifier", labels, (0, 1), subsample=0.5).file() for _ in range(2)]
    assert files[0] == files[1]


def test_several_classes_have_a_probability_each() -> None:
    labels = np.digitize(SCORES, [0, 1])
    found = fitted("multiclass", "xgboost.XGBClassifier", labels, ("a", "b", "c")).predict(ENCODING.matrix(FRAME))
    assert found.shape == (400, 3)
    assert found.sum(axis=1) == pytest.approx(np.ones(400), abs=1e-6)


def test_a_regression_gives_numbers_and_says_what_it_uses() -> None:
    found = fitted("regression", "xgboost.XGBRegressor", SCORES, ())
    kind, gains = found.importance()
    assert np.corrcoef(found.predict(ENCODING.matrix(FRAME)), SCORES)[0, 1] > 0.9
    assert kind == "gain"
    assert gains.argmax() == 1


def test_a_linear_booster_says_its_coefficients() -> None:
    found = fitted("regression", "xgboost.XGBRegressor", SCORES, (), booster="gblinear", feature_types=None, max_depth=None)
    kind, sizes = found.importance()
    assert (kind, sizes.shape) == ("coefficient", (3,))


def test_a_file_that_is_no_model_is_refused_in_one_line() -> None:
    with pytest.raises(CustodyError, match="is not an XGBoost model") as told:
        read_xgboost(b'{"learner": 3}', "model.xgboost.json")
    assert "\n" not in told.value.line


def test_without_xgboost_the_remedy_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrain_assets.bundle.xgboost_file.find_spec", lambda name: None)
    with pytest.raises(StageError, match="is not installed") as told:
        read_xgboost(b"{}", "model.xgboost.json")
    assert "install xgboost" in told.value.remedy
