"""How long scoring one row takes, measured so that a busy machine does not make a model look slow."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

ROUNDS, ROWS_PER_ROUND, WARM_UP_ROWS = 4, 30, 10
"""Rows are scored one call each, in rounds one after the other, each with rows from all over the hold-out."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of scoring one row."""

    median_ms: float
    p95_ms: float


def latency_of(score: Callable[[pl.DataFrame], Any], frame: pl.DataFrame) -> Latency | None:
    """Median and 95th percentile of the quietest round; None without rows.

    What else runs on the machine only ever adds time, so of several rounds the fastest is nearest to what the model itself takes
    (as the documentation of ``timeit`` has it). Garbage is not collected meanwhile.

    Args:
        score: scores a frame of features.
        frame: features, any number of rows.
    """
    if frame.height == 0:
        return None
    count = ROUNDS * ROWS_PER_ROUND
    rows = [frame[at : at + 1] for at in (k * frame.height // count for k in range(count))]
    collecting = gc.isenabled()
    gc.disable()
    try:
        for row in rows[:WARM_UP_ROWS]:
            score(row)
        rounds = [[_milliseconds(score, row) for row in rows[first::ROUNDS]] for first in range(ROUNDS)]
    finally:
        if collecting:
            gc.enable()
    quietest = min(rounds, key=statistics.median)
    return Latency(statistics.median(quietest), statistics.quantiles(quietest, n=20, method="inclusive")[-1])


def _milliseconds(score: Callable[[pl.DataFrame], Any], row: pl.DataFrame) -> float:
    started = time.perf_counter()
    score(row)
    return (time.perf_counter() - started) * 1000
