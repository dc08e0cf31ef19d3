"""Parquet files of any size are sketched column by column, in batches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from retrain_assets.compute.parquet_sketch import sketch_parquet
from retrain_assets.contract import StageError
from retrain_assets.drift import sketch_frame

DRAW = np.random.default_rng(5)
FRAME = pl.DataFrame(
    {
        "x": pl.Series(DRAW.normal(size=6000)).set(pl.Series(DRAW.random(6000) < 0.1), None),
        "flag": DRAW.random(6000) < 0.2,
        "origin": pl.Series(["JFK", "LGA", "É", None]).gather(DRAW.integers(0, 4, 6000)).cast(pl.Categorical),
    }
)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    FRAME[:5000].write_parquet(tmp_path / "a.parquet", row_group_size=900)
    FRAME[5000:].write_parquet(tmp_path / "b.parquet")
    return [tmp_path / "a.parquet", tmp_path / "b.parquet"]


def test_files_give_the_sketch_of_their_rows(paths) -> None:
    expected = sketch_frame(FRAME, columns=FRAME.columns)
    fitted = sketch_parquet(paths, FRAME.columns, batch_rows=700)
    for found in (fitted, sketch_parquet(paths, FRAME.columns, edges=expected, batch_rows=10_000)):
        for name, column in expected.columns.items():
            assert found.columns[name].counts == column.counts
            assert (found.columns[name].edges, found.columns[name].levels) == (column.edges, column.levels)
            assert (found.columns[name].missing, found.columns[name].n) == (column.missing, 6000)


def test_what_cannot_be_read_is_said_by_name(paths, tmp_path) -> None:
    with pytest.raises(StageError, match=r"a\.parquet, column altitude"):
        sketch_parquet(paths, ["altitude"])
    with pytest.raises(StageError, match="no Parquet file"):
        sketch_parquet([], ["x"])
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    for path in (tmp_path / "broken.parquet", tmp_path / "absent.parquet"):
        with pytest.raises(StageError, match="cannot be read"):
            sketch_parquet([path], ["x"])


PEAK = """
import resource, sys
from pathlib import Path
from retrain_assets.compute.parquet_sketch import sketch_parquet
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = sketch_parquet([Path(sys.argv[1])], ["x", "y"], batch_rows=100_000).rows
print(rows, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_is_that_of_a_batch_and_not_of_the_file(tmp_path) -> None:
    path, rows = tmp_path / "large.parquet", 6_000_000
    values = np.arange(rows, dtype=np.float64)
    pl.DataFrame({"x": values, "y": values}).write_parquet(path, row_group_size=500_000, compression="uncompressed")
    assert path.stat().st_size > 80_000_000
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], check=True, capture_output=True, text=True)
    counted, megabytes = map(int, done.stdout.split())
    assert counted == rows
    assert megabytes < 60
