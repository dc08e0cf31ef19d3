"""The small plots of a canary: bars that read the same whatever the direction, segments raw and shrunk, the ramp to scale."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from retrain_assets.reports.canary import summary_of
from retrain_assets.reports.forest_plot import MOST, forest_plot
from retrain_assets.reports.interval_bar import interval_bar
from retrain_assets.reports.interval_plot import interval_plot
from retrain_assets.reports.ramp_strip import ramp_strip
from retrain_assets_tests.reports.sample_looks import EXPERIMENT, RAMP, START, broken_look, harmful_look, rich_look
from retrain_assets_tests.reports.test_ramp import MEASURE, ramp_of

LINE: dict[str, Any] = {
    **{"name": "cost", "direction": "decrease", "estimate": -0.06, "lower": -0.1, "upper": -0.02, "limit": -0.01},
    **{"planned": None, "change": "−6 %", "must": "fall", "words": "shown better", "distance": "1 points to spare"},
}


def x_of(drawn: str, style: str) -> list[tuple[float, float]]:
    """Where the lines or dots of a style begin and end."""
    lines = re.findall(rf'<line x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)" y2="[\d.]+" class="{style}"', drawn)
    dots = re.findall(rf'<circle cx="([\d.]+)" cy="[\d.]+" r="[\d.]+" class="{style}"', drawn)
    return [(float(a), float(b)) for a, b in lines] + [(float(a), float(a)) for a in dots]


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["decrease", "increase"])
def test_right_is_better_whatever_the_direction(sign: float) -> None:
    """A measure that shall fall and one that shall rise by as much give the same bar."""
    line = {**LINE, "direction": "decrease" if sign > 0 else "increase"}
    line |= {key: sign * LINE[key] for key in ("estimate", "limit")}
    line |= {"lower": min(sign * LINE["lower"], sign * LINE["upper"]), "upper": max(sign * LINE["lower"], sign * LINE["upper"])}
    drawn = str(interval_bar(line))
    (limit,), (dot,), (whole,), (zero,) = (x_of(drawn, style) for style in ("limit", "mark", "whisker thick", "zero"))
    assert zero[0] < limit[0] < whole[0] < dot[0] < whole[1]
    scale = (dot[0] - zero[0]) / 0.06
    assert whole[0] - zero[0] == pytest.approx(0.02 * scale, abs=0.2)
    assert limit[0] - zero[0] == pytest.approx(0.01 * scale, abs=0.2)


def test_an_interval_much_wider_than_its_limit_runs_to_the_edge_and_keeps_the_limit_readable() -> None:
    drawn = str(interval_bar({**LINE, "lower": -40.0, "upper": 40.0}))
    (limit,), (zero,) = x_of(drawn, "limit"), x_of(drawn, "zero")
    assert limit[0] - zero[0] > 3
    assert interval_bar({**LINE, "lower": None}) is None
    assert interval_bar({**LINE, "limit": None}) is None


def test_segments_are_drawn_raw_and_shrunk_beside_all_units() -> None:
    table = summary_of(rich_look().to_json(), EXPERIMENT, RAMP)["segments"][0]
    drawn = str(forest_plot(table))
    raw, full = x_of(drawn, "mark hollow"), x_of(drawn, "mark")
    assert (len(raw), len(full)) == (4, 5)
    total = full[0][0]
    for row, one, shrunk in zip(table["rows"], raw, full[1:], strict=True):
        towards = abs(shrunk[0] - total) <= abs(one[0] - total) + 0.2
        assert towards or row["segment"] == "origin=JFK", row["segment"]
    assert "origin=JFK ★" in drawn
    assert "segment margin" not in drawn
    assert "segment margin +0.08" in str(forest_plot(summary_of(rich_look().to_json(), EXPERIMENT, RAMP)["segments"][1]))


def test_segments_without_an_interval_are_left_to_the_table_and_many_are_cut() -> None:
    table = summary_of(rich_look().to_json(), EXPERIMENT, RAMP)["segments"][0]
    blank = {**table["rows"][0], "lower": None}
    assert forest_plot({**table, "rows": [blank]}) is None
    assert str(forest_plot({**table, "rows": [blank, *table["rows"][1:]]})).count("mark hollow") == 3
    assert str(forest_plot({**table, "rows": table["rows"] * 10})).count("mark hollow") == MOST


def test_the_strip_shows_units_and_lengths_of_the_stages_and_what_is_to_come() -> None:
    stages = [stage("shadow", 0, 1, (860, 880)), stage("5", 1, 3, (1670, 70)), stage("25", 3, None, (1310, 430))]
    drawn = str(ramp_strip(stages, ["shadow", "5", "25", "50", "100"], (START + timedelta(days=5)).isoformat()))
    widths = [float(width) for width in re.findall(r'<rect x="[\d.]+" y="[\d.]+" width="([\d.]+)"', drawn)]
    assert len(widths) == 5
    assert widths[1] == pytest.approx(widths[2])
    assert widths[1] > widths[0] > widths[3]
    for text in ("1,670 / 70", "2 days so far", "to come", "shadow", "50 %"):
        assert f">{text}<" in drawn
    assert drawn.count("stage now") == 1
    assert drawn.count("stage ahead") == 2


def test_a_ramp_that_was_rolled_back_ends_there() -> None:
    broken = {**stage("5", 1, 3, (1670, 70)), "ended_by": "rolled_back"}
    drawn = str(ramp_strip([stage("shadow", 0, 1, None), broken], ["shadow", "5", "25", "100"], START.isoformat()))
    assert drawn.count("stage broken") == 1
    assert "to come" not in drawn
    assert "The ramp ended there." in drawn
    assert ramp_strip([], ["shadow", "5", "100"], START.isoformat()) is None


def test_planned_looks_are_marked_on_the_time_axis_with_the_limit_they_were_judged_by() -> None:
    ramp = ramp_of([(0.2, 0.1, 0.3), (0.2, 0.12, 0.28)])
    ramp["looks"][1] |= {"planned_look": 1}
    ramp["looks"][1]["results"]["missed_late_rate"]["planned_limit"] = 0.24
    drawn = str(interval_plot(ramp, MEASURE))
    assert drawn.count("▲") == 1
    assert drawn.count("planned-limit") == 1
    assert "▲" not in str(interval_plot(ramp_of([(0.2, 0.1, 0.3)]), MEASURE))


def test_looks_without_any_number_give_no_plot_and_no_fault() -> None:
    for look in (broken_look(), harmful_look(segments={})):
        found = summary_of(look.to_json(), EXPERIMENT, RAMP)
        assert all(interval_bar(line) is None or line["estimate"] is not None for line in found["measures"])
        assert [forest_plot(table) for table in found["segments"]] == []


def stage(label: str, start: float, end: float | None, units: tuple[int, int] | None) -> dict[str, Any]:
    arms = {"champion": {"matured": units[0]}, "challenger": {"matured": units[1]}} if units else None
    return {
        "stage": label,
        "start": (START + timedelta(days=start)).isoformat(),
        "end": (START + timedelta(days=end)).isoformat() if end is not None else None,
        "units": arms,
        "ended_by": None if end is None else "toggle_stepped",
    }
