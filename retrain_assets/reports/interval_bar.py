"""One measure's interval as a small bar: right is better whatever the direction, the shaded side is what must be shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from retrain_assets.reports import words
from retrain_assets.reports.svg import Canvas, Scale

WIDTH, HEIGHT = 240.0, 26.0
LEFT, RIGHT = 4.0, 236.0


def interval_bar(line: Mapping[str, Any]) -> Markup | None:
    """The bar of one measure; None without an interval or a limit.

    Args:
        line: as :func:`retrain_assets.reports.measure_line.line_of` gives it.
    """
    if None in (line["estimate"], line["lower"], line["upper"], line["limit"]):
        return None
    sign = 1.0 if line["direction"] == "increase" else -1.0
    estimate, limit = sign * line["estimate"], sign * line["limit"]
    low, high = sorted((sign * line["lower"], sign * line["upper"]))
    x = _scale(estimate, low, high, limit)
    canvas = Canvas(WIDTH, HEIGHT, _alternative(line))
    middle = HEIGHT / 2
    canvas.rect(x.kept(limit), 2, RIGHT - x.kept(limit), HEIGHT - 4, "must")
    canvas.line(LEFT, middle, RIGHT, middle, "grid")
    canvas.line(x(0), 3, x(0), HEIGHT - 3, "zero")
    if limit:
        canvas.line(x(limit), 2, x(limit), HEIGHT - 2, "limit")
    canvas.line(x.kept(low), middle, x.kept(high), middle, "whisker thick")
    if line["planned"] is not None:
        canvas.line(x.kept(sign * line["planned"]), middle - 6, x.kept(sign * line["planned"]), middle + 6, "whisker")
    for end in (low, high):
        if x.low <= end <= x.high:
            canvas.line(x(end), middle - 3.5, x(end), middle + 3.5, "whisker")
    canvas.dot(x.kept(estimate), middle, 4, "mark")
    return canvas.markup()


def _scale(estimate: float, low: float, high: float, limit: float) -> Scale:
    """Zero, limit and estimate always; the interval as far as it does not press them together."""
    core = max(abs(limit), abs(estimate - limit), abs(estimate)) or high - low or 1.0
    ends = (max(low, min(0.0, estimate, limit) - 1.2 * core), min(high, max(0.0, estimate, limit) + 1.2 * core))
    left, right = min(0.0, limit, *ends), max(0.0, limit, *ends)
    room = (right - left) * 0.06
    return Scale(left - room, right + room, LEFT, RIGHT)


def _alternative(line: Mapping[str, Any]) -> str:
    return (
        f"Interval of {words.words(line['name'])}, better to the right: {line['change']}, must {line['must']}; "
        f"{line['words']}, {line['distance']}."
    )
