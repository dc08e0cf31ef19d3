"""Reading the source as the contract says: which files, whether they are what the schema expects, and the rows of a period."""

from __future__ import annotations

import difflib
import glob
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from retrain_assets.compute.delta import VersionedTable, open_table
from retrain_assets.compute.moments import bounds as bounds
from retrain_assets.compute.places import located, uri_of
from retrain_assets.compute.source_uri import expand, is_object_storage
from retrain_assets.contract import Source, SourceError, digest_of

if TYPE_CHECKING:
    import pandera.polars

Expected = dict[str, tuple[pl.DataType | None, bool]]

_UNREADABLE = (pl.exceptions.ComputeError, OSError)
_KEPT: ContextVar[Callable[[Path], bool] | None] = ContextVar("files of the source that are read", default=None)


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
        uri: Parquet file or glob, also on a volume; ``$NAME`` and ``${NAME}`` are environment variables, ``RETRAIN_HOME`` falls
            back to the default home.

    Raises:
        SourceError: when a variable is not set or no file is there.
    """
    expanded = expand(uri)
    if is_object_storage(expanded):
        raise SourceError(
            "Parquet files in object storage are not listed",
            where=expanded,
            remedy="reach them through a volume (/Volumes/…), or write a Delta table and set format: delta",
        )
    found = glob.glob(str(located(expanded)), recursive=True)  # noqa: PTH207
    files = sorted(Path(path) for path in found if Path(path).is_file())
    if (keep := _KEPT.get()) is not None:
        files = [path for path in files if keep(path)]
    if not files:
        remedy = "correct source.uri in the contract, or put the Parquet file there"
        if not Path(expanded).is_absolute():
            remedy += f"; it is seen from {Path.cwd()}: start in the project's root, or write the whole path"
        raise SourceError("no such file", where=expanded, remedy=remedy)
    return files


def source_fingerprint(source: Source) -> str:
    """Digest of what says whether a result that rests on the source is of the same source.

    Of files: names, sizes and modification times, so whether anything may have changed since. Of a Delta table: its place and the
    contract's version, and not the newest one: a data set once taken stays, whatever is written to the table later.

    Raises:
        SourceError: as :func:`source_files`.
    """
    if source.is_delta:
        return digest_of({"delta": source.place, "version": source.version})
    states = [(uri_of(path), path.stat()) for path in source_files(source.place)]
    return digest_of([[path, state.st_size, str(state.st_mtime_ns)] for path, state in states])


def source_table(source: Source) -> VersionedTable | None:
    """The source's Delta table at the contract's version or the newest; None for a source of files.

    Raises:
        SourceError: as :func:`retrain_assets.compute.delta.open_table`.
    """
    return open_table(source) if source.is_delta else None


def read_source(
    source: Source,
    schema: type[pandera.polars.DataFrameModel],
    start: datetime,
    end: datetime,
    *,
    table: VersionedTable | None = None,
) -> pl.DataFrame:
    """Source rows with ``start <= event_time < end``, sorted by event time, unit and every other column.

    Args:
        source: the contract's source.
        schema: pandera model of one source row; columns it does not name are left out.
        start: first moment, timezone-aware.
        end: moment after the last, timezone-aware.
        table: the version of a Delta source to read; None: as :func:`source_table`.

    Raises:
        SourceError: when no file is there or none has rows, or a file is truncated or has a column missing, renamed or of
            another type; the message names the file or table version, the column and what the schema expects.
    """
    expected = expected_columns(source, schema)
    if (version := table or source_table(source)) is not None:
        rows = _read_table(version, expected, source.event_time, start, end)
    else:
        rows = _read(file_columns(source, expected), source.event_time, start, end)
    return rows.sort(sort_columns(source, rows.schema), nulls_last=True)


def sort_columns(source: Source, schema: Mapping[str, pl.DataType]) -> list[str]:
    """The columns a snapshot is sorted by, nulls last: event time, unit, then every other in order; nested ones cannot be."""
    keys = [source.event_time, source.unit]
    return [*keys, *(name for name, dtype in schema.items() if name not in keys and not dtype.is_nested())]


def file_columns(source: Source, expected: Expected) -> dict[Path, tuple[str, ...]]:
    """The columns to read of each file of a source.

    Raises:
        SourceError: when no file is there, or one is not as the schema says.
    """
    return {path: _columns(path, expected) for path in source_files(source.place)}


def table_columns(table: VersionedTable, expected: Expected) -> list[str]:
    """The columns to read of a Delta table at a version.

    Raises:
        SourceError: when it is not as the schema says.
    """
    return _check_columns(table.name, table.schema(), expected)


def rows_without_time(source: Source, *, table: VersionedTable | None = None) -> int:
    """Rows of all files, or of a Delta table's version, without an event time. They belong to no period, so that
    :func:`read_source` never gives them.

    Raises:
        SourceError: when no file is there or one cannot be read.
    """
    if (version := table or source_table(source)) is not None:
        return version.count(null=source.event_time)
    paths = source_files(source.place)
    try:
        counts = pl.scan_parquet(paths, glob=False, extra_columns="ignore").select(pl.col(source.event_time).null_count())
        return int(counts.collect().item())
    except _UNREADABLE as error:
        raise _damaged(_first_damaged(paths, (source.event_time,)), error) from error


def expected_columns(source: Source, schema: type[pandera.polars.DataFrameModel]) -> Expected:
    """Type (None: any) and whether it must be there, by name, of every column of the schema.

    Raises:
        SourceError: when a role of the source is no column of it, or the event time is no time.
    """
    columns: Expected = {
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


def _columns(path: Path, expected: Expected) -> tuple[str, ...]:
    """The columns to read of a file that is as the schema says."""
    if path.stat().st_size == 0:
        raise SourceError("is empty (0 bytes)", where=str(path), remedy="write the Parquet file again")
    try:
        found = pl.read_parquet_schema(path)
    except _UNREADABLE as error:
        raise _damaged(path, error) from error
    return tuple(_check_columns(str(path), found, expected))


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
        raise no_rows(", ".join(str(path) for path in columns))
    return pl.concat(frames, how="diagonal")


def _read_table(table: VersionedTable, expected: Expected, event_time: str, start: datetime, end: datetime) -> pl.DataFrame:
    rows = table.rows(table_columns(table, expected), event_time, start, end)
    if rows.is_empty() and table.count() == 0:
        raise no_rows(table.name)
    return rows


def no_rows(where: str) -> SourceError:
    """The error of a source without any row."""
    return SourceError("has no rows", where=where, remedy="write the source again, with its rows")


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


def _check_columns(where: str, found: Mapping[str, pl.DataType], expected: Expected) -> list[str]:
    for name, (dtype, required) in expected.items():
        if name not in found:
            if not required:
                continue
            raise SourceError(
                f"column {name!r} is missing{_renamed(name, found, expected)}",
                where=where,
                remedy=f"the schema expects {name}: {dtype}; write the column under that name or change the schema",
            )
        if dtype is not None and found[name] != dtype:
            raise SourceError(
                f"column {name!r} is {found[name]}",
                where=where,
                remedy=f"the schema expects {name}: {dtype}; write the column with that type or change the schema",
            )
    return [name for name in expected if name in found]


def _renamed(name: str, found: Mapping[str, pl.DataType], expected: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, [other for other in found if other not in expected], n=1)
    return f" (there is {close[0]!r}; was it renamed?)" if close else ""
