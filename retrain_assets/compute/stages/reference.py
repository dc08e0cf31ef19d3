"""What live traffic is later compared with: sketches of the training features and hold-out scores, and reference measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.compute.fitting import Labels
from retrain_assets.contract import Contract, finite
from retrain_assets.drift import sketch_frame
from retrain_assets.gates import metric_value

Floats = npt.NDArray[np.float64]


def training_sketch(train: pl.DataFrame, names: list[str], scores: Floats, labels: Labels, contract: Contract) -> dict[str, Any]:
    """The content of ``training_sketch.json``.

    Args:
        train: feature frame of the training window.
        names: its features.
        scores: calibrated hold-out scores: the model's scores on its own training rows would be too sure.
        labels: hold-out labels.
        contract: task, decision rule and metrics.

    Returns:
        ``features``: sketch of the training features; ``predictions``: sketch of the hold-out scores (column ``score``, or
        ``score_CLASS`` for a multiclass task); ``reference``: ``rows``, ``label_mean``, ``prediction_mean``,
        ``calibration_bias`` (prediction_mean - label_mean), ``decision_share`` and ``metrics`` of the hold-out.
    """
    predictions = score_frame(scores, labels.classes)
    return {
        "features": sketch_frame(train, columns=names).to_json(),
        "predictions": sketch_frame(predictions, columns=predictions.columns).to_json(),
        "reference": finite(_reference(scores, labels, contract)),
    }


def score_frame(scores: Floats, classes: tuple[str | int, ...]) -> pl.DataFrame:
    """Scores as columns: ``score``, or ``score_CLASS`` for each class of a multiclass task."""
    if scores.ndim == 1:
        return pl.DataFrame({"score": scores})
    return pl.DataFrame({f"score_{label}": scores[:, index] for index, label in enumerate(classes)})


def holdout_metrics(scores: Floats, labels: Labels, contract: Contract) -> dict[str, float | None]:
    """The contract's offline metrics on the hold-out, in their own unit."""
    threshold = contract.decision.threshold if contract.decision else 0.5
    return {name: metric_value(name, labels.values, scores, threshold=threshold) for name in contract.gates.offline.metrics}


def _reference(scores: Floats, labels: Labels, contract: Contract) -> dict[str, Any]:
    reference: dict[str, Any] = {"rows": len(labels.values), "metrics": holdout_metrics(scores, labels, contract)}
    if scores.ndim == 1 and len(scores):
        prediction, label = float(scores.mean()), float(labels.values.mean())
        reference |= {"prediction_mean": prediction, "label_mean": label, "calibration_bias": prediction - label}
    if contract.decision is not None and len(scores):
        reference["decision_share"] = float((scores >= contract.decision.threshold).mean())
    return reference
