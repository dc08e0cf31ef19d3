from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from retrain_assets.bundle.spark_file import read_spark
from retrain_assets.compute.spark.fits import examples_of_matrix
from retrain_assets.compute.spark.models import predictor_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

RNG = np.random.default_rng(11)
MATRIX = np.column_stack([RNG.normal(size=300), RNG.integers(0, 4, 300), RNG.lognormal(0, 2, 300)])
MARGIN = MATRIX[:, 0] + 0.3 * MATRIX[:, 1] + RNG.normal(size=300)
LABELS = {
    "binary_classification": (MARGIN > 0.5).astype(float),
    "multiclass": np.digitize(MARGIN, [0, 1]).astype(float),
    "regression": MARGIN,
}
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("classification.LogisticRegression", "binary_classification", {"regParam": 0.01}),
    ("classification.LogisticRegression", "multiclass", {"regParam": 0.01}),
    ("classification.DecisionTreeClassifier", "binary_classification", {"maxDepth": 4}),
    ("classification.RandomForestClassifier", "multiclass", {"numTrees": 4, "maxDepth": 4, "seed": 7}),
    ("classification.GBTClassifier", "binary_classification", {"maxIter": 3, "maxDepth": 3, "seed": 7}),
    ("regression.LinearRegression", "regression", {}),
    ("regression.RandomForestRegressor", "regression", {"numTrees": 4, "maxDepth": 4, "seed": 7}),
    ("regression.GBTRegressor", "regression", {"maxIter": 3, "maxDepth": 3, "seed": 7}),
]


def vectors(session: SparkSession, task: str) -> DataFrame:
    from pyspark.ml.functions import array_to_vector

    rows = examples_of_matrix(session, MATRIX, LABELS[task])
    return rows.select(array_to_vector(rows["features"]).alias("features"), "label")


@pytest.mark.parametrize(("name", "task", "params"), CASES, ids=[f"{name} {task}" for name, task, _ in CASES])
def test_a_stored_model_scores_as_spark_itself(
    spark: SparkSession, tmp_path: Path, name: str, task: str, params: dict[str, Any]
) -> None:
    module, _, kind = name.rpartition(".")
    rows = vectors(spark, task)
    model = getattr(import_module(f"pyspark.ml.{module}"), kind)(**params).fit(rows)
    told = [row[0] for row in model.transform(rows).select("prediction" if task == "regression" else "probability").collect()]
    expected = np.array(told) if task == "regression" else np.array([one.toArray() for one in told])
    expected = expected[:, 1] if task == "binary_classification" else expected
    made = predictor_of(model, kind, task, np.zeros(3), tmp_path)
    file, data = made.file()
    stored = read_spark(data, file, task).predict(MATRIX)
    assert stored.shape == expected.shape
    assert np.abs(stored - expected).max() < 1e-9
    assert stored.std() > 0.01
    assert list(tmp_path.iterdir()) == []
    assert made.importance()[1].shape == (3,)
