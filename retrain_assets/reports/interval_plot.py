"""The interval of one measure over the looks of a canary, with the ramp's stages as bands and the limit it is held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

from retrain_assets.reports import words
from retrain_assets.reports.svg import Canvas, Scale, fits, round_ticks, time_ticks

WIDTH, HEIGHT = 420.0, 236.0
LEFT, RIGHT, TOP, BOTTOM = 50.0, 408.0, 24.0, 200.0


def interval_plot(ramp: Mapping[str, Any], measure: Mapping[str, Any]) -> Markup | None:
    """The plot of one measure; None when no look has an interval of it.

    Args:
        ramp: as :func:`retrain_assets.reports.ramp.ramp_of` gives it.
        measure: one of its ``measures``.
    """
    points = _points(ramp["looks"], measure)
    if not points:
        return None
    start, end = _period(ramp, points)
    seconds = (end - start).total_seconds()
    x = Scale(0.0, seconds, LEFT, RIGHT)
    y = _vertical(points, measure["limit"])
    canvas = Canvas(WIDTH, HEIGHT, _alternative(points, measure))

    def at(moment: datetime) -> float:
        return x.kept((moment - start).total_seconds())

    _bands(canvas, ramp["stages"], at, end)
    _axes(canvas, y, measure)
    for moment, label in time_ticks(start, end, 5):
        canvas.line(at(moment), BOTTOM, at(moment), BOTTOM + 4, "axis")
        canvas.text(at(moment), BOTTOM + 16, label, "tick", anchor="middle")
    canvas.text((LEFT + RIGHT) / 2, HEIGHT - 3, "time of look (UTC)", "tick", anchor="middle")
    _limit(canvas, y, measure)
    _planned(canvas, ramp, y, at, points, measure)
    _interval(canvas, y, at, points)
    return canvas.markup()


def words_of(result: Mapping[str, Any], measure: Mapping[str, Any]) -> str:
    """Estimate and interval of one result in the measure's unit of comparison."""
    estimate, lower, upper = (result[key] for key in _keys(measure))
    return words.change(estimate, lower, upper, relative=measure["relative"])


Point = tuple[datetime, float, float, float, bool]


def _points(looks: Sequence[Mapping[str, Any]], measure: Mapping[str, Any]) -> list[Point]:
    points = []
    for look in looks:
        result = look["results"].get(measure["name"])
        values = [result[key] for key in _keys(measure)] if result else [None]
        if None not in values:
            points.append((datetime.fromisoformat(look["at"]), *values, look["valid"]))
    return points


def _keys(measure: Mapping[str, Any]) -> tuple[str, str, str]:
    prefix = "relative_" if measure["relative"] else ""
    return f"{prefix}estimate", f"{prefix}lower", f"{prefix}upper"


def _period(ramp: Mapping[str, Any], points: Sequence[Point]) -> tuple[datetime, datetime]:
    starts = [datetime.fromisoformat(one["start"]) for one in ramp["stages"] if one["stage"] != "100"]
    ends = [datetime.fromisoformat(one["end"]) for one in ramp["stages"] if one["end"] and one["stage"] != "100"]
    start, end = min([*starts, points[0][0]]), max([*ends[-1:], points[-1][0]])
    return start, max(end, start + timedelta(hours=1))


def _vertical(points: Sequence[Point], limit: float | None) -> Scale:
    """The scale shows zero, the limit, every estimate, and the intervals of the narrower half of the looks."""
    widths = sorted(upper - lower for _, _, lower, upper, _ in points)
    typical = widths[len(widths) // 2]
    kept = [(lower, upper) for _, _, lower, upper, _ in points if upper - lower <= typical]
    values = [0.0, *(value for pair in kept for value in pair), *(point[1] for point in points)]
    if limit is not None:
        values.append(limit)
    low, high = min(values), max(values)
    room = (high - low) * 0.14 or 1.0
    return Scale(low - room, high + room, BOTTOM, TOP)


def _bands(canvas: Canvas, stages: Sequence[Mapping[str, Any]], at: Any, end: datetime) -> None:
    for k, one in enumerate(stages):
        begins = datetime.fromisoformat(one["start"])
        if one["stage"] == "100" or begins > end:
            continue
        left = at(begins)
        right = at(min(datetime.fromisoformat(one["end"]), end) if one["end"] else end)
        canvas.rect(left, TOP, right - left, BOTTOM - TOP, f"band band-{k % 2}")
        label = words.stage(one["stage"])
        if fits(label, right - left):
            canvas.text((left + right) / 2, TOP - 7, label, "tick", anchor="middle")


def _axes(canvas: Canvas, y: Scale, measure: Mapping[str, Any]) -> None:
    form = words.percent if measure["relative"] else words.signed
    ticks = round_ticks(y.low, y.high, 5)
    coarse = measure["relative"] and all(abs(tick * 100 - round(tick * 100)) < 1e-9 for tick in ticks)
    for tick in ticks:
        label = f"{tick * 100:+.0f} %".replace("-", "−") if coarse else form(tick)
        label = "0" if tick == 0 else label
        canvas.line(LEFT, y(tick), RIGHT, y(tick), "zero" if tick == 0 else "grid")
        canvas.text(LEFT - 6, y(tick) + 3.5, label, "tick", anchor="end")
    canvas.line(LEFT, TOP, LEFT, BOTTOM, "axis")
    canvas.line(LEFT, BOTTOM, RIGHT, BOTTOM, "axis")
    good_is_up = measure["direction"] == "increase"
    canvas.text(RIGHT - 12, TOP + 12, "better ↑" if good_is_up else "worse ↑", "side", anchor="end")
    canvas.text(RIGHT - 12, BOTTOM - 6, "worse ↓" if good_is_up else "better ↓", "side", anchor="end")


def _limit(canvas: Canvas, y: Scale, measure: Mapping[str, Any]) -> None:
    limit = measure["limit"]
    if not limit:
        return
    form = words.percent if measure["relative"] else words.signed
    name = "must beat" if measure["role"] == "success" else "margin"
    canvas.line(LEFT, y(limit), RIGHT, y(limit), "limit")
    canvas.text(LEFT + 5, y(limit) + (-4 if limit > 0 else 12), f"{name} {form(limit)}", "limit-label")


def _planned(
    canvas: Canvas, ramp: Mapping[str, Any], y: Scale, at: Any, points: Sequence[Point], measure: Mapping[str, Any]
) -> None:
    """Planned looks: a mark on the time axis, and at the look the limit it was judged by."""
    inside = {point[0] for point in points}
    for look in ramp["looks"]:
        moment = datetime.fromisoformat(look["at"])
        if not look.get("planned_look") or moment not in inside:
            continue
        canvas.text(at(moment), BOTTOM - 3, "▲", "planned", anchor="middle")
        limit = look["results"].get(measure["name"], {}).get("planned_relative" if measure["relative"] else "planned_limit")
        if limit is not None:
            canvas.line(at(moment) - 6, y.kept(limit), at(moment) + 6, y.kept(limit), "planned-limit")


def _interval(canvas: Canvas, y: Scale, at: Any, points: Sequence[Point]) -> None:
    upper = [(at(point[0]), y.kept(point[3])) for point in points]
    lower = [(at(point[0]), y.kept(point[2])) for point in points]
    if len(points) > 1:
        canvas.polygon([*upper, *reversed(lower)], "interval")
        canvas.polyline(upper, "bound")
        canvas.polyline(lower, "bound")
        canvas.polyline([(at(point[0]), y.kept(point[1])) for point in points], "estimate")
    last = points[-1]
    canvas.line(at(last[0]), y.kept(last[2]), at(last[0]), y.kept(last[3]), "whisker")
    every = len(points) > 40
    for point in points:
        if not every or point is last or not point[4]:
            canvas.dot(at(point[0]), y.kept(point[1]), 3.2 if point is last else 2.2, "mark" if point[4] else "mark invalid")


def _alternative(points: Sequence[Point], measure: Mapping[str, Any]) -> str:
    last = points[-1]
    shown = words.change(last[1], last[2], last[3], relative=measure["relative"])
    looks = f"{len(points)} look{'' if len(points) == 1 else 's'}"
    limit = measure["limit"]
    form = words.percent if measure["relative"] else words.signed
    held = f", held to {form(limit)}" if limit else ", held to no harm" if limit is not None else ""
    better = "higher" if measure["direction"] == "increase" else "lower"
    return (
        f"Change of {words.words(measure['name'])}, challenger minus champion, over {looks} from {points[0][0]:%Y-%m-%d} to "
        f"{last[0]:%Y-%m-%d}; {better} is better{held}. At the last look {shown}. "
        "The numbers of every look are in the table of looks."
    )
