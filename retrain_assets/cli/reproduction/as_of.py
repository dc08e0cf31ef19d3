"""Which files were there at a moment of the past. Files are only ever added, so their number is all that has to be found out.

Three ways are tried, and a recorded digest says which one is right: files written before the machine's time of then; where a copy
has lost those times, files whose last row is of before; all files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

import polars as pl

from retrain_assets.ledger import Event


class Way(StrEnum):
    """How files of then are told from later ones."""

    WRITTEN = "by the time they were written"
    DATED = "by the time of their rows"
    ALL = "all that are here"


@dataclass(frozen=True)
class Moment:
    """A moment on record: by the home's clock, and by the machine's."""

    at: datetime
    recorded_at: datetime

    @classmethod
    def of(cls, event: Event) -> Moment:
        """The moment of an event."""
        return cls(event.at, event.recorded_at)

    def keeps(self, way: Way, column: str, delay: timedelta = timedelta()) -> Callable[[Path], bool]:
        """Whether a file was there.

        Args:
            way: how it is told.
            column: the column with the time of a row.
            delay: how long after its time a row arrives.
        """
        if way is Way.ALL:
            return lambda path: True
        if way is Way.WRITTEN:
            latest = self.recorded_at.timestamp()
            return lambda path: path.stat().st_mtime <= latest
        until = self.at - delay

        def dated(path: Path) -> bool:
            last = last_row(path, column)
            return last is None or last <= until

        return dated


def ways(first: Way | None = None) -> Iterator[Way]:
    """The ways, the one that was right before first."""
    if first is not None:
        yield first
    yield from (way for way in Way if way is not first)


_LAST: dict[tuple[str, int, int, str], datetime | None] = {}


def last_row(path: Path, column: str) -> datetime | None:
    """Time of the last row of a Parquet file; a time without a zone is UTC. None without rows, or where it cannot be read."""
    told = path.stat()
    key = (str(path), told.st_size, told.st_mtime_ns, column)
    if key not in _LAST:
        try:
            lazy = pl.scan_parquet(path, glob=False)
            kind, last = lazy.collect_schema()[column], pl.col(column).max()
            zoned = isinstance(kind, pl.Datetime) and kind.time_zone is not None
            last = last.dt.convert_time_zone("UTC") if zoned else last.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
            found = lazy.select(last).collect().item()
            _LAST[key] = found if isinstance(found, datetime) else None
        except (pl.exceptions.PolarsError, OSError, KeyError):
            _LAST[key] = None
    return _LAST[key]
