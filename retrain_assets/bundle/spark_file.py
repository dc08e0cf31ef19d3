"""Spark ML models as plain JSON, coefficients or trees, scored with numpy: serving needs neither Spark nor Java."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from retrain_assets.contract import CustodyError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int32]
Output = Literal["value", "mean", "logistic", "double_logistic", "softmax", "shares"]

SPARK_FILE = "model.spark.json"
FORMAT = "retrain_assets.spark_model/1"
BLOCK_CELLS = 1 << 20
"""Rows times trees that are walked at a time."""


@dataclass(frozen=True, slots=True)
class LinearModel:
    """``matrix @ coefficients.T + intercepts``.

    Args:
        coefficients: (outputs, features).
        intercepts: (outputs,).
    """

    coefficients: Floats
    intercepts: Floats

    def margins(self, matrix: Floats) -> Floats:
        """(rows, outputs)."""
        return np.asarray(matrix @ self.coefficients.T + self.intercepts)

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        return {"coefficients": self.coefficients.tolist(), "intercepts": self.intercepts.tolist()}


@dataclass(frozen=True, slots=True)
class TreesModel:
    """A weighted sum of decision trees. A row goes left where its value is at most the threshold.

    Args:
        roots: node of each tree's root.
        weights: weight of each tree.
        feature: (nodes,) position of the feature that a node asks.
        threshold: (nodes,).
        left: (nodes,) the next node; of a leaf itself.
        right: (nodes,) likewise.
        values: (nodes, outputs) what a leaf says.
        depth: longest way from a root to a leaf.
    """

    roots: Integers
    weights: Floats
    feature: Integers
    threshold: Floats
    left: Integers
    right: Integers
    values: Floats
    depth: int

    def margins(self, matrix: Floats) -> Floats:
        """(rows, outputs)."""
        found = np.empty((len(matrix), self.values.shape[1]))
        size = max(1, BLOCK_CELLS // len(self.roots))
        for begin in range(0, len(matrix), size):
            block = matrix[begin : begin + size]
            rows = np.arange(len(block))[:, None]
            node = np.broadcast_to(self.roots, (len(block), len(self.roots)))
            for _ in range(self.depth):
                goes_left = block[rows, self.feature[node]] <= self.threshold[node]
                node = np.where(goes_left, self.left[node], self.right[node])
            found[begin : begin + size] = np.einsum("t,rto->ro", self.weights, self.values[node])
        return found

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        lists = ("roots", "weights", "feature", "threshold", "left", "right", "values")
        return {name: getattr(self, name).tolist() for name in lists} | {"depth": self.depth}


class SparkPredictor:
    """A fitted Spark ML model.

    Args:
        model: its coefficients or trees.
        output: what becomes of its margins: ``value`` (of a regression), ``mean`` (over the trees), ``logistic`` and ``softmax``
            (probabilities), ``double_logistic`` (of a boosted classifier: ``1 / (1 + exp(-2 m))``), ``shares`` (of the classes).
        missing: (features,) what stands for a missing value: Spark ML takes none.
        importances: what they are and one value per feature, as Spark tells them.
        task: the task of the bundle.
    """

    def __init__(
        self, model: LinearModel | TreesModel, output: Output, missing: Floats, importances: tuple[str, Floats], task: str
    ) -> None:
        self.model, self.output, self.missing, self.importances, self.task = model, output, missing, importances, task

    def predict(self, matrix: Floats) -> Floats:
        """See :class:`~retrain_assets.bundle.Predictor`."""
        margins = self.model.margins(np.where(np.isnan(matrix), self.missing, matrix))
        if self.output == "value":
            return margins[:, 0]
        if self.output == "mean":
            return margins[:, 0] / len(self.model.roots) if isinstance(self.model, TreesModel) else margins[:, 0]
        if self.output in ("logistic", "double_logistic"):
            size = 2.0 if self.output == "double_logistic" else 1.0
            return np.asarray(1.0 / (1.0 + np.exp(np.minimum(-size * margins[:, 0], 700.0))))
        if self.output == "softmax":
            margins = np.exp(margins - margins.max(axis=1, keepdims=True))
        shares = margins / margins.sum(axis=1, keepdims=True)
        return np.asarray(shares[:, 1] if self.task == "binary_classification" else shares)

    def file(self) -> tuple[str, bytes]:
        """See :class:`~retrain_assets.bundle.Predictor`."""
        kind, values = self.importances
        document = {
            "format": FORMAT,
            "kind": "trees" if isinstance(self.model, TreesModel) else "linear",
            "output": self.output,
            "missing": self.missing.tolist(),
            "importances": {"kind": kind, "values": values.tolist()},
            **self.model.to_json(),
        }
        return SPARK_FILE, json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    def importance(self) -> tuple[str, Floats]:
        """See :class:`~retrain_assets.bundle.Predictor`."""
        return self.importances


def read_spark(data: bytes, where: str, task: str) -> SparkPredictor:
    """The model of a Spark ML file.

    Raises:
        CustodyError: when it is not one this product wrote.
    """
    try:
        value = json.loads(data)
        if value["format"] != FORMAT:
            raise ValueError(f"format {value['format']}")
        model = _linear(value) if value["kind"] == "linear" else _trees(value)
        missing, importances = np.array(value["missing"], dtype=np.float64), value["importances"]
        return SparkPredictor(model, value["output"], missing, (importances["kind"], np.array(importances["values"])), task)
    except (KeyError, TypeError, ValueError) as error:
        raise CustodyError(f"is not a readable Spark model ({error})", where=where) from error


def _linear(value: Mapping[str, Any]) -> LinearModel:
    return LinearModel(np.array(value["coefficients"], dtype=np.float64), np.array(value["intercepts"], dtype=np.float64))


def _trees(value: Mapping[str, Any]) -> TreesModel:
    nodes = {name: np.array(value[name], dtype=np.int32) for name in ("roots", "feature", "left", "right")}
    numbers = {name: np.array(value[name], dtype=np.float64) for name in ("weights", "threshold", "values")}
    count = len(numbers["values"])
    if any((nodes[name] < 0).any() or (nodes[name] >= count).any() for name in ("roots", "left", "right")):
        raise ValueError("a node leads nowhere")
    return TreesModel(
        nodes["roots"],
        numbers["weights"],
        nodes["feature"],
        numbers["threshold"],
        nodes["left"],
        nodes["right"],
        numbers["values"],
        int(value["depth"]),
    )
