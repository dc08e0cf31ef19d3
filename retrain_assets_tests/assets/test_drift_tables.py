"""The tables of the drift report say what is above, what is not judged and why, worst first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from retrain_assets.assets.drift_tables import alarm_table, column_table, metric_table, segment_table
from retrain_assets.contract import DriftRule
from retrain_assets.drift import ColumnDrift, DriftAlarm, DriftReport, SegmentDrift

END = datetime(2024, 3, 4, 6, tzinfo=UTC)
RULE = DriftRule(window=timedelta(days=14), limits={"label_share": 0.1, "feature_psi": 0.1, "segment_loss": 0.1}, min_rows=100)


def report(**changes: Any) -> DriftReport:
    values: dict[str, Any] = {
        "start": END - timedelta(days=14),
        "end": END,
        "rows": 500,
        "metrics": {"feature_psi": 0.3, "calibration_bias": 0.05, "label_share": 0.5, "segment_loss": None},
        "metric_rows": {"feature_psi": 500, "calibration_bias": 60, "label_share": 60, "segment_loss": 0},
    }
    return DriftReport(**{**values, **changes})


def rows(value: Any) -> list[dict[str, Any]]:
    assert isinstance(value, dg.TableMetadataValue)
    names = [column.name for column in value.schema.columns]
    return [{name: record.data[name] for name in names} for record in value.records]


def test_limited_metrics_come_first_and_every_gap_and_missing_verdict_has_its_note() -> None:
    found = rows(metric_table(report(), RULE, {"segment_loss": "no label of a scored row is known yet"}))
    assert [row["metric"] for row in found] == ["label_share", "feature_psi", "segment_loss", "calibration_bias"]
    few, judged, missing, without_limit = found
    assert (few["above limit"], few["note"]) == (None, "no verdict: fewer rows than min_rows 100")
    assert (judged["value"], judged["limit"], judged["above limit"], judged["rows"]) == (0.3, 0.1, True, 500)
    assert (missing["value"], missing["note"]) == (None, "no label of a scored row is known yet")
    assert (without_limit["limit"], without_limit["above limit"]) == (None, None)
    assert list(judged) == ["metric", "value", "limit", "above limit", "note", "rows"], (
        "value and limit beside the name, then why"
    )


def test_columns_are_ordered_by_what_counts_towards_the_limit() -> None:
    columns = {
        "unused": ColumnDrift(psi=4.0, corrected_psi=3.9, drifted=True, weight=0.0),
        "used": ColumnDrift(psi=0.3, corrected_psi=0.2, drifted=True, weight=1.0),
        "calm": ColumnDrift(psi=0.01, corrected_psi=0.0, weight=1.0),
        "empty": ColumnDrift(psi=None),
    }
    found = rows(column_table(report(columns=columns)))
    assert [row["column"] for row in found] == ["used", "unused", "calm", "empty"]
    assert [row["PSI that counts"] for row in found] == [0.2, 0.0, 0.0, None]


def test_segments_and_alarms_name_their_place() -> None:
    segment = SegmentDrift("origin", "JFK", 300, 400, 0.2512345, 0.15, 0.1012345, 0.001, 0.004, drifted=True)
    (row,) = rows(segment_table(report(segments=(segment,))))
    assert (row["segment"], row["increase"], row["loss now"]) == ("origin = JFK", 0.1012, 0.2512)
    alarm = DriftAlarm("segment_loss", 0.1012, 0.1, (END - timedelta(days=14), END), 2, 3, segment="origin = JFK")
    (row,) = rows(alarm_table([alarm], RULE))
    assert (row["where"], row["windows above"]) == ("origin = JFK", "2 of 3")
    assert alarm_table([], RULE) == "none: nothing is above its limit now and in 2 of the last 3 windows"
