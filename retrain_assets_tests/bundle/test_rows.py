"""Rows as mappings give, to the last bit, the scores of a frame of them; a row that does not fit is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrain_assets.bundle import (
    Bundle,
    Calibration,
    Encoding,
    EstimatorPredictor,
    LightGBMPredictor,
    Manifest,
    RowEncoder,
    SignatureError,
    fit_calibration,
)
from retrain_assets.bundle.calibration import Kind

DRAW = np.random.default_rng(4)
TRAINING = pl.DataFrame(
    {
        "rain": DRAW.normal(size=300),
        "parcels": DRAW.integers(0, 9, 300),
        "depot": DRAW.choice(["north", "south", "étage"], 300),
        "fragile": DRAW.random(300) < 0.5,
        "note": pl.Series([None] * 300, dtype=pl.String),
    }
)
ENCODING = Encoding.of(TRAINING, TRAINING.columns)
SCHEMA = {"rain": pl.Float64, "parcels": pl.Float64, "depot": pl.String, "fragile": pl.Boolean, "note": pl.String}
FITTING: dict[str, Any] = {"rain": 0.5, "parcels": 3, "depot": "north", "fragile": True, "note": None}


def rows_of(floats: st.SearchStrategy[float], whole: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(
        st.fixed_dictionaries(
            {
                "rain": st.none() | floats,
                "parcels": st.none() | st.integers(-whole, whole) | floats,
                "depot": st.none() | st.sampled_from(["north", "south", "étage", "new", ""]) | st.text(max_size=5),
                "fragile": st.none() | st.booleans(),
                "note": st.none() | st.text(max_size=3),
            }
        ),
        max_size=7,
    )


SENSIBLE = rows_of(st.floats(-1e9, 1e9), 10**9)
ANY = rows_of(st.floats(allow_nan=False, allow_infinity=False), 2**62)


@lru_cache
def bundle(task: str, library: str, calibration: Kind) -> Bundle:
    matrix, rain = ENCODING.matrix(TRAINING), TRAINING["rain"].to_numpy()
    labels = {
        "regression": rain,
        "binary_classification": (rain > 0).astype(np.int64),
        "multiclass": np.digitize(rain, [-0.5, 0.5]),
    }[task]
    predictor: LightGBMPredictor | EstimatorPredictor
    if library == "lightgbm":
        import lightgbm

        kind = lightgbm.LGBMRegressor if task == "regression" else lightgbm.LGBMClassifier
        model = kind(n_estimators=6, min_child_samples=5, n_jobs=1, verbosity=-1)
        predictor = LightGBMPredictor(model.fit(matrix, labels, categorical_feature=[2, 4]).booster_)
    else:
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        tree = (DecisionTreeRegressor if task == "regression" else DecisionTreeClassifier)(min_samples_leaf=5)
        model = make_pipeline(SimpleImputer(keep_empty_features=True), tree).fit(matrix, labels)
        predictor = EstimatorPredictor(model, task)
    fitted = fit_calibration(calibration, predictor.predict(matrix), labels) if task != "regression" else Calibration("none")
    texts = dict.fromkeys(("model", "retrain", "estimator", "feature_function", "feature_pipeline", "dataset"), "x")
    maps: dict[str, Any] = {name: {} for name in ("params", "label", "window", "calibration", "code", "environment", "files")}
    described = Manifest(
        **texts,
        **maps,
        task=task,
        feature_names=ENCODING.names,
        feature_dtypes=dict(ENCODING.kinds),
        decision=None,
        classes=() if task == "regression" else tuple(range(int(labels.max()) + 1)),
        seed=1,
    )
    return Bundle(described, ENCODING, predictor, fitted, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("library", ["lightgbm", "scikit-learn"])
@pytest.mark.parametrize(
    ("task", "calibration"),
    [
        ("regression", "none"),
        ("binary_classification", "none"),
        ("binary_classification", "isotonic"),
        ("binary_classification", "sigmoid"),
        ("multiclass", "isotonic"),
    ],
)
@settings(max_examples=25, deadline=None)
@given(rows=SENSIBLE)
def test_rows_and_a_frame_of_them_have_the_same_scores_to_the_last_bit(
    task: str, library: str, calibration: Kind, rows: list[dict[str, Any]]
) -> None:
    scoring = bundle(task, library, calibration)
    frame = pl.DataFrame([[row[name] for name in SCHEMA] for row in rows], schema=SCHEMA, orient="row", strict=False)
    expected = scoring.score(frame)
    found = scoring.score_rows(rows)
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()


@settings(deadline=None)
@given(rows=ANY)
def test_the_matrix_is_the_frames_whatever_the_order_of_names(rows: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame([[row[name] for name in SCHEMA] for row in rows], schema=SCHEMA, orient="row", strict=False)
    turned = [dict(reversed(row.items())) for row in rows]
    assert RowEncoder(ENCODING).matrix(turned).tobytes() == ENCODING.matrix(frame).tobytes()


def refusal(change: Callable[[dict[str, Any]], object]) -> str:
    row = dict(FITTING)
    change(row)
    with pytest.raises(SignatureError) as caught:
        bundle("regression", "lightgbm", "none").score_rows([dict(FITTING), row])
    return caught.value.line


def test_a_missing_name_is_refused_and_not_taken_for_null() -> None:
    line = refusal(lambda row: row.pop("depot"))
    assert line == "row 1, features.depot: is missing; write a text, or null where it is not known"


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    line = refusal(lambda row: row.update(rian=1.0))
    assert line.startswith("row 1, features.rian: is not a feature of the model; ")
    assert "rain, parcels, depot, fragile, note" in line


@pytest.mark.parametrize(
    ("name", "value", "trained_on"),
    [
        ("rain", "1.5", "numbers"),
        ("rain", True, "numbers"),
        ("rain", np.bool_(1), "numbers"),
        ("rain", float("nan"), "numbers"),
        ("rain", float("inf"), "numbers"),
        ("parcels", 10**400, "numbers"),
        ("parcels", [1], "numbers"),
        ("depot", 5, "texts"),
        ("depot", False, "texts"),
        ("fragile", 1, "booleans"),
        ("fragile", 0.0, "booleans"),
        ("fragile", "true", "booleans"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_row_and_name(name: str, value: Any, trained_on: str) -> None:
    line = refusal(lambda row: row.update({name: value}))
    assert line.startswith(f"row 1, features.{name}: is ")
    assert f"the model was trained on {trained_on}; write " in line
    assert len(line) < 300


def test_names_another_version_reads_may_stand_there() -> None:
    encoder = RowEncoder(ENCODING)
    row = {**FITTING, "wind": 3.0}
    assert encoder.matrix([row], frozenset({"wind"})).tobytes() == encoder.matrix([FITTING]).tobytes()
    with pytest.raises(SignatureError, match=r"features\.storm: is not a feature"):
        encoder.matrix([{**row, "storm": 1}], frozenset({"wind"}))


def test_no_rows_give_no_scores() -> None:
    assert bundle("regression", "lightgbm", "none").score_rows([]).shape == (0,)
    assert bundle("multiclass", "lightgbm", "isotonic").score_rows([]).shape == (0, 3)
