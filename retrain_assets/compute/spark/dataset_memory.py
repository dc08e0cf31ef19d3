"""What the driver needs to judge a snapshot as a whole, and refusing what it does not have before it is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from retrain_assets.compute.parts import StoredTable
from retrain_assets.contract import StageError

TIMES_THE_ROWS = 3.0
"""Memory that gate data takes, in sizes of the snapshot in memory: the rows, and copies that its checks sort and group."""

_MEMORY = Path("/proc/meminfo")


def refuse_what_does_not_fit(tables: Sequence[StoredTable]) -> None:
    """Refuse a snapshot whose gate needs more memory than the driver has left, where the system tells.

    Raises:
        StageError: that, with both sizes.
    """
    available = available_mb()
    needed = sum(size_mb(table) for table in tables) * TIMES_THE_ROWS
    if available is not None and needed > available:
        rows = sum(table.rows for table in tables)
        raise StageError(
            f"gate data on {rows:,} rows needs about {needed:,.0f} MB and the driver has {available:,.0f} MB",
            where=f"snapshot {tables[0].path.parent}",
            remedy="take a larger driver, shorten window.train, or leave columns out of the schema",
        )


def size_mb(table: StoredTable) -> float:
    """Size of a stored table's rows in memory, in MB, by the width of the first rows of its largest part."""
    largest = max(table.files, key=lambda file: file.stat().st_size, default=None)
    if largest is None:
        return 0.0
    sample = pl.scan_parquet(largest, glob=False).head(10_000).collect()
    return table.rows * sample.estimated_size() / max(sample.height, 1) / 2**20


def available_mb() -> float | None:
    """Memory that processes of this machine can still take, in MB; None where the system does not tell."""
    try:
        lines = _MEMORY.read_text().splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable:")), None)
