"""A source as it fills up: one Parquet file a day, landed when that day's outcomes are known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import polars as pl

from retrain_assets.home import Home


def land_day(home: Home, source: str, rows: pl.DataFrame, day: date) -> Path:
    """Write one day's rows into a source's folder, atomically; landing a day twice changes nothing.

    Args:
        home: where the source lives: ``sources/SOURCE`` below it.
        source: its name.
        rows: the rows of that day, in the source's schema.
        day: the day.
    """
    target = home.root / "sources" / source / f"{day}.parquet"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_suffix(".tmp")
        rows.write_parquet(scratch, compression="zstd", statistics=False)
        scratch.replace(target)
    return target


def rows_by_day(rows: pl.DataFrame, day: str) -> Mapping[date, pl.DataFrame]:
    """Rows by the day in one of their columns, which is left out.

    Args:
        rows: rows of a source with one more column of type date.
        day: that column's name.
    """
    return {key[0]: frame.drop(day) for key, frame in rows.partition_by(day, as_dict=True).items()}
