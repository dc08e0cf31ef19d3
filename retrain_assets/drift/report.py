"""The drift report: one live window of a champion against what it was trained on, as a few numbers. Says nothing about limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from retrain_assets.contract import finite
from retrain_assets.drift.column import aligned_counts
from retrain_assets.drift.distances import population_stability_index
from retrain_assets.drift.sketch import Sketch


@dataclass(frozen=True, slots=True)
class LiveLabels:
    """Rows of the window whose label is known.

    Args:
        rows: how many.
        label_mean: mean label (share of positives for a binary task); None without rows.
        prediction_mean: mean prediction of the same rows; None without rows.
        reference_label_mean: mean label of the reference; None where it is unknown.
    """

    rows: int
    label_mean: float | None
    prediction_mean: float | None
    reference_label_mean: float | None


@dataclass(frozen=True, slots=True)
class MeasureChange:
    """One success measure, reference window against live window.

    Args:
        rows: live rows with the measure.
        reference: its mean in the reference.
        current: its mean in the window.
        direction: which way is better.
    """

    rows: int
    reference: float | None
    current: float | None
    direction: Literal["increase", "decrease"]

    @property
    def worsening(self) -> float | None:
        """Change in the bad direction, relative to the reference; None where it is undefined."""
        if self.reference is None or self.current is None or self.reference == 0:
            return None
        change = (self.current - self.reference) / abs(self.reference)
        return change if self.direction == "decrease" else -change


@dataclass(frozen=True, slots=True)
class DriftReport:
    """One window's drift.

    Args:
        start: begin of the window, aware UTC.
        end: its end.
        rows: live rows in it.
        metrics: value per drift metric; None where it is undefined.
        metric_rows: rows each metric rests on.
        per_column: population stability index per feature, not weighted.
        worst_column: the feature that ``feature_psi`` comes from.
    """

    start: datetime
    end: datetime
    rows: int
    metrics: Mapping[str, float | None]
    metric_rows: Mapping[str, int] = field(default_factory=dict)
    per_column: Mapping[str, float | None] = field(default_factory=dict)
    worst_column: str | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-able values; times as ISO-8601, undefined numbers as None."""
        return {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "rows": self.rows,
            "metrics": finite(self.metrics),
            "metric_rows": dict(self.metric_rows),
            "per_column": finite(self.per_column),
            "worst_column": self.worst_column,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DriftReport:
        """The inverse of :meth:`to_json`."""
        times = {name: datetime.fromisoformat(value[name]) for name in ("start", "end")}
        return cls(**{**value, **times})


def drift_report(
    *,
    start: datetime,
    end: datetime,
    features: tuple[Sketch, Sketch],
    predictions: tuple[Sketch, Sketch],
    importance: Mapping[str, float],
    labels: LiveLabels | None = None,
    measures: Mapping[str, MeasureChange] | None = None,
) -> DriftReport:
    """The report of one window.

    ``feature_psi`` is the largest population stability index of a feature times its importance relative to the most important
    feature: the feature the model leans on most counts in full, one it does not use not at all. ``prediction_psi`` is the largest
    index of a prediction column, ``label_share`` the absolute difference of the label means, ``calibration_bias`` the absolute
    difference of mean prediction and mean label in the window, and each success measure its relative worsening.

    Args:
        start: begin of the window.
        end: its end.
        features: sketches of the reference's and the window's features, the second made with the edges of the first.
        predictions: the same for the prediction columns.
        importance: importance per feature, any non-negative unit; a feature that is not named has none.
        labels: the window's known labels.
        measures: the success measures.
    """
    per_column = {name: _psi(features, name) for name in sorted(features[0].columns)}
    weighted = _weighted(per_column, importance)
    worst = max(weighted, key=lambda name: weighted[name], default=None)
    rows = max(features[1].rows, predictions[1].rows)
    scores = [psi for name in predictions[0].columns if (psi := _psi(predictions, name)) is not None]
    metrics: dict[str, float | None] = {
        "feature_psi": None if worst is None else weighted[worst],
        "prediction_psi": max(scores, default=None),
    }
    metric_rows = {"feature_psi": features[1].rows, "prediction_psi": predictions[1].rows}
    if labels is not None:
        metrics["label_share"] = _gap(labels.label_mean, labels.reference_label_mean)
        metrics["calibration_bias"] = _gap(labels.prediction_mean, labels.label_mean)
        metric_rows |= {"label_share": labels.rows, "calibration_bias": labels.rows}
    for name, change in (measures or {}).items():
        metrics[name], metric_rows[name] = change.worsening, change.rows
    return DriftReport(
        start=start, end=end, rows=rows, metrics=metrics, metric_rows=metric_rows, per_column=per_column, worst_column=worst
    )


def _psi(sketches: tuple[Sketch, Sketch], name: str) -> float | None:
    reference, current = (sketch.columns.get(name) for sketch in sketches)
    if reference is None or current is None or reference.n == 0 or current.n == 0:
        return None
    return population_stability_index(*aligned_counts(reference, current))


def _weighted(per_column: Mapping[str, float | None], importance: Mapping[str, float]) -> dict[str, float]:
    weights = {name: importance[name] for name in per_column if math.isfinite(importance.get(name, math.nan))}
    largest = max(weights.values(), default=0.0)
    return {
        name: psi * (weights.get(name, 0.0) / largest if largest > 0 else 0.0)
        for name, psi in per_column.items()
        if psi is not None
    }


def _gap(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else abs(one - other)
