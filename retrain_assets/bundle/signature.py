"""What a bundle takes and gives, in the column types of an MLflow signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MLFLOW_TYPES = {"numeric": "double", "boolean": "boolean", "categorical": "string"}
"""Kinds of features as MLflow column types."""

Columns = tuple[tuple[str, str], ...]


def signature_columns(manifest: Mapping[str, Any]) -> tuple[Columns, Columns]:
    """Names and MLflow types of the inputs, in the order of the model's matrix, and of the outputs.

    Args:
        manifest: the manifest of a bundle as JSON.
    """
    kinds = manifest["feature_dtypes"]
    inputs = tuple((name, MLFLOW_TYPES[kinds[name]]) for name in manifest["feature_names"])
    scores = [f"score_{label}" for label in manifest["classes"]] if manifest["task"] == "multiclass" else ["score"]
    return inputs, tuple((name, "double") for name in scores)
