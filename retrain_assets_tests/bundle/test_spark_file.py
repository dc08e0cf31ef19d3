from __future__ import annotations

import numpy as np
import pytest

from retrain_assets.bundle import LinearModel, SparkPredictor, TreesModel
from retrain_assets.bundle.spark_file import Output, read_spark
from retrain_assets.contract import CustodyError

NO_IMPORTANCES = ("none", np.zeros(0))


def two_trees() -> TreesModel:
    """One asks the first feature (at most 1: node 1, else node 2), the other is a leaf."""
    return TreesModel(
        roots=np.array([0, 3], np.int32),
        weights=np.array([1.0, 0.5]),
        feature=np.zeros(4, np.int32),
        threshold=np.array([1.0, 0, 0, 0]),
        left=np.array([1, 1, 2, 3], np.int32),
        right=np.array([2, 1, 2, 3], np.int32),
        values=np.array([[0.0], [-2.0], [4.0], [2.0]]),
        depth=1,
    )


def predictor(output: Output, task: str = "regression", missing: float = 0.0) -> SparkPredictor:
    return SparkPredictor(two_trees(), output, np.array([missing]), NO_IMPORTANCES, task)


def test_a_row_at_the_threshold_goes_left() -> None:
    assert predictor("value").predict(np.array([[1.0], [np.nextafter(1.0, 2.0)]])).tolist() == [-1.0, 5.0]


def test_a_missing_value_is_read_as_the_recorded_one() -> None:
    assert predictor("value", missing=9.0).predict(np.array([[np.nan]])).tolist() == [5.0]
    assert predictor("value", missing=0.0).predict(np.array([[np.nan]])).tolist() == [-1.0]


def test_a_forest_of_numbers_gives_the_mean_of_its_trees() -> None:
    assert predictor("mean").predict(np.array([[0.0]])).tolist() == [-0.5]


def test_a_boosted_classifier_doubles_the_margin() -> None:
    found = predictor("double_logistic", "binary_classification").predict(np.array([[0.0]]))
    assert found == pytest.approx(1 / (1 + np.exp(2.0)))


def test_margins_beyond_what_an_exponential_holds_are_certain_and_do_not_warn() -> None:
    model = LinearModel(np.array([[1.0]]), np.zeros(1))
    one = SparkPredictor(model, "logistic", np.zeros(1), NO_IMPORTANCES, "binary_classification")
    assert one.predict(np.array([[-1e5], [1e5]])).tolist() == [pytest.approx(0.0), 1.0]


def test_several_classes_share_one() -> None:
    model = LinearModel(np.array([[1.0], [0.0], [-1.0]]), np.zeros(3))
    one = SparkPredictor(model, "softmax", np.zeros(1), NO_IMPORTANCES, "multiclass")
    assert one.predict(np.array([[0.3], [700.0]])).sum(axis=1) == pytest.approx([1, 1])


@pytest.mark.parametrize("model", [two_trees(), LinearModel(np.array([[0.1]]), np.array([1 / 3]))])
def test_a_stored_model_scores_to_the_last_bit_as_before(model: TreesModel | LinearModel) -> None:
    one = SparkPredictor(model, "value", np.array([0.7]), ("coefficient", np.array([2.5])), "regression")
    name, data = one.file()
    again = read_spark(data, name, "regression")
    matrix = np.array([[0.2], [np.nan], [3.0]])
    assert again.predict(matrix).tolist() == one.predict(matrix).tolist()
    assert again.file() == (name, data)
    assert again.importance()[0] == "coefficient"


def test_many_rows_are_walked_in_blocks_with_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = np.random.default_rng(1).normal(1, 1, (100, 1))
    expected = predictor("value").predict(matrix)
    monkeypatch.setattr("retrain_assets.bundle.spark_file.BLOCK_CELLS", 14)
    assert predictor("value").predict(matrix).tolist() == expected.tolist()


@pytest.mark.parametrize("data", [b"{}", b"[", b'{"format": "other/1"}'])
def test_a_file_that_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(CustodyError, match="is not a readable Spark model"):
        read_spark(data, "model.spark.json", "regression")


def test_a_tree_that_leads_out_of_the_file_is_refused() -> None:
    name, data = predictor("value").file()
    with pytest.raises(CustodyError, match="leads nowhere"):
        read_spark(data.replace(b'"left":[1,', b'"left":[7,'), name, "regression")
