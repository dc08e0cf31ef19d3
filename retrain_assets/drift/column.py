"""The sketch of one column: counts per bin or level, missing values, mean and spread. Sketches of parts add up to the whole's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.contract import StageError

Kind = Literal["numeric", "categorical"]
Counts = npt.NDArray[np.int64]


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

    def __add__(self, more: ColumnSketch) -> ColumnSketch:
        """The sketch of both parts together.

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
            else tuple(self.count_of(level) + more.count_of(level) for level in levels)
        )
        mean, std = _pooled(self, more)
        return ColumnSketch(
            kind=self.kind,
            edges=self.edges,
            levels=levels,
            counts=counts,
            other=self.other + more.other,
            missing=self.missing + more.missing,
            n=self.n + more.n,
            mean=mean,
            std=std,
        )

    def count_of(self, level: str) -> int:
        """Rows of a counted level; 0 for any other."""
        return self.counts[self.levels.index(level)] if level in self.levels else 0

    def to_json(self) -> dict[str, Any]:
        """JSON-able values, field names as keys."""
        return {
            "kind": self.kind,
            "edges": list(self.edges),
            "levels": list(self.levels),
            "counts": list(self.counts),
            "other": self.other,
            "missing": self.missing,
            "n": self.n,
            "mean": self.mean,
            "std": self.std,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ColumnSketch:
        """The inverse of :meth:`to_json`."""
        lists = {"edges": tuple(map(float, value["edges"])), "levels": tuple(value["levels"]), "counts": tuple(value["counts"])}
        return cls(**{**value, **lists})


def numeric_sketch(values: pl.Series, edges: tuple[float, ...] | None, bins: int) -> ColumnSketch:
    """Sketch of numbers, over the given edges or over edges fitted to the values (see :func:`fitted_edges`)."""
    every = values.cast(pl.Float64).to_numpy()
    finite = every[np.isfinite(every)]
    ordered = np.sort(finite)  # looking up few edges in ordered values is quicker than many values among the edges
    edges = fitted_edges(ordered, bins) if edges is None else edges
    below = np.searchsorted(ordered, edges[1:-1])
    return ColumnSketch(
        kind="numeric",
        edges=edges,
        levels=(),
        counts=tuple(np.diff(below, prepend=0, append=len(ordered)).tolist()),
        other=0,
        missing=len(every) - len(finite),
        n=len(every),
        mean=float(finite.mean()) if len(finite) else None,
        std=float(finite.std()) if len(finite) else None,
    )


def categorical_sketch(values: pl.Series, levels: tuple[str, ...] | None, max_levels: int) -> ColumnSketch:
    """Sketch of text or booleans, over the given levels or over the most frequent ones."""
    texts = values.cast(pl.String)
    found: dict[str, int] = dict(texts.drop_nulls().value_counts().iter_rows())
    if levels is None:
        levels = tuple(sorted(sorted(found, key=lambda level: (-found[level], level))[:max_levels]))
    counts = tuple(found.get(level, 0) for level in levels)
    return ColumnSketch(
        kind="categorical",
        edges=(),
        levels=levels,
        counts=counts,
        other=len(texts) - texts.null_count() - sum(counts),
        missing=texts.null_count(),
        n=len(texts),
        mean=None,
        std=None,
    )


def fitted_edges(ordered: npt.NDArray[np.float64], bins: int) -> tuple[float, ...]:
    """Edges for a reference sample of finite values in ascending order.

    At most ``bins`` distinct values: one bin for each, and an empty one on either side, so that a constant or a 0/1 column that
    starts to vary is seen. Otherwise bins of equal mass (quantiles), where a value that makes up a bin's mass by itself has its
    own bin, so that a mostly zero column does not end in one bin.
    """
    if not len(ordered):
        return (0.0, 1.0)
    begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    distinct, ties = ordered[begins], np.diff(begins, append=len(ordered))
    if len(distinct) <= bins:
        below, last = np.nextafter(distinct[0], -np.inf), distinct[-1]
        above = np.nextafter(last, np.inf)
        return tuple(map(float, (below, *distinct, above, np.nextafter(above, np.inf))))
    atoms = distinct[ties >= len(ordered) / bins]
    spread = ordered[~np.isin(ordered, atoms)]
    quantiles = np.quantile(spread, np.linspace(0, 1, max(bins - len(atoms), 1) + 1), method="inverted_cdf")
    return tuple(np.unique(np.concatenate([quantiles, atoms, np.nextafter(atoms, np.inf)])).tolist())


def aligned_counts(reference: ColumnSketch, current: ColumnSketch) -> tuple[Counts, Counts]:
    """Counts of both sketches over the same cells: bins or levels, other levels, missing; cells empty in both left out.

    Raises:
        StageError: where the sketches have different bins.
    """
    if (reference.kind, reference.edges) != (current.kind, current.edges):
        raise StageError(
            "two sketches have different bins", where="drift", remedy="sketch the live rows with the reference's edges"
        )
    if reference.kind == "numeric":
        pairs = list(zip(reference.counts, current.counts, strict=True))
    else:
        levels = sorted({*reference.levels, *current.levels})
        pairs = [(reference.count_of(level), current.count_of(level)) for level in levels]
    pairs += [(reference.other, current.other), (reference.missing, current.missing)]
    cells = np.array([pair for pair in pairs if any(pair)], dtype=np.int64).reshape(-1, 2)
    return cells[:, 0], cells[:, 1]


def _pooled(one: ColumnSketch, other: ColumnSketch) -> tuple[float | None, float | None]:
    """Mean and standard deviation of both parts (Chan, Golub and LeVeque, "Updating formulae", 1979)."""
    if one.mean is None or one.std is None:
        return other.mean, other.std
    if other.mean is None or other.std is None:
        return one.mean, one.std
    size, added = one.n - one.missing, other.n - other.missing
    total, gap = size + added, other.mean - one.mean
    squares = size * one.std**2 + added * other.std**2 + gap**2 * size * added / total
    return one.mean + gap * added / total, math.sqrt(squares / total)
