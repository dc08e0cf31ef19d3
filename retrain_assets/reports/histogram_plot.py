"""One column of a live window against its reference: shares of rows per recorded bin, level, and without a value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from retrain_assets.drift import ColumnSketch
from retrain_assets.reports import words
from retrain_assets.reports.svg import GLYPH, Canvas, Scale, fits, round_ticks

LEVELS_SHOWN = 14
"""Levels that are drawn, those that changed most; the rest is one bar."""

NAME_LETTERS = 20
MISSING, OTHERS = "(no value)", "(others)"


@dataclass(frozen=True, slots=True)
class Cell:
    """One bar: its label, both shares of rows, 0..1; of a numeric bin where it begins and ends, and whether it is one value."""

    label: str
    before: float
    after: float
    low: float | None = None
    high: float | None = None
    single: bool = False


def histogram_plot(name: str, reference: ColumnSketch, window: ColumnSketch) -> Markup | None:
    """Bars of the reference behind, the window in front; None where either has no row.

    Numeric columns: one slot a recorded bin, in order; edges are written below. They are bins of equal mass, so without change
    the window runs along the tops of the bars, and a tail that grew is as wide as any other bin. Categories: one bar a level,
    those that changed most first, others together. Rows without a value have a slot of their own.

    Args:
        name: the column's.
        reference: its sketch in the reference.
        window: its sketch in the window, over the same edges.
    """
    if reference.n == 0 or window.n == 0:
        return None
    if reference.kind == "numeric":
        return _numeric(name, _bins(reference, window), _missing(reference, window))
    return _categorical(name, _levels(reference, window), reference.n, window.n)


def _numeric(name: str, bins: Sequence[Cell], missing: Cell | None) -> Markup:
    width, height, left, right, upper, lower = 640.0, 218.0, 52.0, 628.0, 26.0, 170.0
    room = 74.0 if missing else 0.0
    slot = (right - left - room) / max(len(bins), 1)
    cells = [*bins, missing] if missing else list(bins)
    y = _shares(cells, lower, upper)
    canvas = Canvas(width, height, _alternative(name, cells))
    _grid(canvas, y, left, right)
    steps: list[tuple[float, float]] = []
    for k, cell in enumerate(bins):
        begin = left + slot * k
        canvas.rect(begin + 0.5, y(cell.before), slot - 1, lower - y(cell.before), "interval")
        canvas.line(begin + 0.5, y(cell.before), begin + slot - 0.5, y(cell.before), "bound")
        steps += [(begin, y(cell.after)), (begin + slot, y(cell.after))]
    if steps:
        canvas.polyline(steps, "estimate")
    canvas.line(left, lower, right, lower, "axis")
    _edge_labels(canvas, bins, left, slot, lower)
    if missing is not None:
        begin, wide = right - 44.0, 26.0
        canvas.rect(begin, y(missing.before), wide, lower - y(missing.before), "interval")
        canvas.line(begin, y(missing.before), begin + wide, y(missing.before), "bound")
        canvas.line(begin, y(missing.after), begin + wide, y(missing.after), "estimate")
        canvas.text(begin + wide / 2, lower + 15, "no value", "tick", anchor="middle")
    canvas.text((left + right - room) / 2, height - 6, f"{name}, one slot a bin of the training data", "tick", anchor="middle")
    _legend(canvas, left, upper - 12)
    return canvas.markup()


def _categorical(name: str, levels: Sequence[Cell], before: int, after: int) -> Markup:
    line, upper, left, right, width = 20.0, 30.0, 156.0, 610.0, 640.0
    lower = upper + line * len(levels) + 2
    most = max([cell.before for cell in levels] + [cell.after for cell in levels])
    x = Scale(0.0, most or 1.0, left, right)
    canvas = Canvas(width, lower + 38, _alternative(name, levels))
    for tick in round_ticks(0.0, most or 1.0, 5):
        canvas.line(x(tick), upper - 4, x(tick), lower, "grid")
        canvas.text(x(tick), lower + 15, f"{tick * 100:g} %", "tick", anchor="middle")
    for k, cell in enumerate(levels):
        top = upper + line * k
        canvas.text(left - 8, top + 12.5, _cut(cell.label), "tick", anchor="end")
        canvas.rect(left, top + 2, x(cell.before) - left, line - 5, "interval")
        canvas.line(x(cell.before), top + 2, x(cell.before), top + line - 3, "bound")
        canvas.rect(left, top + 7, x(cell.after) - left, line - 15, "mark")
    canvas.line(left, upper - 4, left, lower, "axis")
    canvas.text((left + right) / 2, lower + 32, f"{name}, share of rows", "tick", anchor="middle")
    _legend(canvas, left, upper - 16)
    return canvas.markup()


def _legend(canvas: Canvas, left: float, at: float) -> None:
    canvas.rect(left + 2, at - 8, 20, 9, "interval")
    canvas.line(left + 2, at - 8, left + 22, at - 8, "bound")
    canvas.text(left + 28, at, "training", "tick")
    canvas.line(left + 88, at - 3.5, left + 108, at - 3.5, "estimate")
    canvas.text(left + 114, at, "this window", "tick")


def _shares(cells: Sequence[Cell], lower: float, upper: float) -> Scale:
    most = max([cell.before for cell in cells] + [cell.after for cell in cells])
    return Scale(0.0, (most or 1.0) * 1.04, lower, upper)


def _grid(canvas: Canvas, y: Scale, left: float, right: float) -> None:
    for tick in round_ticks(0.0, y.high, 4):
        canvas.line(left, y(tick), right, y(tick), "grid")
        canvas.text(left - 6, y(tick) + 3.5, f"{tick * 100:g} %", "tick", anchor="end")


def _edge_labels(canvas: Canvas, bins: Sequence[Cell], left: float, slot: float, lower: float) -> None:
    """Values below their slots, edges between slots; left out where they would touch the one before."""
    places = []
    for k, cell in enumerate(bins):
        begin = left + slot * k
        if cell.single and cell.low is not None:
            places.append((begin + slot / 2, _short(cell.low)))
        elif cell.low is not None and cell.high is not None:
            places.append((begin, _short(cell.low)))
            if k == len(bins) - 1 or bins[k + 1].low != cell.high:
                places.append((begin + slot, _short(cell.high)))
    taken: list[tuple[float, float]] = []
    for at, label in [*places[-1:], *places[:-1]]:
        half = len(label) * GLYPH / 2 + 3
        if any(at - half < end and at + half > begin for begin, end in taken):
            continue
        canvas.line(at, lower, at, lower + 4, "axis")
        canvas.text(at, lower + 16, label, "tick", anchor="middle")
        taken.append((at - half, at + half))


def _bins(reference: ColumnSketch, window: ColumnSketch) -> list[Cell]:
    """The numeric bins that have a row on either side."""
    edges = reference.edges
    a_value_each = len(edges) > 2 and edges[1] <= math.nextafter(edges[0], math.inf)
    cells = [
        Cell("", before / reference.n, after / window.n, low, high, a_value_each or high <= math.nextafter(low, math.inf))
        for low, high, before, after in zip(edges, edges[1:], reference.counts, window.counts, strict=False)
    ]
    return [cell for cell in cells if cell.before or cell.after]


def _missing(reference: ColumnSketch, window: ColumnSketch) -> Cell | None:
    if not (reference.missing or window.missing):
        return None
    return Cell(MISSING, reference.missing / reference.n, window.missing / window.n)


def _levels(reference: ColumnSketch, window: ColumnSketch) -> list[Cell]:
    """The levels that changed most, in the order of their change; what is left, and rows without a value, at the end."""
    names = tuple(dict.fromkeys([*reference.levels, *window.levels]))
    pairs = zip(names, reference.counts_of(names), window.counts_of(names), strict=True)
    cells = [Cell(name, before / reference.n, after / window.n) for name, before, after in pairs if before or after]
    cells.sort(key=lambda cell: -abs(cell.after - cell.before))
    shown, rest = cells[:LEVELS_SHOWN], cells[LEVELS_SHOWN:]
    others = Cell(
        OTHERS,
        sum(cell.before for cell in rest) + reference.other / reference.n,
        sum(cell.after for cell in rest) + window.other / window.n,
    )
    ends = [others] if others.before or others.after else []
    return [*shown, *ends, *([missing] if (missing := _missing(reference, window)) else [])]


def _alternative(name: str, cells: Sequence[Cell]) -> str:
    most = max(cells, key=lambda cell: abs(cell.after - cell.before))
    where = most.label or f"{_short(most.low or 0.0)} to {_short(most.high or 0.0)}"
    return (
        f"Shares of rows of {name} in {len(cells)} bins or levels, training data against this window. "
        f"{where} changed most: {most.before:.1%} before, {most.after:.1%} in the window."
    )


def _short(value: float) -> str:
    if abs(value) >= 10000 and float(value).is_integer():
        return words.number(value)
    return words.number(float(f"{value:.3g}") if abs(value) < 1000 else round(value))


def _cut(label: str) -> str:
    return label if len(label) <= NAME_LETTERS and fits(label, 140) else f"{label[: NAME_LETTERS - 1]}…"
