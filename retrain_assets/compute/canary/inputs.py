"""What a canary stage reads its records from: Parquet files, a Delta table by folder or name, an inference table.

Which place an input is, and which version of it, is decided here for both engines; each engine reads it in its own way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from retrain_assets.compute.delta import LoggedTable
from retrain_assets.compute.delta_catalog import storage_location
from retrain_assets.compute.request import StageRequest
from retrain_assets.compute.traffic_schema import EXPOSURE_COLUMNS, OUTCOME_COLUMNS, conform_exposures, conform_outcomes
from retrain_assets.contract import SourceError, StageError, first_line

TABLES = "tables"
"""Parameter: by input ``{"table": CATALOG.SCHEMA.TABLE, "version": n}``; a table in place of an input, the version of either."""

CONFORM = {"exposures": conform_exposures, "outcomes": conform_outcomes}
COLUMNS = {"exposures": EXPOSURE_COLUMNS, "outcomes": OUTCOME_COLUMNS}

_UNREADABLE = (pl.exceptions.PolarsError, OSError)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the records of one input are.

    Args:
        name: ``exposures`` or ``outcomes``.
        path: a Parquet file, a folder of them or of a Delta table; None for a table by name.
        table: CATALOG.SCHEMA.TABLE; None for a path.
        version: version of the Delta table; None: the newest.
    """

    name: str
    path: Path | None
    table: str | None = None
    version: int | None = None

    @classmethod
    def of(cls, request: StageRequest, name: str) -> Place:
        """The place that a request names.

        Raises:
            StageError: when it names none, both, or a path where nothing is.
        """
        named = request.parameters.get(TABLES, {}).get(name, {})
        table, version = named.get("table"), named.get("version")
        if table is not None and name in request.inputs:
            raise StageError(f"{name} are named twice", where=f"stage {request.stage}", remedy="name an input or a table")
        return cls(name, request.input(name) if table is None else None, table, None if version is None else int(version))

    @property
    def is_delta(self) -> bool:
        """Whether it is a Delta table."""
        return self.path is None or (self.path / "_delta_log").is_dir()

    def delta(self) -> LoggedTable:
        """The Delta table, by its own log.

        Raises:
            SourceError: when it, or its version, cannot be had.
        """
        if self.path is not None:
            return LoggedTable.open(str(self.path), str(self.path), self.version)
        assert self.table is not None
        return LoggedTable.open(self.table, storage_location(self.table), self.version)

    def files(self) -> list[Path]:
        """The Parquet files of a place that is no Delta table, by name."""
        assert self.path is not None
        return [self.path] if self.path.is_file() else sorted(self.path.glob("*.parquet"))

    def frames(self) -> Iterator[tuple[str, pl.LazyFrame]]:
        """The records as they are, one file after another, each with what messages call it.

        Raises:
            SourceError: when they cannot be read.
        """
        if self.is_delta:
            table = self.delta()
            yield table.name, pl.scan_delta(table.table)
            return
        for path in self.files():
            yield str(path), pl.scan_parquet(path, glob=False)


def record_batches(place: Place) -> Iterator[pl.LazyFrame]:
    """The records with the documented types, one file after another.

    Raises:
        SourceError: naming the file that cannot be read or has other columns.
    """
    for where, frame in place.frames():
        yield readable(where, partial(CONFORM[place.name], frame, where))


def readable(where: str, ask: Any) -> Any:
    """What is asked of a file.

    Raises:
        SourceError: naming the file when it is not readable.
    """
    try:
        return ask()
    except _UNREADABLE as error:
        raise SourceError(f"is not readable ({first_line(error)})", where=where, remedy="write it again") from error
