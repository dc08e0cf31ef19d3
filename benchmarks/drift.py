"""Sketches and whole comparisons of two data sets, against a Polars pass that only counts, Evidently and NannyML. CPU time."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measure import Row, Target, absent, compared, cpu_seconds, interleaved
from benchmarks.peers import PeerMissing, run_peer
from retrain_assets.drift import DriftReport, Sketch, drift_report, sketch_frame

NAME = "drift"
ROWS = 1_000_000
BINS = 20
NUMERIC, WHOLE, TEXT = 12, 4, 4
PEERS = {"Evidently data drift preset": ("evidently", 30, 1), "NannyML univariate drift": ("nannyml", 15, 2)}
"""Their module, how many times more CPU they must need, and how often they run."""
BOTH = "sketch both and compare, CPU s"
STORED = "sketch the current rows, compare with a stored reference, CPU s"
COUNTING = "one Polars pass that only bins and counts both"
START, END = datetime(2013, 6, 1, tzinfo=UTC), datetime(2013, 7, 1, tzinfo=UTC)


def run() -> list[Row]:
    reference, current = mixed_frame(1, 0.0), mixed_frame(2, 0.1)
    names = reference.columns
    stored = sketch_frame(reference, columns=names, bins=BINS)

    def both() -> object:
        first = sketch_frame(reference, columns=names, bins=BINS)
        return compare(first, sketch_frame(current, columns=names, edges=first))

    def with_stored_reference() -> object:
        return compare(stored, sketch_frame(current, columns=names, edges=stored))

    def only_counts() -> object:
        return bin_and_count(reference, stored), bin_and_count(current, stored)

    ours = {BOTH: both, STORED: with_stored_reference}
    took = interleaved({**ours, COUNTING: only_counts}, rounds=9, seconds=30, clock=cpu_seconds)
    return [*_against_counting(took), *_against_peers(ours, reference, current)]


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


def compare(reference: Sketch, current: Sketch) -> DriftReport:
    """Everything a drift report holds of features: five distances, bounds and a test per column, corrected for their number."""
    return drift_report(
        start=START,
        end=END,
        features=(reference, current),
        predictions=(Sketch({}), Sketch({})),
        importance=dict.fromkeys(reference.columns, 1.0),
    )


def bin_and_count(frame: pl.DataFrame, reference: Sketch) -> pl.DataFrame:
    """Only the counts: every column in ready bins, or its levels counted, in one query; the quickest way Polars has."""
    counts = []
    for name, column in reference.columns.items():
        value = pl.col(name)
        cells = value.value_counts() if column.kind == "categorical" else value.hist(bins=list(column.edges))
        counts.append(cells.implode().alias(name))
    return frame.select(counts)


def _against_counting(took: dict[str, float]) -> list[Row]:
    note = f"{NUMERIC + WHOLE + TEXT} columns; the pass gets ready-made edges"
    return [
        *(
            compared(
                NAME, name, ours=took[name], against=COUNTING, peer=took[COUNTING], target=target, rows=rows * ROWS, note=note
            )
            for name, target, rows in ((BOTH, Target(1.5), 2), (STORED, Target(0.75), 1))
        ),
        compared(NAME, STORED, ours=took[STORED], against="sketching both", peer=took[BOTH], target=Target(0.5), rows=ROWS),
    ]


def _against_peers(ours: dict[str, Callable[[], object]], reference: pl.DataFrame, current: pl.DataFrame) -> list[Row]:
    """The peers on the same rows: with a stored reference twice as many times more."""
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / f"{name}.parquet") for name in ("reference", "current")]
        for frame, file in zip((reference, current), files, strict=True):
            frame.write_parquet(file)
        return [row for peer in PEERS for row in _against_peer(peer, ours, files)]


def _against_peer(peer: str, ours: dict[str, Callable[[], object]], files: list[str]) -> list[Row]:
    """A peer's runs, before and after each of them three of ours."""
    module, times, runs = PEERS[peer]
    targets = {BOTH: Target(times, at_least=True), STORED: Target(2 * times, at_least=True)}
    taken: dict[str, list[float]] = {name: [] for name in (peer, *ours)}

    def run_ours() -> None:
        for _ in range(3):
            for name, work in ours.items():
                started = cpu_seconds()
                work()
                taken[name].append(cpu_seconds() - started)

    run_ours()
    for _ in range(runs):
        try:
            taken[peer].append(run_peer(module, files)["cpu_s"])
        except PeerMissing as error:
            return [absent(NAME, name, against=peer, target=targets[name], reason=str(error)) for name in ours]
        run_ours()
    took = {name: statistics.median(seconds) for name, seconds in taken.items()}
    note = f"without imports and reading; run {'once' if runs == 1 else 'twice'}, ours before and after"
    return [
        compared(NAME, name, ours=took[name], against=peer, peer=took[peer], target=targets[name], rows=rows * ROWS, note=note)
        for name, rows in ((BOTH, 2), (STORED, 1))
    ]
