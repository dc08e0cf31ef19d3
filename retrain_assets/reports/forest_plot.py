"""Segments of one measure below each other: the interval of each by itself, and its estimate shrunk towards the total."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from retrain_assets.reports import words
from retrain_assets.reports.svg import GLYPH, Canvas, Scale, round_ticks

WIDTH = 420.0
RIGHT, TOP, ROW = 408.0, 20.0, 20.0
MOST = 24
"""Segments drawn; the table has them all."""

LONGEST = 24
"""Letters of a segment's name that are drawn."""


def forest_plot(table: Mapping[str, Any]) -> Markup | None:
    """The plot of one measure's segments; None when no segment has an interval.

    Args:
        table: one of ``segments`` as :func:`retrain_assets.reports.canary.summary_of` gives them.
    """
    rows = [row for row in table["rows"] if None not in (row["estimate"], row["lower"], row["upper"])][:MOST]
    if not rows:
        return None
    names = [_short(f"{row['segment']}{' ★' if row['high_value'] else ''}") for row in rows]
    left = min(40 + max(len(name) for name in [*names, "all units"]) * GLYPH, 190.0)
    bottom = TOP + ROW * (len(rows) + 1) + 4
    x = _scale(table, rows, left)
    canvas = Canvas(WIDTH, bottom + 32, _alternative(table, rows))
    _axis(canvas, x, table, bottom)
    total = [table[key] for key in ("estimate", "lower", "upper")]
    if None not in total:
        canvas.rect(x.kept(total[1]), TOP, x.kept(total[2]) - x.kept(total[1]), bottom - TOP, "interval")
        canvas.text(left - 8, TOP + 14, "all units", "tick strong", anchor="end")
        _whisker(canvas, x, TOP + 10, total, "whisker")
        canvas.dot(x.kept(total[0]), TOP + 10, 4, "mark")
    for k, (name, row) in enumerate(zip(names, rows, strict=True), start=1):
        y = TOP + ROW * k + 10
        canvas.text(left - 8, y + 4, name, "tick strong" if row["high_value"] else "tick", anchor="end")
        _whisker(canvas, x, y, [row[key] for key in ("estimate", "lower", "upper")], "whisker faint")
        canvas.dot(x.kept(row["estimate"]), y, 3, "mark hollow")
        if row["shrunk"] is not None:
            canvas.dot(x.kept(row["shrunk"]), y, 3.4, "mark above" if row["tone"] == "bad" else "mark")
    return canvas.markup()


def _scale(table: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], left: float) -> Scale:
    """Zero, every estimate and the intervals of the narrower half; wider ones run to the edge."""
    widths = sorted(row["upper"] - row["lower"] for row in rows)
    typical = widths[len(widths) // 2]
    values = [0.0, *(row["estimate"] for row in rows), *(row["shrunk"] for row in rows if row["shrunk"] is not None)]
    values += [value for row in rows if row["upper"] - row["lower"] <= typical for value in (row["lower"], row["upper"])]
    values += [value for value in (table["estimate"], table["limit"], _margin(table)) if value is not None]
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or 1.0
    return Scale(low - room, high + room, left, RIGHT)


def _margin(table: Mapping[str, Any]) -> float | None:
    """The change a segment must keep clear of; None where segments decide nothing."""
    if table["segment_margin"] is None:
        return None
    return float(table["segment_margin"]) * (-1 if table["direction"] == "increase" else 1)


def _axis(canvas: Canvas, x: Scale, table: Mapping[str, Any], bottom: float) -> None:
    form = words.percent if table["relative"] else words.signed
    for tick in round_ticks(x.low, x.high, 4):
        label = "0" if tick == 0 else form(tick).replace(".0 %", " %")
        canvas.line(x(tick), TOP, x(tick), bottom, "zero" if tick == 0 else "grid")
        canvas.text(x(tick), bottom + 14, label, "tick", anchor="middle")
    canvas.line(x.start, bottom, RIGHT, bottom, "axis")
    rising = "better" if table["direction"] == "increase" else "worse"
    canvas.text(RIGHT, bottom + 28, f"{rising} →", "side", anchor="end")
    margin = _margin(table)
    if margin is not None:
        canvas.line(x.kept(margin), TOP, x.kept(margin), bottom, "limit")
        canvas.text(
            x.kept(margin), TOP - 6, f"segment margin {form(margin)}", "limit-label", anchor="end" if margin > 0 else "start"
        )


def _whisker(canvas: Canvas, x: Scale, y: float, values: Sequence[float], style: str) -> None:
    canvas.line(x.kept(values[1]), y, x.kept(values[2]), y, style)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _alternative(table: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    form = words.percent if table["relative"] else words.signed
    said = [f"{row['segment']} {form(row['estimate'])}, shrunk {form(row['shrunk'])}" for row in rows[:6]]
    more = f" and {len(table['rows']) - len(said)} more" if len(table["rows"]) > len(said) else ""
    return (
        f"Change of {words.words(table['name'])} by segment, challenger minus champion, against {form(table['estimate'])} over "
        f"all units: {'; '.join(said)}{more}. The numbers are in the table of segments."
    )
