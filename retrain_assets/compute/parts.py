"""A stored table, whichever engine wrote it: one Parquet file, or a folder of parts in the order of the rows.

Spark has fewer types than Arrow and keeps no facts in its files. So beside a folder ``train.parquet`` stands
``train.parquet.types``, an empty Parquet file with the table's own types and facts; parts are read in these types.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from retrain_assets.contract import StageError, canonical_json

ABOUT = "retrain_assets"
"""Key of the facts about a table in its Parquet file's metadata."""

ROWS_A_PART = 1_000_000
"""Rows of one part, at most: what is in memory of a column at a time."""

_UNREADABLE = (OSError, pl.exceptions.PolarsError)


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table as files.

    Args:
        path: the file, or the folder of parts.
        files: the files with its rows, in their order.
        schema: type by name of its columns.
        about: facts about it; None where there are none.
    """

    path: Path
    files: tuple[Path, ...]
    schema: Mapping[str, pl.DataType]
    about: Any

    @classmethod
    def at(cls, path: Path) -> StoredTable:
        """The table at a path.

        Raises:
            StageError: when it is missing or unreadable.
        """
        said = types_file(path) if path.is_dir() else path
        try:
            about = json.loads(pl.read_parquet_metadata(said).get(ABOUT, "null"))
            schema = pl.read_parquet_schema(said)
        except _UNREADABLE as error:
            raise _damaged(said, error) from error
        return cls(path, tuple(sorted(path.glob("*.parquet"))) if path.is_dir() else (path,), schema, about)

    @property
    def rows(self) -> int:
        """Number of rows, from the footers of the files."""
        counts = [pl.scan_parquet(file, glob=False).select(pl.len()) for file in self.files]
        return sum(int(self._of(file, count).item()) for file, count in zip(self.files, counts, strict=True))

    def read(self) -> pl.DataFrame:
        """All rows.

        Raises:
            StageError: when a file is missing, unreadable or not of these columns.
        """
        parts = [self._of(file, self._typed(file)) for file in self.files]
        return pl.concat(parts, rechunk=True) if parts else pl.DataFrame(schema=self.schema)

    def scan(self) -> pl.LazyFrame:
        """All rows, lazily."""
        parts = [self._typed(file) for file in self.files]
        return pl.concat(parts) if parts else pl.LazyFrame(schema=self.schema)

    def pieces(self, column: str) -> Iterator[pl.Series]:
        """One column, part by part."""
        for file in self.files:
            yield self._of(file, self._typed(file, column)).to_series()

    def _typed(self, file: Path, *columns: str) -> pl.LazyFrame:
        lazy = pl.scan_parquet(file, glob=False)
        if not self.path.is_dir():
            return lazy.select(columns or list(self.schema))
        try:
            found = lazy.collect_schema()
        except _UNREADABLE as error:
            raise _damaged(file, error) from error
        if missing := [name for name in self.schema if name not in found]:
            raise _damaged(file, ValueError(f"column {missing[0]} is missing"))
        return lazy.select(in_type(name, found[name], self.schema[name]) for name in columns or self.schema)

    def _of(self, file: Path, lazy: pl.LazyFrame) -> pl.DataFrame:
        try:
            return lazy.collect()
        except _UNREADABLE as error:
            raise _damaged(file, error) from error


def types_file(path: Path) -> Path:
    """The file beside a folder of parts with the table's types and facts."""
    return path.with_name(path.name + ".types")


def write_types(path: Path, schema: Mapping[str, pl.DataType], about: Mapping[str, Any]) -> None:
    """Say beside a folder of parts what its types and facts are."""
    pl.DataFrame(schema=schema).write_parquet(types_file(path), metadata=about_metadata(about))


def about_metadata(about: Mapping[str, Any]) -> dict[str, str]:
    """Facts as the metadata of a Parquet file."""
    return {ABOUT: canonical_json(dict(about)).decode()}


def remove_parts(path: Path) -> None:
    """Remove a table that an earlier try left, in whichever form."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    types_file(path).unlink(missing_ok=True)


def in_type(name: str, found: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    """A column as Spark gives it in the table's own type: the same values, or an error when it is collected."""
    column = pl.col(name)
    if found == wanted:
        return column
    if wanted == pl.Null:
        return pl.repeat(None, pl.len(), dtype=pl.Null).alias(name)
    if isinstance(found, pl.Datetime) and isinstance(wanted, pl.Datetime) and wanted.time_zone is not None:
        moment = column.dt.replace_time_zone("UTC") if found.time_zone is None else column
        return moment.dt.convert_time_zone(wanted.time_zone).cast(wanted)
    return column.cast(wanted)


def _damaged(path: Path, error: Exception) -> StageError:
    return StageError(f"cannot be read ({error})", where=str(path), remedy="run the stage that writes it again")
