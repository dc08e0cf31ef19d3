"""A small canvas for inline SVG: escaped text, linear scales, readable ticks. What is drawn on it lies in the plot files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from markupsafe import Markup, escape

GLYPH = 5.9
"""Width of a letter at the plots' font size, for deciding whether a label fits."""

_TIME_STEPS = (
    *(timedelta(minutes=step) for step in (1, 5, 15, 30)),
    *(timedelta(hours=step) for step in (1, 3, 6, 12)),
    *(timedelta(days=step) for step in (1, 2, 4, 7, 14, 28, 56, 91, 182, 364)),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from data to a side of the plot, in SVG units."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Position of a value; beyond the ends for values outside."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def kept(self, value: float) -> float:
        """Position of a value, moved to the nearest end when it lies outside."""
        return self(min(max(value, self.low), self.high))


@dataclass
class Canvas:
    """One plot. Colours come from the page's classes, so that it follows light, dark and print.

    Args:
        width: of the view box, SVG units; text is set for 1 unit = 1 CSS pixel.
        height: of the view box.
        alternative: the plot in one or two sentences, for those who do not see it.
    """

    width: float
    height: float
    alternative: str
    _parts: list[Markup] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """A straight line."""
        self._add("line", style, x1=x1, y1=y1, x2=x2, y2=y2)

    def rect(self, x: float, y: float, width: float, height: float, style: str) -> None:
        """A rectangle."""
        self._add("rect", style, x=x, y=y, width=max(width, 0.0), height=max(height, 0.0))

    def dot(self, x: float, y: float, radius: float, style: str) -> None:
        """A circle."""
        self._add("circle", style, cx=x, cy=y, r=radius)

    def polyline(self, points: Sequence[tuple[float, float]], style: str) -> None:
        """Connected points."""
        self._add("polyline", style, points=_points(points))

    def polygon(self, points: Sequence[tuple[float, float]], style: str) -> None:
        """A closed area."""
        self._add("polygon", style, points=_points(points))

    def text(self, x: float, y: float, words: str, style: str = "", *, anchor: str = "start") -> None:
        """A line of text; ``anchor`` is start, middle or end."""
        self._parts.append(
            Markup('<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>').format(_n(x), _n(y), style, anchor, words)
        )

    def markup(self) -> Markup:
        """The finished element."""
        head = Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            _n(self.width), _n(self.height), self.alternative
        )
        return head + Markup("").join(self._parts) + Markup("</svg>")

    def _add(self, tag: str, style: str, **attributes: float | str) -> None:
        shown = {name: _n(value) if isinstance(value, float | int) else value for name, value in attributes.items()}
        pairs = Markup("").join(Markup(' {}="{}"').format(name, value) for name, value in shown.items())
        self._parts.append(Markup('<{}{} class="{}"/>').format(Markup(tag), pairs, escape(style)))


def round_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers inside a range, at most about ``most`` of them (steps of 1, 2 or 5 times a power of ten)."""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def time_ticks(start: datetime, end: datetime, most: int = 5) -> list[tuple[datetime, str]]:
    """Moments inside a period with their labels: dates, or hours where the period is short."""
    span = end - start
    step = next((step for step in _TIME_STEPS if span / step <= most), _TIME_STEPS[-1])
    origin = datetime(1970, 1, 1, tzinfo=UTC)
    count = -(-(start - origin) // step)
    ticks = []
    while (at := origin + count * step) <= end:
        ticks.append((at, f"{at.day} {at:%b}" if step >= timedelta(days=1) else f"{at:%H:%M}"))
        count += 1
    return ticks


def fits(words: str, width: float) -> bool:
    """Whether a label has room."""
    return len(words) * GLYPH <= width


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
