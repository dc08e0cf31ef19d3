"""Making the report of one window: compare every column, label, estimate and segment, then correct for having looked at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from retrain_assets.contract import DriftRule
from retrain_assets.contract.contract import ESTIMATED
from retrain_assets.drift.chance import adjusted_p_values
from retrain_assets.drift.changes import LiveLabels, MeasureChange, MetricTest, estimate_test, gap, label_test
from retrain_assets.drift.comparison import ColumnDrift, column_drift
from retrain_assets.drift.estimation import Estimate
from retrain_assets.drift.report import DriftReport, worst
from retrain_assets.drift.segments import SegmentDrift, SegmentLoss, segment_drifts
from retrain_assets.drift.sketch import Sketch

FALSE_ALARMS: float = DriftRule.model_fields["false_alarms"].default
"""Rate of false alarms where none is given; the default of ``cadence.on_drift.false_alarms``."""

SEGMENTS_SHOWN = 50
"""Segments a report keeps."""


def drift_report(
    *,
    start: datetime,
    end: datetime,
    features: tuple[Sketch, Sketch],
    predictions: tuple[Sketch, Sketch],
    importance: Mapping[str, float],
    labels: LiveLabels | None = None,
    measures: Mapping[str, MeasureChange] | None = None,
    estimates: Mapping[str, tuple[Estimate | None, Estimate | None]] | None = None,
    segments: Sequence[SegmentLoss] | None = None,
    false_alarms: float = FALSE_ALARMS,
) -> DriftReport:
    """The report of one window.

    Columns, labels, estimates and segments are tested against chance together (Holm): in a window without any change the
    probability that anything is called drifted is at most ``false_alarms``. Of these metrics only what is beyond chance counts,
    the rest is 0:

    - ``feature_psi``: largest corrected population stability index of a drifted feature times its importance relative to the
      most important feature: the one the model leans on most counts in full, one it does not use not at all.
    - ``prediction_psi``: largest corrected index of a drifted prediction column.
    - ``label_share``: absolute difference of the label means (not tested, and so never 0 for that reason, where the reference's
      rows are unknown).
    - ``estimated_METRIC``: by how much the metric is estimated to be worse than on the reference's hold-out, in its own unit.
    - ``segment_loss``: largest increase of the loss in a segment.

    Not tested: ``calibration_bias``, the absolute difference of mean prediction and mean label in the window, and each success
    measure's relative worsening. They vary by chance with their rows; ``min_rows`` is what holds them.

    Args:
        start: begin of the window.
        end: its end.
        features: sketches of the reference's and the window's features, the second made with the edges of the first.
        predictions: the same for the prediction columns.
        importance: importance per feature, any non-negative unit; a feature that is not named has none.
        labels: the window's known labels.
        measures: the success measures.
        estimates: per offline metric its estimate on the reference's hold-out scores and on the window's scores.
        segments: losses per segment, where outcomes are there.
        false_alarms: probability per window that anything is called drifted although nothing changed.
    """
    before, after = features
    weights = _relative({name: importance.get(name, 0.0) for name in before.columns})
    columns = {
        name: column_drift(before.columns[name], after.columns.get(name), importance=importance.get(name), weight=weights[name])
        for name in sorted(before.columns)
    }
    scores = {
        name: column_drift(sketch, predictions[1].columns.get(name), importance=None, weight=1.0)
        for name, sketch in sorted(predictions[0].columns.items())
    }
    tests = {ESTIMATED + name: estimate_test(name, *pair) for name, pair in (estimates or {}).items()}
    if labels is not None:
        tests["label_share"] = label_test(labels)
    tested = {name: test for name, test in tests.items() if test is not None}
    losses = segment_drifts(segments or ())
    columns, scores, tested, losses = _judged(columns, scores, tested, losses, false_alarms)
    metrics: dict[str, float | None] = {"feature_psi": _largest(columns), "prediction_psi": _largest(scores)}
    metric_rows = {"feature_psi": after.rows, "prediction_psi": predictions[1].rows}
    if labels is not None:
        metrics["label_share"] = gap(labels.label_mean, labels.reference_label_mean)
        metrics["calibration_bias"] = gap(labels.prediction_mean, labels.label_mean)
        metric_rows |= {"label_share": labels.rows, "calibration_bias": labels.rows}
    for name, (_, current) in (estimates or {}).items():
        metrics[ESTIMATED + name], metric_rows[ESTIMATED + name] = None, current.rows if current else 0
    metrics |= {name: max(0.0, test.change) if test.drifted else 0.0 for name, test in tested.items()}
    if segments is not None:
        metrics["segment_loss"] = max((max(0.0, one.increase) if one.drifted else 0.0 for one in losses), default=None)
        metric_rows["segment_loss"] = _rows_of(segments)
    for name, change in (measures or {}).items():
        metrics[name], metric_rows[name] = change.worsening, change.rows
    return DriftReport(
        start=start,
        end=end,
        rows=max(after.rows, predictions[1].rows),
        metrics=metrics,
        metric_rows=metric_rows,
        per_column={name: drift.psi for name, drift in columns.items()},
        worst_column=worst(columns),
        columns=columns,
        predictions=scores,
        tests=tested,
        segments=tuple(sorted(losses, key=lambda one: not one.drifted)[:SEGMENTS_SHOWN]),
        segments_tested=len(losses),
        false_alarms=false_alarms,
    )


def _relative(importance: Mapping[str, float]) -> dict[str, float]:
    """Importance of each feature relative to the most important one, 0..1; negative or undefined importance counts as none."""
    known = {name: max(0.0, value) if math.isfinite(value) else 0.0 for name, value in importance.items()}
    largest = max(known.values(), default=0.0)
    return {name: value / largest if largest > 0 else 0.0 for name, value in known.items()}


Columns = dict[str, ColumnDrift]


def _judged(
    columns: Columns, scores: Columns, tests: dict[str, MetricTest], losses: list[SegmentDrift], rate: float
) -> tuple[Columns, Columns, dict[str, MetricTest], list[SegmentDrift]]:
    """All of them with p-values corrected as one family."""
    found = {("feature", name): drift.p_value for name, drift in columns.items()}
    found |= {("prediction", name): drift.p_value for name, drift in scores.items()}
    found |= {("metric", name): test.p_value for name, test in tests.items()}
    found |= {("segment", str(place)): drift.p_value for place, drift in enumerate(losses)}
    adjusted = adjusted_p_values({key: p_value for key, p_value in found.items() if p_value is not None})

    def judged(part: str, drifts: Columns) -> Columns:
        return {
            name: replace(drift, adjusted_p_value=adjusted[part, name], drifted=adjusted[part, name] <= rate)
            if (part, name) in adjusted
            else drift
            for name, drift in drifts.items()
        }

    return (
        judged("feature", columns),
        judged("prediction", scores),
        {name: test.judged(adjusted["metric", name], rate) for name, test in tests.items()},
        [drift.judged(adjusted["segment", str(place)], rate) for place, drift in enumerate(losses)],
    )


def _largest(columns: Columns) -> float | None:
    return max((value for drift in columns.values() if (value := drift.weighted_psi) is not None), default=None)


def _rows_of(segments: Sequence[SegmentLoss]) -> int:
    rows: dict[str, int] = {}
    for segment in segments:
        rows[segment.column] = rows.get(segment.column, 0) + segment.rows
    return max(rows.values(), default=0)
