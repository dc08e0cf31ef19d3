"""What differs between a stored snapshot and the same one taken again, in rows."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from retrain_assets.cli.reproduction.results import Cause, CauseKind
from retrain_assets.compute.frames import read_tables
from retrain_assets.contract import Source


def rows_changed(stored: Path | None, again: Path, source: Source) -> Cause:
    """How many rows were removed, added and changed, and in which columns.

    Args:
        stored: folder of the stored snapshot; None where it is not what was recorded.
        again: folder of the new one.
        source: names unit and event time.
    """
    if stored is None:
        return Cause(CauseKind.SOURCE, "the stored snapshot is not there to compare rows with")
    before, now = (pl.concat([tables.train, tables.holdout]) for tables in (read_tables(stored), read_tables(again)))
    key = [source.unit, source.event_time]
    removed, added = before.join(now, on=key, how="anti").height, now.join(before, on=key, how="anti").height
    both = before.join(now, on=key, how="inner", suffix=" again")
    differing = {
        name: int((~both[name].eq_missing(both[f"{name} again"])).sum())
        for name in before.columns
        if name not in key and f"{name} again" in both.columns
    }
    changed = {name: count for name, count in differing.items() if count}
    columns = f" ({', '.join(f'{name}: {count}' for name, count in changed.items())})" if changed else ""
    if removed == added == 0 and not changed:
        return Cause(CauseKind.SOURCE, "the rows are the same, their columns or order are not")
    return Cause(
        CauseKind.SOURCE, f"{removed:,} rows removed, {added:,} added, {max(changed.values(), default=0):,} changed{columns}"
    )
