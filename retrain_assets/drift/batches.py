"""The sketch of more rows than fit in memory, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from retrain_assets.contract import StageError
from retrain_assets.drift.sketch import Sketch, sketch_frame

SAMPLE_ROWS = 262_144
"""Most rows that edges are fitted on."""


def sketch_batches(
    batches: Iterable[pl.DataFrame],
    *,
    columns: Sequence[str],
    edges: Sketch | None = None,
    bins: int = 20,
    max_levels: int = 50,
    sample_rows: int = SAMPLE_ROWS,
) -> Sketch:
    """The sketch of all batches together, holding one batch (and the sample) at a time.

    With ``edges`` this is one pass. Without, edges and levels are first fitted on a systematic sample (every k-th row, whatever
    the batches, so the same rows give the same edges; how many is recorded as ``fitted_on``), and a second pass counts every row
    over them: counts, missing values and range are exact. Up to ``sample_rows`` rows, the result is that of ``sketch_frame``.

    Args:
        batches: frames with the columns; without ``edges`` something that can be gone through twice.
        columns: the columns to sketch: numbers, booleans or text.
        edges: a reference whose bins and levels are used; None fits them.
        bins: most bins of a numeric column.
        max_levels: most levels of a categorical column.
        sample_rows: most rows of the sample; it has at least half of that where there are as many.

    Raises:
        StageError: where there is no batch, or without ``edges`` something that can be gone through only once, and as
            :func:`~retrain_assets.drift.sketch.sketch_frame`.
    """
    if edges is None:
        if isinstance(batches, Iterator):
            raise StageError(
                "edges cannot be fitted on batches that can be read only once",
                where="drift",
                remedy="give edges, or something that can be read twice",
            )
        edges = sketch_frame(_systematic_sample(batches, columns, sample_rows), columns=columns, bins=bins, max_levels=max_levels)
    whole: Sketch | None = None
    for batch in batches:
        part = sketch_frame(batch, columns=columns, edges=edges)
        whole = part if whole is None else whole + part
    if whole is None:
        raise _nothing()
    return whole


def _systematic_sample(batches: Iterable[pl.DataFrame], columns: Sequence[str], most: int) -> pl.DataFrame:
    """Rows 0, k, 2k, … for the smallest power of two k that keeps the sample within its size."""
    step, seen = 1, 0
    kept: pl.DataFrame | None = None
    for batch in batches:
        if missing := [name for name in columns if name not in batch.columns]:
            raise StageError(
                "column is missing", where=f"drift, column {missing[0]}", remedy="give the columns the model was trained on"
            )
        rows = batch.select(columns).gather_every(step, -seen % step) if batch.height else batch.select(columns)
        kept = rows if kept is None else pl.concat([kept, rows], how="vertical_relaxed")
        seen += batch.height
        while kept.height > most:
            step, kept = 2 * step, kept.gather_every(2)
    if kept is None:
        raise _nothing()
    return kept


def _nothing() -> StageError:
    return StageError("there is not even an empty batch to sketch", where="drift", remedy="give the rows as batches")
