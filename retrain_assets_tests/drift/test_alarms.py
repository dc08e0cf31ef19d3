"""An alarm needs the latest window, k of the last n, and enough rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from retrain_assets.contract import DriftRule
from retrain_assets.drift import DriftReport, drift_verdicts

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
