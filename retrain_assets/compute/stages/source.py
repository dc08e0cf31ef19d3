"""Reading the source as the contract says: which files, whether they are what the schema expects, and the rows of a period."""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from retrain_assets.contract import Source, SourceError, digest_of
from retrain_assets.home import Home

if TYPE_CHECKING:
    import pandera.polars

_UNREADABLE = (pl.exceptions.ComputeError, OSError)
_KEPT: ContextVar[Callable[[Path], bool] | None] = ContextVar("files of the source that are read", default=None)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@contextmanager
def only_files(keep: Callable[[Path], bool]) -> Iterator[None]:
    """In this block, and in this thread, the source has only the files that are kept: those that were there at a time."""
    token = _KEPT.set(keep)
    try:
        yield
    finally:
        _KEPT.reset(token)


def source_files(uri: str) -> list[Path]:
    """The files a source URI names, sorted.

    Args:
        uri: Parquet file or glob; ``$NAME`` and ``${NAME}`` are environment variables, ``RETRAIN_HOME`` falls back to the
            default home.

    Raises:
        SourceError: when a variable is not set or no file is there.
    """
    expanded = _expand(uri)
    files = sorted(Path(path) for path in glob.glob(expanded, recursive=True) if Path(path).is_file())  # noqa: PTH207
    if (keep := _KEPT.get()) is not None:
        files = [path for path in files if keep(path)]
    if not files:
        raise SourceError(
            "no such file", where=expanded, remedy="correct source.uri in the contract, or put the Parquet file there"
        )
    return files


def source_fingerprint(source: Source) -> str:
    """Digest of names, sizes and modification times of the source's files: whether anything may have changed since.

    Raises:
        SourceError: as :func:`source_files`.
    """
    states = [(str(path), path.stat()) for path in source_files(source.place)]
    return digest_of([[path, state.st_size, str(state.st_mtime_ns)] for path, state in states])


def read_source(source: Source, schema: type[pandera.polars.DataFrameModel], start: datetime, end: datetime) -> pl.DataFrame:
    """Source rows with ``start <= event_time < end``, sorted by event time, unit and every other column.

    Args:
        source: the contract's source.
        schema: pandera model of one source row; columns it does not name are left out.
        start: first moment, timezone-aware.
        end: moment after the last, timezone-aware.

    Raises:
        SourceError: when no file is there or none has rows, or a file is truncated or has a column missing, renamed or of
            another type; the message names the file, the column and what the schema expects.
    """
    expected = _expected_columns(source, schema)
    columns = {path: _columns(path, expected) for path in source_files(source.place)}
    rows = _read(columns, source.event_time, start, end)
    keys = [source.event_time, source.unit]
    others = [name for name, dtype in rows.schema.items() if name not in keys and not dtype.is_nested()]
    return rows.sort([*keys, *others], nulls_last=True)


def rows_without_time(source: Source) -> int:
    """Rows of all files without an event time. They belong to no period, so that :func:`read_source` never gives them.

    Raises:
        SourceError: when no file is there or one cannot be read.
    """
    paths = source_files(source.place)
    try:
        counts = pl.scan_parquet(paths, glob=False, extra_columns="ignore").select(pl.col(source.event_time).null_count())
        return int(counts.collect().item())
    except _UNREADABLE as error:
        raise _damaged(_first_damaged(paths, (source.event_time,)), error) from error


def bounds(dtype: pl.DataType, *moments: datetime) -> list[pl.Expr]:
    """Moments as literals comparable with an event time of this type; a type without a timezone is taken as UTC."""
    zone = dtype.time_zone if isinstance(dtype, pl.Datetime) else None
    plain = [moment.astimezone(UTC) for moment in moments]
    if zone is None:
        return [pl.lit(moment.replace(tzinfo=None)) for moment in plain]
    return [pl.lit(moment).dt.convert_time_zone(zone) for moment in plain]


def _expand(uri: str) -> str:
    def value(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        if name in os.environ:
            return os.environ[name]
        if name == "RETRAIN_HOME":
            return str(Home.from_environment().root)
        raise SourceError(f"environment variable {name} is not set", where=f"source.uri {uri}", remedy=f"set {name}")

    return _VARIABLE.sub(value, uri)


def _expected_columns(source: Source, schema: type[pandera.polars.DataFrameModel]) -> dict[str, tuple[pl.DataType | None, bool]]:
    columns: dict[str, tuple[pl.DataType | None, bool]] = {
        name: (column.dtype.type if column.dtype is not None else None, bool(column.required))
        for name, column in schema.to_schema().columns.items()
    }
    for role in ("event_time", "unit", "label"):
        name = getattr(source, role)
        if name not in columns:
            raise SourceError(
                f"source.{role} {name!r} is not a column of the schema",
                where=source.schema_,
                remedy=f"add it to the schema or correct source.{role}; the schema has {', '.join(columns)}",
            )
    moment = columns[source.event_time][0]
    if moment is None or not (moment == pl.Datetime or moment == pl.Date):
        raise SourceError(
            f"source.event_time {source.event_time!r} is {moment} in the schema",
            where=source.schema_,
            remedy="make it a Datetime in UTC, so that rows can be split by time",
        )
    return columns


def _columns(path: Path, expected: Mapping[str, tuple[pl.DataType | None, bool]]) -> tuple[str, ...]:
    """The columns to read of a file that is as the schema says."""
    if path.stat().st_size == 0:
        raise SourceError("is empty (0 bytes)", where=str(path), remedy="write the Parquet file again")
    try:
        found = pl.read_parquet_schema(path)
    except _UNREADABLE as error:
        raise _damaged(path, error) from error
    return tuple(_check_columns(path, found, expected))


def _read(columns: Mapping[Path, tuple[str, ...]], event_time: str, start: datetime, end: datetime) -> pl.DataFrame:
    rows, frames = 0, []
    for wanted in sorted(set(columns.values())):
        paths = [path for path, names in columns.items() if names == wanted]
        try:
            found, frame = _scan(paths, wanted, event_time, start, end)
        except _UNREADABLE as error:
            raise _damaged(_first_damaged(paths, wanted), error) from error
        rows += found
        frames.append(frame)
    if rows == 0:
        where = ", ".join(str(path) for path in columns)
        raise SourceError("has no rows", where=where, remedy="write the Parquet file again, with its rows")
    return pl.concat(frames, how="diagonal")


def _scan(
    paths: list[Path], columns: tuple[str, ...], event_time: str, start: datetime, end: datetime
) -> tuple[int, pl.DataFrame]:
    lazy = pl.scan_parquet(paths, glob=False)
    low, high = bounds(lazy.collect_schema()[event_time], start, end)
    moment = pl.col(event_time)
    frame = lazy.select(columns).filter((moment >= low) & (moment < high)).collect()
    return int(lazy.select(pl.len()).collect().item()), frame


def _first_damaged(paths: list[Path], columns: tuple[str, ...]) -> Path:
    for path in paths:
        try:
            pl.scan_parquet(path, glob=False).select(columns).collect()
        except _UNREADABLE:
            return path
    return paths[0]


def _damaged(path: Path, error: Exception) -> SourceError:
    return SourceError(
        f"is not a readable Parquet file, truncated or damaged ({error})", where=str(path), remedy="write the file again"
    )


def _check_columns(
    path: Path, found: Mapping[str, pl.DataType], expected: Mapping[str, tuple[pl.DataType | None, bool]]
) -> list[str]:
    for name, (dtype, required) in expected.items():
        if name not in found:
            if not required:
                continue
            raise SourceError(
                f"column {name!r} is missing{_renamed(name, found, expected)}",
                where=str(path),
                remedy=f"the schema expects {name}: {dtype}; write the column under that name or change the schema",
            )
        if dtype is not None and found[name] != dtype:
            raise SourceError(
                f"column {name!r} is {found[name]}",
                where=str(path),
                remedy=f"the schema expects {name}: {dtype}; write the column with that type or change the schema",
            )
    return [name for name in expected if name in found]


def _renamed(name: str, found: Mapping[str, pl.DataType], expected: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, [other for other in found if other not in expected], n=1)
    return f" (there is {close[0]!r}; was it renamed?)" if close else ""
