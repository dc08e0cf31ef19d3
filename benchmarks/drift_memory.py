"""Peak memory of sketching a Parquet file that does not fit in memory, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from benchmarks.measure import Row, Target, absent, compared
from retrain_assets.compute.parquet_sketch import BATCH_ROWS, sketch_parquet

NAME = "drift_memory"
ROWS = 50_000_000
WRITTEN_ROWS = 1_000_000
"""Rows of a row group."""
MB = 1e6
STATUS = Path("/proc/self/status")
MEASURE = "peak memory of sketching a Parquet file, MB"
ALLOWED = "1.5 times one column batch plus 200 MB"


def run() -> list[Row]:
    if not STATUS.exists():
        return [absent(NAME, MEASURE, against=ALLOWED, target=Target(1), reason=f"this system has no {STATUS}")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.parquet"
        batch_bytes = write(path, ROWS)
        measured = {rows: _measured(path if rows else Path(folder) / "none.parquet", rows) for rows in (0, ROWS)}
        file_mb = path.stat().st_size / MB
    found, imported = measured[ROWS], measured[0]["peak_mb"]
    limit = 1.5 * batch_bytes / MB + 200
    return [
        compared(
            NAME,
            MEASURE,
            ours=found["peak_mb"],
            against=ALLOWED,
            peer=limit,
            target=Target(1),
            rows=ROWS,
            note=f"{file_mb:,.0f} MB file, 4 columns, read twice (edges are fitted first); {imported:.0f} MB are Python and its "
            f"libraries before the first row; {found['cpu_s']:.1f} CPU s",
        ),
    ]


def write(path: Path, rows: int) -> int:
    """A file of mixed columns, a row group at a time; gives the bytes of the largest batch of one of its columns in memory."""
    draw, largest, writer = np.random.default_rng(3), 0, None
    for begin in range(0, rows, WRITTEN_ROWS):
        size = min(WRITTEN_ROWS, rows - begin)
        frame = pl.DataFrame(
            {
                "delay": pl.Series(draw.normal(size=size)).set(pl.Series(draw.random(size) < 0.02), None),
                "distance": draw.exponential(size=size),
                "hour": draw.integers(0, 24, size),
                "origin": pl.Series([f"airport {place}" for place in range(40)]).gather(draw.integers(0, 40, size)),
            }
        )
        if writer is None:
            largest = max(int(column.estimated_size()) for column in frame.head(BATCH_ROWS))
            writer = pq.ParquetWriter(path, frame.to_arrow(compat_level=pl.CompatLevel.oldest()).schema)
        writer.write_table(frame.to_arrow(compat_level=pl.CompatLevel.oldest()), row_group_size=WRITTEN_ROWS)
    if writer is not None:
        writer.close()
    return largest


def _measured(path: Path, rows: int) -> dict[str, float]:
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.drift_memory", str(path)], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(answer.stdout)
    if found["rows"] != rows:
        raise RuntimeError(f"{found['rows']:,.0f} of {rows:,} rows were sketched")
    return found


def _peak_mb() -> float:
    """The most memory this process held since it began (its own, not that of the process it was forked from)."""
    status = STATUS.read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / MB


def _sketch_and_print(path: Path) -> None:
    import time

    rows = sketch_parquet([path], pq.read_schema(path).names).rows if path.exists() else 0
    print(json.dumps({"rows": rows, "peak_mb": _peak_mb(), "cpu_s": time.process_time()}))


if __name__ == "__main__":
    _sketch_and_print(Path(sys.argv[1]))
