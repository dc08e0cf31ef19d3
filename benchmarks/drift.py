"""Sketches and distances against one Polars pass that only bins and counts the same columns. CPU time, all threads."""

from __future__ import annotations

import importlib.util

import numpy as np
import polars as pl

from benchmarks.measure import Row, Target, absent, compared, cpu_seconds, interleaved
from retrain_assets.drift import (
    Sketch,
    aligned_counts,
    jensen_shannon,
    kolmogorov_smirnov_binned,
    population_stability_index,
    sketch_frame,
)

NAME = "drift"
ROWS = 1_000_000
BINS = 20
NUMERIC, WHOLE, TEXT = 12, 4, 4
PEERS = {"Evidently data drift preset": ("evidently", 30), "NannyML univariate drift": ("nannyml", 15)}
MEASURE = "sketch both and compare, CPU s"


def run() -> list[Row]:
    reference, current = mixed_frame(1, 0.0), mixed_frame(2, 0.1)
    return [*_ours(reference, current), *_peers()]


def mixed_frame(seed: int, shift: float) -> pl.DataFrame:
    """Twenty columns: numbers with missing values, whole numbers, and text of few or many levels."""
    draw = np.random.default_rng(seed)
    columns: dict[str, pl.Series] = {}
    for number in range(NUMERIC):
        values = pl.Series(draw.normal(shift * number / NUMERIC, 1, ROWS))
        columns[f"number_{number}"] = values.set(pl.Series(draw.random(ROWS) < 0.02), None) if number % 3 == 0 else values
    for number in range(WHOLE):
        columns[f"count_{number}"] = pl.Series(draw.poisson(3 * (number + 1), ROWS))
    for number in range(TEXT):
        levels = pl.Series([f"level {place}" for place in range(5 * 3**number)])
        columns[f"text_{number}"] = levels.gather(pl.Series((len(levels) * draw.random(ROWS) ** 2).astype(np.uint32)))
    return pl.DataFrame(columns)


def compare(reference: Sketch, current: Sketch) -> list[tuple[float, float, float]]:
    """The three distances of every column."""
    found = []
    for name, column in reference.columns.items():
        cells = aligned_counts(column, current.columns[name])
        found.append((population_stability_index(*cells), jensen_shannon(*cells), kolmogorov_smirnov_binned(*cells)))
    return found


def bin_and_count(frame: pl.DataFrame, reference: Sketch) -> pl.DataFrame:
    """Only the counts: every column in ready bins, or its levels counted, in one query; the quickest way Polars has."""
    counts = []
    for name, column in reference.columns.items():
        value = pl.col(name)
        cells = value.value_counts() if column.kind == "categorical" else value.hist(bins=list(column.edges))
        counts.append(cells.implode().alias(name))
    return frame.select(counts)


def _ours(reference: pl.DataFrame, current: pl.DataFrame) -> list[Row]:
    names = reference.columns
    stored = sketch_frame(reference, columns=names, bins=BINS)

    def both() -> object:
        first = sketch_frame(reference, columns=names, bins=BINS)
        return compare(first, sketch_frame(current, columns=names, edges=first))

    def with_stored_reference() -> object:
        return compare(stored, sketch_frame(current, columns=names, edges=stored))

    def only_counts() -> object:
        return bin_and_count(reference, stored), bin_and_count(current, stored)

    took = interleaved(
        {"both": both, "stored": with_stored_reference, "counts": only_counts}, rounds=5, seconds=30, clock=cpu_seconds
    )
    return [
        compared(
            NAME,
            MEASURE,
            ours=took["both"],
            against="one Polars pass that only bins and counts",
            peer=took["counts"],
            target=Target(1.5),
            rows=2 * ROWS,
            note=f"{len(names)} columns; the pass gets ready-made edges",
        ),
        compared(
            NAME,
            "sketch the current rows against a stored reference, CPU s",
            ours=took["stored"],
            against="sketching both",
            peer=took["both"],
            target=Target(0.5),
            rows=ROWS,
        ),
    ]


def _peers() -> list[Row]:
    return [
        absent(
            NAME,
            MEASURE,
            against=peer,
            target=Target(times, at_least=True),
            reason=f"{module} is installed here, but no comparison with it is written"
            if importlib.util.find_spec(module)
            else f"{module} is not installed in this environment",
        )
        for peer, (module, times) in PEERS.items()
    ]
