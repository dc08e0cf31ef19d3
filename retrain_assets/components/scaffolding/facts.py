"""What a source says of itself: rows, columns with their gaps and levels, and a sample of its rows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from retrain_assets.compute.source_uri import is_object_storage
from retrain_assets.compute.stages.source import source_files
from retrain_assets.contract import SourceError

SAMPLE_ROWS = 50_000
"""Most rows that are looked at one by one, evenly spread over the source."""
FEW_LEVELS = 20


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the source.

    Args:
        name: as it is called there.
        dtype: its type.
        missing: share of rows without a value, 0..1.
        distinct: number of different values.
        low: smallest value; None where there is none or the type has no order.
        levels: shares of its values, most frequent first, where there are few.
    """

    name: str
    dtype: pl.DataType
    missing: float
    distinct: int
    low: Any
    levels: tuple[tuple[Any, float], ...] = ()

    @property
    def is_moment(self) -> bool:
        """Whether it is a date or a time of a day."""
        return self.dtype == pl.Date or isinstance(self.dtype, pl.Datetime)

    @property
    def is_text(self) -> bool:
        """Whether its values are texts or categories."""
        return self.dtype == pl.String or isinstance(self.dtype, pl.Categorical | pl.Enum)

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self.dtype.is_numeric()


@dataclass(frozen=True, slots=True)
class Facts:
    """A source as it was found.

    Args:
        uri: as the contract is to name it.
        seen: where it is from the working directory.
        is_delta: whether it is a Delta table.
        rows: number of rows.
        columns: its columns by name, in their order.
        sample: some rows, evenly spread, with every column.
        lazy: all rows, to be asked.
    """

    uri: str
    seen: str
    is_delta: bool
    rows: int
    columns: Mapping[str, Column]
    sample: pl.DataFrame
    lazy: pl.LazyFrame

    def span(self, event_time: str) -> tuple[datetime, datetime]:
        """First and last moment, as the source writes them, taken as UTC where it has no time zone."""
        moment = pl.col(event_time).cast(pl.Datetime("us"))
        low, high = self.lazy.select(low=moment.min(), high=moment.max()).collect().row(0)
        if low is None:
            raise SourceError(f"column {event_time!r} has no value", where=self.uri, remedy="name another one with --event-time")
        return low, high


def read_facts(source: str, project: Path) -> Facts:
    """What the source says of itself.

    Args:
        source: Parquet file or glob, or folder of a Delta table, seen from the working directory; ``${NAME}`` may stand in it.
        project: root of the project; below it the contract names the source from there.

    Raises:
        SourceError: when nothing is there, or it is not Parquet or Delta.
    """
    if is_object_storage(source):
        raise SourceError(
            "cannot be looked at from here",
            where=f"--source {source}",
            remedy="give a local copy of some rows, and write the address into source.uri afterwards",
        )
    is_delta = "$" not in source and (Path(source).expanduser() / "_delta_log").is_dir()
    lazy = _scan_delta(source) if is_delta else _scan_parquet(source)
    try:
        rows = int(lazy.select(pl.len()).collect().item())
        if rows == 0:
            raise SourceError("has no rows", where=f"--source {source}", remedy="write the source first")
        sample = lazy.gather_every(max(1, rows // SAMPLE_ROWS)).collect()
        columns = _columns(lazy, rows)
    except (pl.exceptions.PolarsError, OSError) as error:
        what = f"is not a readable source ({str(error).splitlines()[0]})"
        raise SourceError(
            what, where=f"--source {source}", remedy="give a Parquet file or the folder of a Delta table"
        ) from error
    return Facts(_written(source, project), _whole(source), is_delta, rows, columns, sample, lazy)


def _scan_delta(source: str) -> pl.LazyFrame:
    return pl.scan_delta(str(Path(source).expanduser()))


def _scan_parquet(source: str) -> pl.LazyFrame:
    written = os.path.expanduser(source)  # noqa: PTH111 - a glob is no path
    if Path(written).is_dir():
        written = str(Path(written) / "*.parquet")
    try:
        return pl.scan_parquet(source_files(written), glob=False)
    except SourceError as error:
        remedy = f"correct the path; it is seen from {Path.cwd()}"
        raise SourceError(error.what, where=f"--source {error.where}", remedy=remedy) from error


def _columns(lazy: pl.LazyFrame, rows: int) -> dict[str, Column]:
    schema = lazy.collect_schema()
    plain = [name for name, dtype in schema.items() if not dtype.is_nested() and dtype not in (pl.Binary, pl.Object)]
    ordered = [name for name in plain if schema[name] != pl.Boolean]
    missing = lazy.select(pl.all().null_count()).collect().row(0, named=True)
    distinct = lazy.select(pl.col(plain).n_unique()).collect().row(0, named=True)
    low = lazy.select(pl.col(ordered).min()).collect().row(0, named=True)
    found = {}
    for name, dtype in schema.items():
        different = int(distinct.get(name, 0)) - (missing[name] > 0)
        levels = _levels(lazy, name, rows) if name in plain and 0 < different <= FEW_LEVELS else ()
        found[name] = Column(name, dtype, missing[name] / rows, different, low.get(name), levels)
    return found


def _levels(lazy: pl.LazyFrame, name: str, rows: int) -> tuple[tuple[Any, float], ...]:
    counts = lazy.select(pl.col(name).drop_nulls().value_counts(sort=True).struct.unnest()).collect()
    return tuple((value, count / rows) for value, count in counts.rows())


def _written(source: str, project: Path) -> str:
    """The source as a contract names it: from the root of the project where it is below it, else by its whole path."""
    whole = _whole(source)
    if not whole.startswith("$") and Path(whole).is_relative_to(project):
        return Path(whole).relative_to(project).as_posix()
    return whole


def _whole(source: str) -> str:
    """The source by its whole path."""
    if source.startswith("$"):
        return source
    path = Path(os.path.expanduser(source)).absolute()  # noqa: PTH111
    return str(path / "*.parquet" if path.is_dir() and not (path / "_delta_log").is_dir() else path)
