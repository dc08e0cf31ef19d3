"""Offline gain against online effect, one point a retrain, with the intervals of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from retrain_assets.reports import words
from retrain_assets.reports.svg import GLYPH, Canvas, Scale, round_ticks

WIDTH, HEIGHT = 420.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 404.0, 30.0, 236.0

STYLES = {"kept": "mark", "harmed": "mark above", "other": "mark hollow"}
SAID = {"kept": "kept", "harmed": "rolled back for harm", "other": "neither"}


def gain_plot(prediction: Mapping[str, Any], gain: str, measure: str) -> Markup | None:
    """The plot of one pair; None without a retrain that has both.

    Args:
        prediction: as :func:`retrain_assets.reports.release_review.prediction.prediction_of` gives it.
        gain: an offline metric among its ``gains``.
        measure: a success measure among its ``measures``.
    """
    rows = [row for row in prediction["rows"] if gain in row["offline"] and measure in row["online"]]
    if not rows:
        return None
    offline, online = [row["offline"][gain] for row in rows], [row["online"][measure] for row in rows]
    relative = all(one.get("relative") for one in online)
    x, y = _scale(offline, LEFT, RIGHT), _scale(online, BOTTOM, TOP)
    canvas = Canvas(WIDTH, HEIGHT, _alternative(prediction, rows, gain, measure, relative=relative))
    _axes(canvas, x, y, gain, measure, relative=relative)
    for row, before, after in zip(rows, offline, online, strict=True):
        across, up = x.kept(before["estimate"]), y.kept(after["estimate"])
        if None not in (before["lower"], before["upper"]):
            canvas.line(x.kept(before["lower"]), up, x.kept(before["upper"]), up, "whisker faint")
        if None not in (after["lower"], after["upper"]):
            canvas.line(across, y.kept(after["lower"]), across, y.kept(after["upper"]), "whisker faint")
        _mark(canvas, across, up, row["fate"])
    _labels(canvas, rows, x, y, gain, measure)
    _legend(canvas, rows)
    return canvas.markup()


def _mark(canvas: Canvas, x: float, y: float, fate: str) -> None:
    """The point; what was rolled back for harm has a ring, which is seen without colour as well."""
    if fate == "harmed":
        canvas.dot(x, y, 6.5, "mark hollow")
    canvas.dot(x, y, 4, STYLES[fate])


def _scale(values: Sequence[Mapping[str, Any]], start: float, end: float) -> Scale:
    """Zero and every estimate; intervals as far as they do not press the estimates together."""
    estimates = [0.0, *(one["estimate"] for one in values)]
    extent = max(estimates) - min(estimates) or abs(estimates[-1]) or 1.0
    ends = [end for one in values for end in (one["lower"], one["upper"]) if end is not None]
    low = max(min([*estimates, *ends]), min(estimates) - 0.6 * extent)
    high = min(max([*estimates, *ends]), max(estimates) + 0.6 * extent)
    room = (high - low) * 0.08 or 1.0
    return Scale(low - room, high + room, start, end)


def _axes(canvas: Canvas, x: Scale, y: Scale, gain: str, measure: str, *, relative: bool) -> None:
    for tick in round_ticks(x.low, x.high, 4):
        canvas.line(x(tick), TOP, x(tick), BOTTOM, "zero" if tick == 0 else "grid")
        canvas.text(x(tick), BOTTOM + 15, "0" if tick == 0 else words.signed(tick), "tick", anchor="middle")
    form = words.percent if relative else words.signed
    for tick in round_ticks(y.low, y.high, 5):
        canvas.line(LEFT, y(tick), RIGHT, y(tick), "zero" if tick == 0 else "grid")
        canvas.text(LEFT - 6, y(tick) + 3.5, "0" if tick == 0 else form(tick).replace(".0 %", " %"), "tick", anchor="end")
    canvas.line(LEFT, TOP, LEFT, BOTTOM, "axis")
    canvas.line(LEFT, BOTTOM, RIGHT, BOTTOM, "axis")
    canvas.text(RIGHT, BOTTOM + 30, f"offline gain in {words.words(gain)}, better →", "side", anchor="end")
    canvas.text(LEFT, TOP - 14, f"online gain in {words.words(measure)}, better ↑", "side")


def _labels(canvas: Canvas, rows: Sequence[Mapping[str, Any]], x: Scale, y: Scale, gain: str, measure: str) -> None:
    """The retrain beside its point, on the side that has room; one that would lie on another is left to the table."""
    taken: list[tuple[float, float]] = []
    for row in rows:
        across, up = x.kept(row["offline"][gain]["estimate"]), y.kept(row["online"][measure]["estimate"])
        width = len(row["retrain"]) * GLYPH
        left = across + 8 if across + 8 + width <= RIGHT else across - 8 - width
        if all(abs(up - other) >= 12 or left >= end or left + width <= end - width for end, other in taken):
            canvas.text(left, up - 6, row["retrain"], "tick")
            taken.append((left + width, up))


def _legend(canvas: Canvas, rows: Sequence[Mapping[str, Any]]) -> None:
    at = LEFT
    for fate in STYLES:
        if any(row["fate"] == fate for row in rows):
            _mark(canvas, at + 4, HEIGHT - 10, fate)
            canvas.text(at + 16, HEIGHT - 6, SAID[fate], "tick")
            at += 34 + len(SAID[fate]) * GLYPH


def _alternative(
    prediction: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], gain: str, measure: str, *, relative: bool
) -> str:
    form = words.percent if relative else words.signed
    said = [
        f"{row['retrain']} ({SAID[row['fate']]}) {words.signed(row['offline'][gain]['estimate'])} offline, "
        f"{form(row['online'][measure]['estimate'])} online"
        for row in rows[:6]
    ]
    more = f" and {len(rows) - 6} more" if len(rows) > 6 else ""
    compared = next((one["sentence"] for one in prediction["compared"] if (one["gain"], one["measure"]) == (gain, measure)), "")
    return f"Offline gain against online effect, better is right and up: {'; '.join(said)}{more}. {compared}."
