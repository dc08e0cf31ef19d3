"""The drift report: one live window of a champion against what it was trained on, as numbers. Says nothing about limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from retrain_assets.contract import finite
from retrain_assets.drift.changes import MetricTest
from retrain_assets.drift.comparison import ColumnDrift
from retrain_assets.drift.segments import SegmentDrift


@dataclass(frozen=True, slots=True)
class DriftReport:
    """One window's drift.

    Args:
        start: begin of the window, aware UTC.
        end: its end.
        rows: live rows in it.
        metrics: value per drift metric; None where it is undefined. Those that are tested are 0 within chance.
        metric_rows: rows each metric rests on.
        per_column: population stability index per feature, neither weighted nor corrected.
        worst_column: the feature that ``feature_psi`` comes from; None where none drifted.
        columns: every distance per feature.
        predictions: the same per prediction column.
        tests: test of the metrics that are one number in reference and window: ``label_share``, ``estimated_METRIC``.
        segments: the segments with the largest increase of the loss, at most :data:`SEGMENTS_SHOWN`, the worst first.
        segments_tested: how many were tested.
        false_alarms: probability that anything at all is called drifted in a window without change; None in reports that were
            made before chance was tested.
    """

    start: datetime
    end: datetime
    rows: int
    metrics: Mapping[str, float | None]
    metric_rows: Mapping[str, int] = field(default_factory=dict)
    per_column: Mapping[str, float | None] = field(default_factory=dict)
    worst_column: str | None = None
    columns: Mapping[str, ColumnDrift] = field(default_factory=dict)
    predictions: Mapping[str, ColumnDrift] = field(default_factory=dict)
    tests: Mapping[str, MetricTest] = field(default_factory=dict)
    segments: tuple[SegmentDrift, ...] = ()
    segments_tested: int = 0
    false_alarms: float | None = None

    @property
    def worst_prediction(self) -> str | None:
        """The prediction column that ``prediction_psi`` comes from; None where none drifted."""
        return worst(self.predictions)

    @property
    def worst_segment(self) -> SegmentDrift | None:
        """The segment that ``segment_loss`` comes from; None where none got worse beyond chance."""
        return next((segment for segment in self.segments if segment.drifted and segment.increase > 0), None)

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
            "columns": {name: column.to_json() for name, column in self.columns.items()},
            "predictions": {name: column.to_json() for name, column in self.predictions.items()},
            "tests": {name: test.to_json() for name, test in self.tests.items()},
            "segments": [segment.to_json() for segment in self.segments],
            "segments_tested": self.segments_tested,
            "false_alarms": self.false_alarms,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DriftReport:
        """The inverse of :meth:`to_json`; also of reports made before there were tests and distances per column."""
        parsed: dict[str, Any] = {name: datetime.fromisoformat(value[name]) for name in ("start", "end")}
        for name in ("columns", "predictions"):
            parsed[name] = {column: ColumnDrift.from_json(drift) for column, drift in value.get(name, {}).items()}
        parsed["tests"] = {name: MetricTest.from_json(test) for name, test in value.get("tests", {}).items()}
        parsed["segments"] = tuple(map(SegmentDrift.from_json, value.get("segments", ())))
        return cls(**{**value, **parsed})


def worst(columns: Mapping[str, ColumnDrift]) -> str | None:
    """The column that counts most towards a limit; None where none counts."""
    counting = {name: value for name, drift in columns.items() if (value := drift.weighted_psi)}
    return max(counting, key=lambda name: counting[name], default=None)
