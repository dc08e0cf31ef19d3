"""A drift metric over windows with its limit: the axes, the line and the marks that every such plot shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from retrain_assets.reports import words
from retrain_assets.reports.svg import Canvas, Scale, round_ticks, time_ticks

WIDTH, HEIGHT, LEFT, RIGHT, UPPER, LOWER = 640.0, 190.0, 52.0, 560.0, 24.0, 152.0


@dataclass(frozen=True, slots=True)
class Window:
    """One window.

    Args:
        end: when it ended.
        value: of the metric; None where it had none.
        judged: whether the value counts; hollow where it does not.
    """

    end: datetime
    value: float | None
    judged: bool = True


def metric_trend(windows: Sequence[Window], limit: float, title: str, looked_at: tuple[int, str] | None = None) -> Markup | None:
    """A metric over windows; None where it never had a value. Filled: judged; red: above the limit; no line bridges a gap.

    Args:
        windows: oldest first.
        limit: of the metric.
        title: the plot in words.
        looked_at: how many of the last windows are shaded, and what is said of them.
    """
    values = [window.value for window in windows if window.value is not None]
    if not values:
        return None
    start, end = windows[0].end, windows[-1].end
    span = max((end - start).total_seconds(), 1.0)
    low, high = min(0.0, *values), max(limit, *values)
    y = Scale(low, high + (high - low or 1.0) * 0.14, LOWER, UPPER)
    canvas = Canvas(WIDTH, HEIGHT, title)

    def x(moment: datetime) -> float:
        across = (moment - start).total_seconds() / span * (RIGHT - LEFT - 28)
        return LEFT + 14 + across if start < end else (LEFT + RIGHT) / 2

    if looked_at is not None and len(windows) > 1:
        begin = max(x(windows[-looked_at[0] :][0].end) - 12, LEFT)
        canvas.rect(begin, UPPER, RIGHT - begin, LOWER - UPPER, "band band-0")
        canvas.text(RIGHT, UPPER - 7, looked_at[1], "side", anchor="end")
    for tick in round_ticks(y.low, y.high, 4):
        canvas.line(LEFT, y(tick), RIGHT, y(tick), "zero" if tick == 0 else "grid")
        canvas.text(LEFT - 6, y(tick) + 3.5, words.number(tick), "tick", anchor="end")
    canvas.line(LEFT, y(limit), RIGHT, y(limit), "limit")
    canvas.text(RIGHT + 6, y(limit) + 3.5, f"limit {words.number(limit)}", "limit-label")
    for moment, label in _dates(windows):
        canvas.line(x(moment), LOWER, x(moment), LOWER + 4, "axis")
        canvas.text(x(moment), LOWER + 16, label, "tick", anchor="middle")
    canvas.line(LEFT, LOWER, RIGHT, LOWER, "axis")
    for run in _runs(windows):
        canvas.polyline([(x(end), y(value)) for end, value in run], "bound")
    for window in windows:
        if window.value is not None:
            style = "mark hollow" if not window.judged else "mark above" if window.value > limit else "mark"
            canvas.dot(x(window.end), y(window.value), 3.8, style)
    canvas.text((LEFT + RIGHT) / 2, HEIGHT - 5, "end of the window (UTC)", "tick", anchor="middle")
    return canvas.markup()


def _runs(windows: Sequence[Window]) -> list[list[tuple[datetime, float]]]:
    """Neighbouring windows with a value, so that no line bridges a gap."""
    runs: list[list[tuple[datetime, float]]] = [[]]
    for window in windows:
        if window.value is None:
            runs.append([])
        else:
            runs[-1].append((window.end, window.value))
    return [run for run in runs if len(run) > 1]


def _dates(windows: Sequence[Window]) -> list[tuple[datetime, str]]:
    """Dates below the axis: of every window where there are few, otherwise round ones."""
    if len(windows) <= 6:
        return [(window.end, f"{window.end.day} {window.end:%b}") for window in windows]
    return time_ticks(windows[0].end, windows[-1].end, 8)
