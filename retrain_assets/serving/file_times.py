"""From when to when the rows of each traffic file are, remembered below the home, so that readers open only files they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import polars as pl

from retrain_assets.compute.merged_traffic import counting
from retrain_assets.compute.traffic_schema import MOMENT, Dtype

_SCHEMA: dict[str, Dtype] = {"name": pl.String, "stamp": pl.String, "first": MOMENT, "last": MOMENT}


def traffic_files(directory: Path) -> list[tuple[str, str]]:
    """Name and stamp (which changes when the content does) of each file of a folder that counts, by name."""
    names = [(one.name, one.stat()) for one in counting(directory)]
    return [(name, f"{told.st_size}-{told.st_mtime_ns}") for name, told in names]


def files_of_time(
    directory: Path,
    memory: Path,
    times: Callable[[Sequence[Path]], pl.DataFrame],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[tuple[Path, datetime]]:
    """The files that may have rows of a time, each with the moment of its last row; those with the latest rows first.

    Only files that came or changed since the last call are read.

    Args:
        directory: where they are.
        memory: where what was found is kept; it may be deleted any time, and need not be writable.
        times: reads files and gives ``first`` and ``last`` of their rows, a row per file in their order, null without rows.
        since: begin of the time, aware.
        until: end of it, aware.
    """
    there = pl.DataFrame(traffic_files(directory), schema={"name": pl.String, "stamp": pl.String}, orient="row")
    known = _remembered(memory)
    kept = there.join(known, on=["name", "stamp"], how="inner")
    new = there.join(known, on=["name", "stamp"], how="anti")
    if new.height:
        read = times([directory / name for name in new["name"]]).select(pl.col("first", "last").cast(MOMENT))
        kept = pl.concat([kept, new.hstack(read)])
    if new.height or kept.height < known.height:
        _remember(kept, memory)
    wanted = kept.filter(pl.col("last").is_not_null())
    if since is not None:
        wanted = wanted.filter(pl.col("last") >= since)
    if until is not None:
        wanted = wanted.filter(pl.col("first") <= until)
    rows = wanted.sort("last", "name", descending=[True, False]).select("name", "last").iter_rows()
    return [(directory / name, last) for name, last in rows]


def _remembered(memory: Path) -> pl.DataFrame:
    try:
        found = pl.read_parquet(memory)
    except (OSError, pl.exceptions.PolarsError):
        return pl.DataFrame(schema=_SCHEMA)
    return found if dict(found.schema) == _SCHEMA else pl.DataFrame(schema=_SCHEMA)


def _remember(found: pl.DataFrame, memory: Path) -> None:
    scratch = memory.with_name(f".{memory.name}.{uuid4().hex}.tmp")
    with suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        try:
            found.write_parquet(scratch)
            scratch.replace(memory)
        finally:
            scratch.unlink(missing_ok=True)
