from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from retrain_assets.bundle import Encoding
from retrain_assets.contract import StageError

TRAIN = pl.DataFrame({"depot": ["south", None, "north"], "weight": [1, 2, 3], "heavy": [True, None, False]})


def test_categories_are_sorted_codes_and_missing_or_unseen_ones_are_nan() -> None:
    encoding = Encoding.of(TRAIN, ["depot", "weight", "heavy"])
    live = pl.DataFrame({"heavy": [True, False], "weight": [4.5, None], "depot": ["harbour", "south"]})
    expected = [[np.nan, 4.5, 1.0], [1.0, np.nan, 0.0]]
    assert np.array_equal(encoding.matrix(live), np.array(expected), equal_nan=True)


def test_a_column_without_any_value_is_all_missing() -> None:
    encoding = Encoding.of(TRAIN, ["depot", "weight"])
    live = pl.DataFrame({"weight": [None, None], "depot": [None, None]})
    assert np.isnan(encoding.matrix(live)).all()


def test_an_encoding_survives_storage() -> None:
    encoding = Encoding.of(TRAIN, TRAIN.columns)
    again = Encoding.from_json(encoding.names, encoding.kinds, encoding.to_json())
    assert np.array_equal(again.matrix(TRAIN), encoding.matrix(TRAIN), equal_nan=True)


def test_a_missing_feature_is_named() -> None:
    with pytest.raises(StageError, match=r"features weight are missing; the model reads depot, weight, heavy"):
        Encoding.of(TRAIN, TRAIN.columns).matrix(TRAIN.drop("weight"))


def test_a_feature_of_another_kind_is_refused() -> None:
    with pytest.raises(StageError, match=r"feature weight: is categorical \(String\), but was numeric"):
        Encoding.of(TRAIN, TRAIN.columns).matrix(TRAIN.with_columns(weight=pl.lit("heavy")))


def test_a_date_is_no_feature() -> None:
    with pytest.raises(StageError, match=r"feature day: has type Date; a feature is a number, a boolean or a string"):
        Encoding.of(pl.DataFrame({"day": pl.Series([None], dtype=pl.Date)}), ["day"])
