"""The plot of the drift that set a retrain off."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from retrain_assets.reports.trigger_plot import trigger_plot

HISTORY = [
    {"end": "2013-08-26T06:00:00+00:00", "value": 0.06},
    {"end": "2013-09-02T06:00:00+00:00", "value": None},
    {"end": "2013-09-09T06:00:00+00:00", "value": 0.22},
    {"end": "2013-09-16T06:00:00+00:00", "value": 0.15},
]
DRIFT = {"kind": "drift", "metric": "calibration_bias", "threshold": 0.07, "history": HISTORY}


def test_windows_above_the_limit_are_marked_and_told() -> None:
    plot = trigger_plot(DRIFT)
    assert plot is not None
    assert plot.count('class="mark above"') == 2
    assert plot.count('class="mark"') == 1
    assert "Calibration bias in the 3 windows" in plot
    assert "above its limit of 0.07 in 2" in plot


def test_no_line_bridges_a_window_without_a_value() -> None:
    plot = ElementTree.fromstring(str(trigger_plot(DRIFT)))
    assert [len((line.get("points") or "").split()) for line in plot.iter("polyline")] == [2]


@pytest.mark.parametrize(
    "trigger",
    [
        {"kind": "person", "reason": "why not"},
        {**DRIFT, "history": HISTORY[:1]},
        {**DRIFT, "threshold": None},
        {**DRIFT, "history": None},
    ],
    ids=["a person", "one window", "no limit", "no history"],
)
def test_without_windows_and_limit_there_is_no_plot(trigger: dict[str, object]) -> None:
    assert trigger_plot(trigger) is None


def test_values_that_are_all_the_same_have_a_plot() -> None:
    assert trigger_plot({**DRIFT, "threshold": 0, "history": [{**one, "value": 0.0} for one in HISTORY]}) is not None
