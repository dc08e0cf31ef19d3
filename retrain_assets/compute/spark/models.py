"""From a fitted Spark ML model to the coefficients or trees that serving scores with."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle import LinearModel, SparkPredictor, TreesModel
from retrain_assets.compute.spark.session import spark_path
from retrain_assets.compute.spark.sketches import local_frame

Floats = npt.NDArray[np.float64]


def predictor_of(model: Any, estimator: str, task: str, missing: Floats, folder: Path) -> SparkPredictor:
    """A fitted model as a predictor whose scores are Spark's own.

    Args:
        model: of one of the estimators in :data:`~retrain_assets.compute.estimator.FITTED_BY_SPARK`.
        estimator: the class of the estimator.
        task: the contract's.
        missing: (features,) what stands for a missing value.
        folder: where Spark may leave files meanwhile.
    """
    if estimator == "LogisticRegression":
        linear = LinearModel(_floats(model.coefficientMatrix), _floats(model.interceptVector))
        output: Literal["logistic", "softmax"] = "logistic" if len(linear.coefficients) == 1 else "softmax"
        return SparkPredictor(linear, output, missing, _sizes(linear), task)
    if estimator == "LinearRegression":
        linear = LinearModel(_floats(model.coefficients)[None, :], np.array([float(model.intercept)]))
        return SparkPredictor(linear, "value", missing, _sizes(linear), task)
    votes = estimator in ("DecisionTreeClassifier", "RandomForestClassifier")
    weights = _floats(model.treeWeights) if hasattr(model, "treeWeights") else np.ones(1)
    trees = _trees(_saved_nodes(model, folder), weights, votes)
    importances = ("impurity", _floats(model.featureImportances))
    if votes:
        return SparkPredictor(trees, "shares", missing, importances, task)
    if estimator == "GBTClassifier":
        return SparkPredictor(trees, "double_logistic", missing, importances, task)
    return SparkPredictor(trees, "mean" if estimator == "RandomForestRegressor" else "value", missing, importances, task)


def _saved_nodes(model: Any, folder: Path) -> pl.DataFrame:
    """The nodes of all trees: Spark's own way of writing them, which works on every kind of session."""
    from pyspark.sql import SparkSession

    folder.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="spark-model-", dir=folder))
    try:
        saved = place / "model"
        model.write().save(spark_path(saved))
        session = SparkSession.getActiveSession() or SparkSession.builder.getOrCreate()
        nodes = local_frame(session.read.parquet(spark_path(saved / "data")))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if "nodeData" in nodes.columns:
        return nodes.unnest("nodeData").sort("treeID", "id")
    return nodes.with_columns(treeID=pl.lit(0)).sort("id")


def _trees(nodes: pl.DataFrame, weights: Floats, votes: bool) -> TreesModel:
    """Nodes of all trees in one row each; a leaf leads to itself. With ``votes`` a leaf says the shares of its classes."""
    sizes = nodes.group_by("treeID", maintain_order=True).len()["len"].to_numpy().astype(np.int64)
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    begin = np.repeat(roots, sizes)
    own = np.arange(nodes.height)
    left, right = nodes["leftChild"].to_numpy(), nodes["rightChild"].to_numpy()
    inner = left >= 0
    split = nodes["split"].struct.unnest()
    feature = np.where(inner, split["featureIndex"].fill_null(0).to_numpy(), 0)
    threshold = np.where(inner, split["leftCategoriesOrThreshold"].list.first().fill_null(0.0).to_numpy(), 0.0)
    if votes:
        stats = np.array(nodes["impurityStats"].to_list(), dtype=np.float64)
        total = stats.sum(axis=1, keepdims=True)
        values = np.divide(stats, total, out=np.zeros_like(stats), where=total != 0)
    else:
        values = nodes["prediction"].to_numpy().astype(np.float64)[:, None]
    left, right = np.where(inner, begin + left, own), np.where(inner, begin + right, own)
    return TreesModel(
        roots=roots.astype(np.int32),
        weights=weights,
        feature=feature.astype(np.int32),
        threshold=threshold.astype(np.float64),
        left=left.astype(np.int32),
        right=right.astype(np.int32),
        values=values,
        depth=_depth(roots, left, right),
    )


def _depth(roots: npt.NDArray[Any], left: npt.NDArray[Any], right: npt.NDArray[Any]) -> int:
    depth, level = 0, roots
    while len(level := level[left[level] != level]):
        depth, level = depth + 1, np.concatenate([left[level], right[level]])
    return depth


def _floats(values: Any) -> Floats:
    return np.asarray(values.toArray() if hasattr(values, "toArray") else values, dtype=np.float64)


def _sizes(model: LinearModel) -> tuple[str, Floats]:
    return "coefficient", np.abs(model.coefficients).mean(axis=0)
