"""An alarm needs the latest window, k of the last n, and enough rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from retrain_assets.contract import DriftRule
from retrain_assets.drift import ColumnDrift, DriftReport, SegmentDrift, distinct_windows, drift_verdicts

RULE = DriftRule(window="7d", limits={"feature_psi": 0.2, "cost": 0.1}, at_least=2, of_last=3, min_rows=1000)


def reports(*values: float | None, rows: int = 5000, metric: str = "feature_psi", metric_rows: int = 5000) -> list[DriftReport]:
    first = datetime(2013, 6, 1, tzinfo=UTC)
    return [
        DriftReport(
            start=first + timedelta(weeks=week),
            end=first + timedelta(weeks=week + 1),
            rows=rows,
            metrics={metric: value},
            metric_rows={metric: metric_rows},
            worst_column="hour",
        )
        for week, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("values", "alarmed"),
    [
        pytest.param((0.3,), False, id="once is not twice"),
        pytest.param((0.3, 0.3), True, id="twice in a row"),
        pytest.param((0.3, 0.1, 0.3), True, id="twice of three"),
        pytest.param((0.3, 0.3, 0.1), False, id="the latest is calm"),
        pytest.param((0.3, 0.1, 0.1, 0.3), False, id="the first is too long ago"),
        pytest.param((0.2, 0.2), False, id="at the limit is not above it"),
        pytest.param((0.3, None, 0.3), True, id="an undefined window is not above"),
        pytest.param((None, float("nan"), 0.3), False, id="undefined windows never alarm"),
        pytest.param((), False, id="no report"),
    ],
)
def test_k_of_the_last_n_windows_and_the_latest(values, alarmed) -> None:
    assert bool(drift_verdicts(reports(*values), RULE)) is alarmed


def test_a_small_sample_never_alarms() -> None:
    assert drift_verdicts(reports(9.0, 9.0, 9.0, rows=999), RULE) == []
    assert drift_verdicts(reports(9.0, 9.0, 9.0, metric="cost", metric_rows=999), RULE) == []


def test_a_window_reported_twice_counts_once() -> None:
    assert drift_verdicts([*reports(0.3), *reports(0.3)], RULE) == []


def test_windows_almost_on_top_of_each_other_are_one_look() -> None:
    (first,) = reports(0.3)
    minutes_later = [
        replace(first, start=first.start + later, end=first.end + later, metrics={"feature_psi": value})
        for later, value in ((timedelta(0), 0.3), (timedelta(minutes=7), 0.3), (timedelta(minutes=30), 0.4))
    ]
    assert [report.metrics["feature_psi"] for report in distinct_windows(minutes_later)] == [0.4]
    assert drift_verdicts(minutes_later, RULE) == []


@pytest.mark.parametrize(("hours", "windows"), [(24 * 7, 5), (42, 5), (41, 3), (24, 3)])
def test_windows_count_that_end_a_quarter_of_their_length_apart(hours, windows) -> None:
    first = datetime(2013, 6, 1, tzinfo=UTC)
    history = [
        DriftReport(start=end - timedelta(days=7), end=end, rows=5000, metrics={"feature_psi": 0.3})
        for end in (first + timedelta(hours=hours * step) for step in range(5))
    ]
    kept = distinct_windows(history)
    assert (len(kept), kept[-1]) == (windows, history[-1])


def test_the_alarm_names_the_prediction_column_or_the_segment() -> None:
    drifted = ColumnDrift(psi=0.4, corrected_psi=0.3, drifted=True, weight=1.0)
    worse = SegmentDrift("origin", "JFK", 400, 900, 0.3, 0.2, 0.1, 1e-9, 1e-8, drifted=True)
    history = [
        replace(report, metrics={"prediction_psi": 0.3, "segment_loss": 0.1}, predictions={"score_b": drifted}, segments=(worse,))
        for report in reports(0, 0)
    ]
    rule = DriftRule(window="7d", limits={"prediction_psi": 0.2, "segment_loss": 0.05})
    loss, prediction = drift_verdicts(history, rule)
    assert (loss.segment, loss.column, prediction.column, prediction.segment) == ("origin = JFK", None, "score_b", None)
    assert loss.message.startswith("segment_loss (origin = JFK) is 0.1, above 0.05")


def test_the_alarm_names_metric_value_threshold_and_window_the_worst_first() -> None:
    history = [
        DriftReport(start=one.start, end=one.end, rows=5000, metrics={"feature_psi": 0.3, "cost": 0.5}, worst_column="hour")
        for one in reversed(reports(0, 0))
    ]
    alarms = drift_verdicts(history, RULE)
    assert [alarm.metric for alarm in alarms] == ["cost", "feature_psi"]
    assert alarms[1].to_json() == {
        "metric": "feature_psi",
        "value": 0.3,
        "threshold": 0.2,
        "window": ["2013-06-08T00:00:00+00:00", "2013-06-15T00:00:00+00:00"],
        "above": 2,
        "of": 2,
        "column": "hour",
        "segment": None,
        "message": "feature_psi (hour) is 0.3, above 0.2, in the window from 2013-06-08 to 2013-06-15; "
        "above in 2 of the last 2 windows",
    }
