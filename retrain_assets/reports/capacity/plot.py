"""Rows and time of earlier retrains over their cut-offs, and the next one's with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from markupsafe import Markup

from retrain_assets.reports import words
from retrain_assets.reports.capacity.forecast import Forecast
from retrain_assets.reports.capacity.trend import Estimate
from retrain_assets.reports.standalone import markdown_image
from retrain_assets.reports.svg import Canvas, Scale, round_ticks, time_ticks

WIDTH, HEIGHT, LEFT, RIGHT, UPPER, LOWER = 640.0, 190.0, 62.0, 600.0, 16.0, 148.0

Point = tuple[datetime, float]


def capacity_pictures(found: Forecast) -> str:
    """Both plots as Markdown, rows and the time of each stage; empty where nothing was measured twice."""
    return "\n\n".join(markdown_image(title, plot) for title, plot in _plots(found))


def course_plot(points: Sequence[Point], at: datetime, next_one: Estimate | None, title: str) -> Markup:
    """Measurements as dots, the forecast as a hollow dot with its interval.

    Args:
        points: moment and value, oldest first; at least one.
        at: moment the forecast is for.
        next_one: the forecast; None where there is none.
        title: the plot in words.
    """
    canvas = Canvas(WIDTH, HEIGHT, title)
    start, end = points[0][0], max(at, points[-1][0])
    span = max((end - start).total_seconds(), 1.0)
    top = max([value for _, value in points] + ([next_one.high] if next_one else []))
    y = Scale(0.0, top * 1.1 or 1.0, LOWER, UPPER)

    def x(moment: datetime) -> float:
        return LEFT + 12 + (moment - start).total_seconds() / span * (RIGHT - LEFT - 24)

    for tick in round_ticks(y.low, y.high, 4):
        canvas.line(LEFT, y(tick), RIGHT, y(tick), "zero" if tick == 0 else "grid")
        canvas.text(LEFT - 6, y(tick) + 3.5, words.number(tick), "tick", anchor="end")
    for moment, label in time_ticks(start, end, 8):
        canvas.line(x(moment), LOWER, x(moment), LOWER + 4, "axis")
        canvas.text(x(moment), LOWER + 16, label, "tick", anchor="middle")
    canvas.line(LEFT, LOWER, RIGHT, LOWER, "axis")
    canvas.polyline([(x(moment), y(value)) for moment, value in points], "bound")
    for moment, value in points:
        canvas.dot(x(moment), y(value), 3.8, "mark")
    if next_one is not None:
        canvas.line(x(at), y(next_one.low), x(at), y(next_one.high), "whisker thick")
        canvas.dot(x(at), y(next_one.expected), 3.8, "mark hollow")
    canvas.text((LEFT + RIGHT) / 2, HEIGHT - 6, "cut-off of the retrain (UTC); hollow: the next one", "tick", anchor="middle")
    return canvas.markup()


def _plots(found: Forecast) -> Iterator[tuple[str, Markup]]:
    if len(found.rows_of) > 1:
        rows = [(cutoff, float(count)) for cutoff, count in found.rows_of]
        yield "rows of the training window", course_plot(rows, found.cutoff, found.rows, "Rows of the training window by cut-off")
    for stage in found.stages:
        if len(stage.runs) > 1:
            times = [(run.cutoff, run.seconds / 60) for run in stage.runs]
            title = f"minutes of {stage.stage}"
            minutes = stage.seconds.times(1 / 60) if stage.seconds else None
            yield title, course_plot(times, found.cutoff, minutes, f"{title.capitalize()} by cut-off")
