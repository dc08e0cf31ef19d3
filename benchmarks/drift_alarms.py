"""How often windows without change are called drifted, and how many windows pass before a planted change raises an alarm."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np

from benchmarks.drift_simulation import Detection, Shares, Shift, detection, null_shares
from benchmarks.measure import Row
from retrain_assets.drift.reporting import FALSE_ALARMS

NAME = "drift_alarms"
WINDOWS = {20: 10, 200: 5}
"""Windows after each reference, by number of columns."""
FULL = "RETRAIN_BENCH_FULL" in os.environ
"""The figures in docs/drift.md are of a full run, five times as long as the one of every day."""
REFERENCES = {20: 200, 200: 200} if FULL else {20: 40, 200: 40}
SIZES = (50, 200, 1000, 10_000)
DETECTION_SIZES = (200, 1000, 10_000)
DETECTION_COLUMNS = 20
SEQUENCES, LONGEST = 30 if FULL else 6, 8
SHIFTS = {
    "mean by 0.1 standard deviations": Shift(mean=0.1),
    "mean by 0.2 standard deviations": Shift(mean=0.2),
    "mean by 0.3 standard deviations": Shift(mean=0.3),
    "mean by 0.5 standard deviations": Shift(mean=0.5),
    "2 % of the values missing": Shift(missing=0.02),
    "10 % of the values missing": Shift(missing=0.1),
    "a level of 6.6 % of the rows vanished": Shift(vanished=1),
    "a level of 25.5 % of the rows vanished": Shift(vanished=0),
}
STATED = f"stated rate {FALSE_ALARMS} and two standard errors"
FEWEST = f"alarm 2 of 3 in at most {LONGEST} windows; the fewest are 2"


def run() -> list[Row]:
    with ProcessPoolExecutor(max_workers=2, mp_context=get_context("spawn")) as pool:
        nulls = {(columns, rows): pool.map(_null, _seeds(columns, rows)) for columns in WINDOWS for rows in SIZES}
        found = {(name, rows): pool.submit(_detection, name, rows) for name in SHIFTS for rows in DETECTION_SIZES}
        return [
            *(row for key, parts in nulls.items() for row in _null_rows(*key, _together(parts))),
            *(_detection_row(*key, part.result()) for key, part in found.items()),
        ]


Seed = tuple[int, int, int]


def _seeds(columns: int, rows: int) -> list[Seed]:
    """Ten parts of a simulation, so that the cores share it."""
    return [(columns, rows, part) for part in range(10)]


def _null(seed: Seed) -> Shares:
    columns, rows, _ = seed
    return null_shares(columns=columns, rows=rows, references=REFERENCES[columns] // 10, windows=WINDOWS[columns], seed=seed)


def _detection(name: str, rows: int) -> Detection:
    seed = (list(SHIFTS).index(name), rows)
    find = partial(detection, shift=SHIFTS[name], columns=DETECTION_COLUMNS, rows=rows, seed=seed)
    return find(sequences=SEQUENCES, windows=LONGEST)


def _together(parts: Iterable[Shares]) -> Shares:
    parts = list(parts)
    drifted, above, alarmed, plain = (
        float(np.mean([getattr(part, name) for part in parts])) for name in ("drifted", "above", "alarmed", "plain")
    )
    error = math.sqrt(sum(part.error**2 for part in parts)) / len(parts)
    return Shares(drifted, above, alarmed, plain, error, sum(part.windows for part in parts))


def _null_rows(columns: int, rows: int, shares: Shares) -> list[Row]:
    windows = shares.windows
    error = max(shares.error, math.sqrt(FALSE_ALARMS * (1 - FALSE_ALARMS) / windows))
    limit = FALSE_ALARMS + 2 * error
    where = f"{columns} columns, windows of {rows:,} rows"
    note = (
        f"standard error {error:.4f}, {windows:,} windows; above a limit {shares.above:.4f}; "
        f"by the plain index without test {shares.plain:.3f}"
    )
    return [
        Row(
            NAME,
            f"share of unchanged windows {name}, {where}",
            value,
            STATED,
            value / limit,
            "≤ 1",
            value <= limit,
            windows,
            text,
        )
        for name, value, text in (("called drifted", shares.drifted, note), ("with an alarm (2 of 3)", shares.alarmed, ""))
    ]


def _detection_row(name: str, rows: int, found: Detection) -> Row:
    seen = [delay for delay in found.delays if delay is not None]
    note = (
        f"window called drifted {found.drifted:.2f}, above the limit {found.above:.2f}; "
        f"{len(found.delays) - len(seen)} of {len(found.delays)} sequences without an alarm, "
        "which the mean leaves out; no target is set"
    )
    delay = float(np.mean(seen)) if seen else None
    return Row(NAME, f"windows until an alarm: {name}, {rows:,} rows", delay, FEWEST, None, None, None, len(found.delays), note)
