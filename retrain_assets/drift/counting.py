"""From the values of one column to its sketch, and the edges that fit a reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from retrain_assets.drift.column import ColumnSketch, Floats
from retrain_assets.drift.moments import moments_of

LOOKED_AT = 1000
"""Values that are looked at before a whole column is searched for one that is not a whole number."""

BLOCK = 65_536
"""Values that are compared with all edges while they are in the processor's cache."""

EDGES_IN_TURN = 60
"""Edges up to which comparing every value with each of them is quicker than sorting the values."""

STREAMED_ROWS = 100_000
"""Rows from which Polars' streaming engine counts levels quicker than ``value_counts``."""


def numeric_sketch(values: pl.Series, reference: ColumnSketch | None, bins: int) -> ColumnSketch:
    """Sketch of numbers, over the edges of a reference or over edges fitted to the values (see :func:`fitted_edges`)."""
    every = values.cast(pl.Float64).to_numpy()
    known = np.isfinite(every)
    held = every if known.all() else every[known]
    if reference is None:
        held = np.sort(held)
        edges = fitted_edges(held, bins)
        below = np.searchsorted(held, edges[1:-1]).tolist()
    else:
        edges = reference.edges
        below = rows_below(held, edges[1:-1])
    lowest, highest = (float(held.min()), float(held.max())) if len(held) else (None, None)
    moments = moments_of(held, lowest, highest)
    return ColumnSketch(
        kind="numeric",
        edges=edges,
        levels=(),
        counts=tuple(np.diff(below, prepend=0, append=len(held)).tolist()),
        other=0,
        missing=len(every) - len(held),
        n=len(every),
        mean=moments.mean,
        std=moments.std,
        skewness=moments.skewness,
        minimum=lowest,
        maximum=highest,
        whole=values.dtype.is_integer() or (_whole(held[:LOOKED_AT]) and _whole(held)),
        fitted_on=len(every) if reference is None else reference.fitted_on,
    )


def categorical_sketch(values: pl.Series, reference: ColumnSketch | None, max_levels: int) -> ColumnSketch:
    """Sketch of text or booleans, over the levels of a reference or over the most frequent ones."""
    texts = values.cast(pl.String)
    found = _rows_by_level(texts.drop_nulls())
    if reference is None:
        levels = tuple(sorted(sorted(found, key=lambda level: (-found[level], level))[:max_levels]))
    else:
        levels = reference.levels
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
        fitted_on=len(texts) if reference is None else reference.fitted_on,
    )


def without_rows(reference: ColumnSketch) -> ColumnSketch:
    """The sketch of no rows over the bins or levels of a reference."""
    return replace(
        reference,
        counts=(0,) * len(reference.counts),
        other=0,
        missing=0,
        n=0,
        mean=None,
        std=None,
        skewness=None,
        minimum=None,
        maximum=None,
        whole=True,
    )


def fitted_edges(ordered: Floats, bins: int) -> tuple[float, ...]:
    """Edges for a reference sample of finite values in ascending order.

    At most ``bins`` distinct values: one bin for each, and an empty one on either side, so that a constant or a 0/1 column that
    starts to vary is seen. Otherwise bins of equal mass (quantiles), where a value that makes up a bin's mass by itself has its
    own bin, so that a mostly zero column does not end in one bin.
    """
    if not len(ordered):
        return (0.0, 1.0)
    if (distinct := _distinct(ordered, bins)) is not None:
        below, last = np.nextafter(distinct[0], -np.inf), distinct[-1]
        above = np.nextafter(last, np.inf)
        return tuple(map(float, (below, *distinct, above, np.nextafter(above, np.inf))))
    share = math.ceil(len(ordered) / bins)
    candidates = np.unique(ordered[::share])  # whoever has so many rows has one of these
    begins, ends = (np.searchsorted(ordered, candidates, side) for side in ("left", "right"))
    heavy = ends - begins >= share
    atoms, begins, ends = candidates[heavy], begins[heavy], ends[heavy]
    spread = len(ordered) - int((ends - begins).sum())
    shares = np.linspace(0, 1, max(bins - len(atoms), 1) + 1)
    places = np.maximum(np.ceil(shares * spread).astype(np.int64) - 1, 0)
    for begin, end in zip(begins, ends, strict=True):
        places = np.where(places >= begin, places + (end - begin), places)
    return tuple(np.unique(np.concatenate([ordered[places], atoms, np.nextafter(atoms, np.inf)])).tolist())


def _rows_by_level(texts: pl.Series) -> dict[str, int]:
    if len(texts) < STREAMED_ROWS:
        return dict(texts.value_counts().iter_rows())
    counted = pl.LazyFrame({"level": texts}).group_by("level").len()
    return dict(counted.collect(engine="streaming").iter_rows())


def rows_below(values: Floats, edges: Sequence[float]) -> list[int]:
    """How many values lie below each edge."""
    if len(edges) > EDGES_IN_TURN:
        return np.searchsorted(np.sort(values), edges).tolist()  # type: ignore[no-any-return]
    found = [0] * len(edges)
    flags = np.empty(min(BLOCK, len(values)), dtype=np.bool_)
    for begin in range(0, len(values), BLOCK):
        block = values[begin : begin + BLOCK]
        lower = flags[: len(block)]
        for place, edge in enumerate(edges):
            np.less(block, edge, out=lower)
            found[place] += int(np.count_nonzero(lower))
    return found


def _distinct(ordered: Floats, most: int) -> list[float] | None:
    """The distinct values; None where there are more than so many."""
    found: list[float] = []
    begin = 0
    while begin < len(ordered):
        if len(found) == most:
            return None
        found.append(float(ordered[begin]))
        begin = int(np.searchsorted(ordered, ordered[begin], side="right"))
    return found


def _whole(values: Floats) -> bool:
    return bool(np.all(values == np.trunc(values)))
