"""The drift that set a retrain off: the metric over the windows that were looked at, with its limit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from markupsafe import Markup

from retrain_assets.reports import words
from retrain_assets.reports.svg import Canvas, Scale, round_ticks

WIDTH, HEIGHT = 640.0, 200.0
LEFT, RIGHT, UPPER, LOWER = 52.0, 550.0, 22.0, 150.0


def trigger_plot(trigger: Mapping[str, Any]) -> Markup | None:
    """The plot of a drift trigger; None for another trigger, or one whose windows are not recorded.

    Args:
        trigger: as recorded at launch: ``metric``, ``threshold``, ``history`` of ``{"end", "value"}``, oldest first.
    """
    metric, limit, history = trigger.get("metric"), trigger.get("threshold"), trigger.get("history")
    if not isinstance(limit, int | float) or not isinstance(history, list) or len(history) < 2:
        return None
    points = [(datetime.fromisoformat(one["end"]), float(one["value"])) for one in history if one.get("value") is not None]
    if len(points) < 2:
        return None
    name = words.words(str(metric))
    above = sum(value > limit for _, value in points)
    canvas = Canvas(
        WIDTH,
        HEIGHT,
        f"{name.capitalize()} in the {len(points)} windows that were looked at, the last one until {points[-1][0]:%Y-%m-%d}: "
        f"above its limit of {words.number(limit)} in {above}. Latest value {words.number(points[-1][1])}.",
    )
    values = [value for _, value in points]
    low, high = min(0.0, *values), max(limit, *values)
    y = Scale(low, high + (high - low or 1.0) * 0.14, LOWER, UPPER)
    start, end = points[0][0], points[-1][0]
    x = Scale(start.timestamp(), end.timestamp(), LEFT + 16, RIGHT - 16)
    for tick in round_ticks(y.low, y.high, 4):
        canvas.line(LEFT, y(tick), RIGHT, y(tick), "zero" if tick == 0 else "grid")
        canvas.text(LEFT - 6, y(tick) + 3.5, words.number(tick), "tick", anchor="end")
    canvas.line(LEFT, y(limit), RIGHT, y(limit), "limit")
    canvas.text(RIGHT + 6, y(limit) + 3.5, f"limit {words.number(limit)}", "limit-label")
    canvas.line(LEFT, LOWER, RIGHT, LOWER, "axis")
    canvas.polyline([(x(moment.timestamp()), y(value)) for moment, value in points], "bound")
    for moment, value in points:
        canvas.dot(x(moment.timestamp()), y(value), 3.8, "mark above" if value > limit else "mark")
        canvas.text(x(moment.timestamp()), LOWER + 16, f"{moment.day} {moment:%b}", "tick", anchor="middle")
    canvas.text((LEFT + RIGHT) / 2, HEIGHT - 12, "end of the window (UTC)", "tick", anchor="middle")
    return canvas.markup()
