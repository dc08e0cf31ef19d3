"""The flights source as it fills up: one Parquet file a day, landed when that day's outcomes are known."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from retrain_assets.home import Home


def land(home: Home, flights: pl.DataFrame, day: date) -> Path:
    """Write one local day's flights into the source folder, atomically; landing a day twice changes nothing.

    Args:
        home: where the source lives: ``sources/flights`` below it.
        flights: the rows of that day, in the source's schema.
        day: local date of the flights.
    """
    target = home.root / "sources" / "flights" / f"{day}.parquet"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_suffix(".tmp")
        flights.write_parquet(scratch, compression="zstd", statistics=False)
        scratch.replace(target)
    return target
