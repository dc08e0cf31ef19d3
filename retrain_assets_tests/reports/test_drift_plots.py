"""The pictures of a drift report say what the numbers say."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from retrain_assets.contract import DriftRule
from retrain_assets.drift import ColumnDrift, ColumnSketch, DriftReport, sketch_frame
from retrain_assets.reports.drift_plots import drift_pictures, trend_plot
from retrain_assets.reports.histogram_plot import LEVELS_SHOWN, histogram_plot

MONDAY = datetime(2024, 3, 4, 6, tzinfo=UTC)
WEEK = timedelta(days=7)
RULE = DriftRule(window=2 * WEEK, limits={"feature_psi": 0.1}, at_least=2, of_last=3, min_rows=100)
SVG = "{http://www.w3.org/2000/svg}"


def sketches(before: list[Any] | np.ndarray, after: list[Any] | np.ndarray) -> tuple[ColumnSketch, ColumnSketch]:
    reference = sketch_frame(pl.DataFrame({"x": before}), columns=["x"])
    window = sketch_frame(
        pl.DataFrame({"x": after}, schema_overrides={"x": pl.DataFrame({"x": before}).schema["x"]}),
        columns=["x"],
        edges=reference,
    )
    return reference.columns["x"], window.columns["x"]


def texts(plot: Any) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(str(plot)).iter("text")]


def report(week: int, value: float | None, rows: int = 500) -> DriftReport:
    end = MONDAY + week * WEEK
    return DriftReport(
        start=end - 2 * WEEK, end=end, rows=rows, metrics={"feature_psi": value}, metric_rows={"feature_psi": rows}
    )


def dots(history: list[DriftReport]) -> list[str]:
    plot = trend_plot(history, "feature_psi", RULE)
    return [element.get("class") or "" for element in ElementTree.fromstring(str(plot)).iter("circle")]


def test_each_window_is_a_dot_that_says_within_above_or_too_few_rows() -> None:
    history = [report(0, 0.05), report(1, 0.3), report(2, None), report(3, 0.4, rows=99)]
    assert dots(history) == ["mark", "mark above", "mark hollow"]


def test_no_line_bridges_a_window_without_a_value() -> None:
    history = [report(0, 0.05), report(1, 0.06), report(2, None), report(3, 0.2), report(4, 0.3)]
    plot = ElementTree.fromstring(str(trend_plot(history, "feature_psi", RULE)))
    assert [len((line.get("points") or "").split()) for line in plot.iter("polyline")] == [2, 2]


@pytest.mark.parametrize("history", [[report(0, 0.0)], [report(0, -0.3), report(1, -0.2)], [report(0, 0.1), report(0, 0.1)]])
def test_one_window_negative_values_and_windows_at_one_moment_are_drawn(history: list[DriftReport]) -> None:
    assert "limit 0.1" in texts(trend_plot(history, "feature_psi", RULE))


def test_a_metric_that_never_had_a_value_has_no_plot() -> None:
    assert trend_plot([report(0, None)], "feature_psi", RULE) is None


def test_the_words_for_those_who_do_not_see_the_plot_count_the_windows_above() -> None:
    plot = ElementTree.fromstring(str(trend_plot([report(0, 0.05), report(1, 0.3), report(2, 0.2)], "feature_psi", RULE)))
    assert "in 3 windows until 2024-03-18: above its limit of 0.1 in 2" in (plot.get("aria-label") or "")


def heights(plot: Any, style: str) -> list[float]:
    return [float(bar.get("height") or 0) for bar in ElementTree.fromstring(str(plot)).iter("rect") if bar.get("class") == style]


def test_bars_are_the_shares_of_the_recorded_bins() -> None:
    """Four bins of equal mass, all of the window in the last one, which also holds what lies beyond it."""
    before, after = sketches(np.arange(1000.0), np.full(50, 5000.0))
    plot = histogram_plot("x", before, after)
    bars = heights(plot, "interval")[:-1]
    assert len(bars) == 20
    assert max(bars) - min(bars) < 0.3, "equal mass"
    assert "100.0% in the window" in (ElementTree.fromstring(str(plot)).get("aria-label") or "")
    assert {"0", "999"} <= set(texts(plot))


def test_a_value_with_a_bin_of_its_own_is_written_below_it() -> None:
    plot = histogram_plot("x", *sketches([0.0, 0.0, 1.0, 3.0], [0.0, 1.0, 1.0, 1.0]))
    assert [word for word in texts(plot) if word in ("0", "1", "3")] == ["3", "0", "1"]
    assert len(heights(plot, "interval")) - 1 == 3, "the empty bins on either side are left out"


def test_rows_without_a_value_have_a_slot_only_where_there_are_some() -> None:
    assert "no value" in texts(histogram_plot("x", *sketches([1.0, 2.0, 3.0], [1.0, None, None])))
    assert "no value" not in texts(histogram_plot("x", *sketches([1.0, 2.0, 3.0], [1.0, 2.0])))


def test_levels_that_changed_most_come_first_and_the_rest_is_one_bar() -> None:
    before = [f"level {k:02d}" for k in range(30)] * 4
    plot = histogram_plot("x", *sketches(before, ["level 29"] * 60 + ["new"] * 60))
    shown = [word for word in texts(plot) if word.startswith(("level", "new", "("))]
    assert shown[0] == "level 29"
    assert len(shown) == LEVELS_SHOWN + 1
    assert shown[-1] == "(others)"


def test_markup_in_a_level_or_a_name_stays_text() -> None:
    plot = histogram_plot("<b>&x</b>", *sketches(["<script>", "b"], ["<script>", "<script>"]))
    assert "<script>" in texts(plot)
    assert "<script>" not in str(plot)


@pytest.mark.parametrize(
    ("before", "after"),
    [([1.0, 2.0], []), ([], [1.0]), (["a"], []), ([None, None], [None])],
    ids=str,
)
def test_empty_and_valueless_columns_break_nothing(before: list[Any], after: list[Any]) -> None:
    plot = histogram_plot("x", *sketches(before, after))
    assert (plot is None) == (not before or not after)


def test_all_pictures_stand_alone_as_markdown_images() -> None:
    before, after = sketches(np.arange(1000.0), np.arange(500.0, 1500.0))
    drift = ColumnDrift(
        psi=3.2, corrected_psi=3.1, drifted=True, mean_before=500.0, mean_after=1000.0, importance=0.4, weight=0.5
    )
    shown = report(1, 0.3)
    shown = DriftReport(**{**{name: getattr(shown, name) for name in shown.__slots__}, "columns": {"temp": drift}})
    pair = {"reference": before.to_json(), "window": after.to_json()}
    words = drift_pictures([report(0, 0.05), shown], {"features": {"temp": pair}, "scores": {}}, RULE)
    assert "**feature_psi** 0.3, above its limit of 0.1" in words
    assert "**temp** PSI 3.2, 1.55 weighted by importance, mean 500 → 1,000, up to 1,499 (training: 999)" in words
    images = re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", words)
    assert len(images) == 2
    for image in images:
        tree = ElementTree.fromstring(base64.b64decode(image))
        assert tree.tag == f"{SVG}svg"
        assert tree.find(f"{SVG}style") is not None


def test_without_drift_the_page_says_so() -> None:
    assert "No feature that the model uses differs" in drift_pictures([report(0, 0.0)], {"features": {}, "scores": {}}, RULE)
