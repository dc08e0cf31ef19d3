"""What live traffic is later compared with: sketches of the training features and hold-out scores, and reference measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.compute.fitting import Labels
from retrain_assets.compute.parts import StoredTable
from retrain_assets.compute.request import StageRequest
from retrain_assets.compute.stages.segment_losses import largest, losses_by_segment, row_losses, segment_columns
from retrain_assets.contract import Contract, StageError, finite
from retrain_assets.contract.contract import ESTIMATED_METRICS
from retrain_assets.drift import Estimate, Sketch, estimate, sketch_frame
from retrain_assets.gates import metric_value

Floats = npt.NDArray[np.float64]


def training_sketch(
    features: Sketch,
    scores: Floats,
    labels: Labels,
    contract: Contract,
    segments: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """The content of ``training_sketch.json``: all that drift is measured against, so that no row is ever read again.

    Args:
        features: sketch of the training window's features.
        scores: calibrated hold-out scores: the model's scores on its own training rows would be too sure.
        labels: hold-out labels.
        contract: task, decision rule, metrics and segments.
        segments: hold-out rows with the segment columns; None where there are none.

    Returns:
        ``features``: sketch of the training features; ``predictions``: sketch of the hold-out scores (column ``score``, or
        ``score_CLASS`` for a multiclass task); ``reference``: ``rows``, ``label_mean``, ``prediction_mean``,
        ``calibration_bias`` (prediction_mean - label_mean), ``decision_share`` and ``metrics`` of the hold-out; ``label``:
        its ``rows``, ``mean`` and ``std``, or ``counts`` per class; ``estimates``: each metric as its scores alone let expect it;
        ``segments``: rows, mean and variance of the loss by column and value.
    """
    predictions = score_frame(scores, labels.classes)
    return {
        "features": features.to_json(),
        "predictions": sketch_frame(predictions, columns=predictions.columns).to_json(),
        "reference": finite(
            {
                **_reference(scores, labels, contract),
                "label": _label(labels, contract),
                "estimates": _estimates(scores, contract),
                "segments": _segments(scores, labels, contract, segments),
            }
        ),
    }


def segment_rows(request: StageRequest, holdout: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """The segment columns of the hold-out rows: of the data set, where the request names it, otherwise of the features.

    Raises:
        StageError: when the data set's hold-out is not that of the features.
    """
    wanted = segment_columns(contract)
    own = holdout.select(name for name in wanted if name in holdout.columns)
    if "dataset" not in request.inputs or own.width == len(wanted):
        return own
    path, unit = request.input("dataset") / "holdout.parquet", contract.source.unit
    stored = StoredTable.at(path)
    columns = [unit, *(name for name in wanted if name in stored.schema and name not in own.columns)]
    try:
        rows = stored.scan().select(columns).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StageError(f"cannot be read ({error})", where=str(path), remedy="run the dataset stage again") from error
    if not rows[unit].equals(holdout[unit]):
        raise StageError("has other hold-out rows than the features", where=str(path), remedy="run the features stage again")
    return pl.concat([own, rows.drop(unit)], how="horizontal")


def score_frame(scores: Floats, classes: tuple[str | int, ...]) -> pl.DataFrame:
    """Scores as columns: ``score``, or ``score_CLASS`` for each class of a multiclass task."""
    if scores.ndim == 1:
        return pl.DataFrame({"score": scores})
    return pl.DataFrame({f"score_{label}": scores[:, index] for index, label in enumerate(classes)})


def holdout_metrics(scores: Floats, labels: Labels, contract: Contract) -> dict[str, float | None]:
    """The contract's offline metrics on the hold-out, in their own unit, but for the team's own."""
    threshold = contract.decision.threshold if contract.decision else 0.5
    offline = contract.gates.offline
    shipped = [name for name in offline.metrics if name not in offline.own_metrics]
    return {name: metric_value(name, labels.values, scores, threshold=threshold) for name in shipped}


def estimates_of(scores: Floats, contract: Contract, threshold: float) -> dict[str, Estimate | None]:
    """Each metric of gate offline that can be estimated, as these scores let expect it; empty where none can be.

    Scores outside 0..1 are no probabilities: nothing is estimated from them.
    """
    metrics = [name for name in contract.gates.offline.metrics if name in ESTIMATED_METRICS]
    if contract.task == "regression" or not metrics or not np.all((scores >= 0) & (scores <= 1)):
        return {}
    return estimate(scores, metrics, threshold)


def _reference(scores: Floats, labels: Labels, contract: Contract) -> dict[str, Any]:
    reference: dict[str, Any] = {"rows": len(labels.values), "metrics": holdout_metrics(scores, labels, contract)}
    if scores.ndim == 1 and len(scores):
        prediction, label = float(scores.mean()), float(labels.values.mean())
        reference |= {"prediction_mean": prediction, "label_mean": label, "calibration_bias": prediction - label}
    if contract.decision is not None and len(scores):
        reference["decision_share"] = float((scores >= contract.decision.threshold).mean())
    return reference


def _label(labels: Labels, contract: Contract) -> dict[str, Any]:
    values = labels.values
    if contract.task == "multiclass":
        counts = np.bincount(labels.codes, minlength=len(labels.classes))
        return {"rows": len(values), "counts": dict(zip(map(str, labels.classes), counts.tolist(), strict=True))}
    if not len(values):
        return {"rows": 0, "mean": None, "std": None}
    return {"rows": len(values), "mean": float(values.mean()), "std": float(values.std())}


def _estimates(scores: Floats, contract: Contract) -> dict[str, Any]:
    threshold = contract.decision.threshold if contract.decision else 0.5
    return {name: found.to_json() for name, found in estimates_of(scores, contract, threshold).items() if found is not None}


def _segments(scores: Floats, labels: Labels, contract: Contract, rows: pl.DataFrame | None) -> dict[str, Any]:
    if rows is None or not len(labels.values):
        return {}
    losses = row_losses(contract.task, scores, labels.values, float(labels.values.std()))
    return {} if losses is None else largest(losses_by_segment(rows, segment_columns(contract), losses))
