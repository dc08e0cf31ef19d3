"""From the values of one column to its sketch, and the edges that fit a reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.drift.column import ColumnSketch
from retrain_assets.drift.moments import moments_of

LOOKED_AT = 1000
"""Values that are looked at before a whole column is searched for one that is not a whole number."""


def numeric_sketch(values: pl.Series, reference: ColumnSketch | None, bins: int) -> ColumnSketch:
    """Sketch of numbers, over the edges of a reference or over edges fitted to the values (see :func:`fitted_edges`)."""
    every = values.cast(pl.Float64).to_numpy()
    ordered = every[np.isfinite(every)]
    ordered.sort()  # looking up few edges in ordered values is quicker than many values among the edges
    edges = fitted_edges(ordered, bins) if reference is None else reference.edges
    below = np.searchsorted(ordered, edges[1:-1])
    moments = moments_of(ordered)
    return ColumnSketch(
        kind="numeric",
        edges=edges,
        levels=(),
        counts=tuple(np.diff(below, prepend=0, append=len(ordered)).tolist()),
        other=0,
        missing=len(every) - len(ordered),
        n=len(every),
        mean=moments.mean,
        std=moments.std,
        skewness=moments.skewness,
        minimum=float(ordered[0]) if len(ordered) else None,
        maximum=float(ordered[-1]) if len(ordered) else None,
        whole=values.dtype.is_integer() or (_whole(ordered[:LOOKED_AT]) and _whole(ordered)),
        fitted_on=len(every) if reference is None else reference.fitted_on,
    )


def categorical_sketch(values: pl.Series, reference: ColumnSketch | None, max_levels: int) -> ColumnSketch:
    """Sketch of text or booleans, over the levels of a reference or over the most frequent ones."""
    texts = values.cast(pl.String)
    found: dict[str, int] = dict(texts.drop_nulls().value_counts().iter_rows())
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
    spread = ordered[~np.isin(ordered, atoms)] if len(atoms) else ordered
    shares = np.linspace(0, 1, max(bins - len(atoms), 1) + 1)
    quantiles = spread[np.maximum(np.ceil(shares * len(spread)).astype(np.int64) - 1, 0)]
    return tuple(np.unique(np.concatenate([quantiles, atoms, np.nextafter(atoms, np.inf)])).tolist())


def _whole(values: npt.NDArray[np.float64]) -> bool:
    return bool(np.all(values == np.trunc(values)))
