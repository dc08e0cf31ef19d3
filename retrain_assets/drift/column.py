"""The sketch of one column: counts per bin or level, missing values, range, moments. Sketches of parts add up to the whole's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from retrain_assets.contract import StageError
from retrain_assets.drift.moments import Moments

Kind = Literal["numeric", "categorical"]
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_NUMBERS = ("mean", "std", "skewness", "minimum", "maximum")


@dataclass(frozen=True, slots=True)
class ColumnSketch:
    """What is kept of one column.

    Args:
        kind: ``numeric`` or ``categorical`` (text and booleans).
        edges: numeric: m + 1 ascending edges of m bins ``[e_i, e_i+1)``, the last one closed; values outside count in the
            outer bins.
        levels: categorical: the counted levels in code point order.
        counts: rows per bin or level.
        other: categorical: rows with a level that is not in ``levels``.
        missing: rows without a value (null, NaN, infinite).
        n: all rows.
        mean: mean of the numeric values; None without any.
        std: their standard deviation (divisor n); None without any.
        skewness: their skewness; None without any, and in sketches that were stored before it was kept.
        minimum: the smallest value; None likewise.
        maximum: the largest value; None likewise.
        whole: whether every value is known to be a whole number.
        fitted_on: rows that edges or levels were fitted on (all of the reference, or a systematic sample of it); None where it
            was not recorded.
    """

    kind: Kind
    edges: tuple[float, ...]
    levels: tuple[str, ...]
    counts: tuple[int, ...]
    other: int
    missing: int
    n: int
    mean: float | None
    std: float | None
    skewness: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    whole: bool = False
    fitted_on: int | None = None

    def __add__(self, more: ColumnSketch) -> ColumnSketch:
        """The sketch of both parts together: counts and range exactly, in any order and grouping; moments up to rounding.

        Raises:
            StageError: where the parts were not counted over the same bins or levels.
        """
        if (self.kind, self.edges) != (more.kind, more.edges) or (self.levels != more.levels and (self.other or more.other)):
            raise StageError(
                "two sketches have different bins", where="drift", remedy="sketch both with the edges of one reference"
            )
        levels = tuple(sorted({*self.levels, *more.levels}))
        counts = (
            tuple(one + other for one, other in zip(self.counts, more.counts, strict=True))
            if self.levels == more.levels
            else tuple(one + other for one, other in zip(self.counts_of(levels), more.counts_of(levels), strict=True))
        )
        moments = self.moments + more.moments
        return ColumnSketch(
            kind=self.kind,
            edges=self.edges,
            levels=levels,
            counts=counts,
            other=self.other + more.other,
            missing=self.missing + more.missing,
            n=self.n + more.n,
            mean=moments.mean,
            std=moments.std,
            skewness=moments.skewness,
            minimum=_of_both(min, self, more, "minimum"),
            maximum=_of_both(max, self, more, "maximum"),
            whole=self.whole and more.whole,
            fitted_on=max((rows for rows in (self.fitted_on, more.fitted_on) if rows is not None), default=None),
        )

    @property
    def values(self) -> int:
        """Rows with a value."""
        return self.n - self.missing

    @property
    def moments(self) -> Moments:
        """Moments of the numeric values."""
        return Moments(self.values, self.mean, self.std, self.skewness)

    def counts_of(self, levels: tuple[str, ...]) -> list[int]:
        """Rows of each of some levels; 0 for a level that is not counted."""
        known = dict(zip(self.levels, self.counts, strict=True))
        return [known.get(level, 0) for level in levels]

    def to_json(self) -> dict[str, Any]:
        """JSON-able values, field names as keys."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {name: list(values[name]) for name in ("edges", "levels", "counts")}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ColumnSketch:
        """The inverse of :meth:`to_json`; also of documents written before range, skewness and ``fitted_on`` were kept."""
        lists = {"edges": tuple(map(float, value["edges"])), "levels": tuple(value["levels"]), "counts": tuple(value["counts"])}
        numbers = {name: float(value[name]) for name in _NUMBERS if value.get(name) is not None}  # JSON writes 2.0**60 as digits
        return cls(**{**value, **lists, **numbers})


def aligned_counts(reference: ColumnSketch, current: ColumnSketch) -> tuple[Counts, Counts]:
    """Counts of both sketches over the same cells: bins or levels, other levels, missing; cells empty in both left out.

    Raises:
        StageError: where the two were not counted over the same bins.
    """
    if (reference.kind, reference.edges) != (current.kind, current.edges):
        raise StageError(
            "two sketches have different bins", where="drift", remedy="sketch the live rows with the reference's edges"
        )
    if reference.levels == current.levels:
        pairs = list(zip(reference.counts, current.counts, strict=True))
    else:
        levels = tuple(sorted({*reference.levels, *current.levels}))
        pairs = list(zip(reference.counts_of(levels), current.counts_of(levels), strict=True))
    pairs += [(reference.other, current.other), (reference.missing, current.missing)]
    cells = np.array([pair for pair in pairs if any(pair)], dtype=np.int64).reshape(-1, 2)
    return cells[:, 0], cells[:, 1]


def cell_ranges(*sketches: ColumnSketch) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Lowest and highest value each bin can hold in any of the numeric sketches, which share edges, and where that is one value.

    Outer bins also hold what lies outside the edges: they reach to the recorded range, or to infinity where none was recorded.
    """
    edges = np.array(sketches[0].edges, dtype=np.float64)
    low, high = edges[:-1].copy(), edges[1:].copy()
    inside = np.nextafter(high, -np.inf)  # bins are open above, but for the last one
    inside[-1] = high[-1]
    for sketch in sketches:
        if sketch.values:
            low[0] = min(low[0], -np.inf if sketch.minimum is None else sketch.minimum)
            inside[-1] = max(inside[-1], np.inf if sketch.maximum is None else sketch.maximum)
    if all(sketch.whole for sketch in sketches):
        low, inside = np.ceil(low), np.floor(inside)
        inside = np.maximum(low, inside)
    high = np.where(low == inside, low, np.maximum(high, inside))
    return low, high, low == inside


def _of_both(choose: Any, one: ColumnSketch, other: ColumnSketch, name: str) -> float | None:
    known = [getattr(sketch, name) for sketch in (one, other) if sketch.values]
    return None if not known or None in known else float(choose(known))
