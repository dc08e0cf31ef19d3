"""Delta tables as sources: which version a retrain reads, pinned once, and its rows through delta-rs and Polars."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from retrain_assets.compute.moments import bounds
from retrain_assets.compute.places import located
from retrain_assets.compute.source_uri import expand, is_object_storage, storage_options
from retrain_assets.contract import Source, SourceError, first_line

if TYPE_CHECKING:
    from deltalake import DeltaTable

PINNED = "source.json"
"""File in the data set stage's directory that names the version it reads, written before the first row is read."""


@dataclass(frozen=True, slots=True)
class TableVersion:
    """One version of a Delta table.

    Args:
        place: what the contract calls the table, its URI or its name.
        version: number of the version.
        table_id: id the table was made with; another table at the same place has another.
        committed_at: when the version was committed, ISO-8601 UTC; None where the log does not tell any more.
        operation: what made it (``WRITE``, ``MERGE`` …); None where the log does not tell any more.
    """

    place: str
    version: int
    table_id: str
    committed_at: str | None = None
    operation: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As in the metadata of a stage and in :data:`PINNED`."""
        return asdict(self)


class VersionedTable(Protocol):
    """A Delta table at one version, whoever reads it."""

    @property
    def at(self) -> TableVersion:
        """Which version this is."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def schema(self) -> dict[str, pl.DataType]:
        """Type by name of its columns.

        Raises:
            SourceError: when it cannot be read.
        """

    def rows(self, columns: list[str], event_time: str, low: datetime, high: datetime) -> pl.DataFrame:
        """Rows with ``low <= event_time < high``; the table is asked for nothing else.

        Raises:
            SourceError: when files of the version are gone or cannot be read.
        """

    def count(self, null: str | None = None) -> int:
        """Number of rows, or of rows where a column is null.

        Raises:
            SourceError: as :meth:`rows`.
        """


def open_table(source: Source, version: int | None = None) -> VersionedTable:
    """The source's Delta table at a version: the one asked for, else the contract's, else the newest.

    A table of Unity Catalog is read by the Spark session of a Databricks job; where the session has no Delta, or there is none,
    its files are read where the catalog says that they are.

    Raises:
        SourceError: when there is no such table or version, or it cannot be reached; the message names the versions there are.
    """
    from retrain_assets.compute.delta_catalog import session_table, storage_location

    wanted = version if version is not None else source.version
    if source.table is not None:
        return session_table(source.table, wanted) or LoggedTable.open(source.table, storage_location(source.table), wanted)
    return LoggedTable.open(source.place, _location(expand(source.place)), wanted)


def pinned_table(
    folder: Path, source: Source, version: int | None = None, *, usable: Callable[[VersionedTable], object] = lambda _: None
) -> VersionedTable:
    """The table at the version that a retrain reads: resolved by its first try, the same in every later one.

    Args:
        folder: the data set stage's directory.
        source: the contract's source.
        version: the version to read whatever the newest is; None: what is pinned, else as :func:`open_table`.
        usable: raises for a version that is not as the contract says; such a version is not pinned, so that the next try reads
            what the table has become.

    Raises:
        SourceError: as :func:`open_table`; when another table is at the place now, or the pinned version cannot be read any more.
    """
    path = folder / PINNED
    pinned = _pinned(path)
    wanted = version if version is not None else source.version
    if pinned is None or pinned.place != source.place or (wanted is not None and wanted != pinned.version):
        table = open_table(source, version)
        usable(table)
        folder.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(path.name + ".writing")
        scratch.write_text(json.dumps(table.at.to_json()))
        scratch.replace(path)
        return table
    table = open_table(source, pinned.version)
    if table.at.table_id != pinned.table_id:
        raise SourceError(
            f"is another table now (id {table.at.table_id}) than the one whose version {pinned.version} this retrain reads "
            f"(id {pinned.table_id})",
            where=source.place,
            remedy="launch a new retrain, which reads the table that is there now",
        )
    return table


@dataclass(frozen=True)
class LoggedTable:
    """A table read by its own log, through delta-rs."""

    at: TableVersion
    table: DeltaTable

    @classmethod
    def open(cls, place: str, location: str, version: int | None) -> LoggedTable:
        """The table in a folder or object storage; the newest version where none is asked for."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        options = storage_options(location)
        try:
            newest = DeltaTable(location, storage_options=options)
        except TableNotFoundError as error:
            raise _no_table(place, location) from error
        except (DeltaError, OSError, ValueError) as error:
            raise _unreachable(place, location, error) from error
        table = newest
        if version is not None and version != newest.version():
            try:
                table = DeltaTable(location, version=version, storage_options=options)
            except (DeltaError, OSError, OverflowError) as error:
                raise _no_version(place, version, newest) from error
        _refuse_quoted(place, location, table)
        return cls(_described(place, table, newest), table)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.at.place} version {self.at.version}"

    def schema(self) -> dict[str, pl.DataType]:
        """Type by name of its columns."""
        return dict(self._answered(lambda: self._scan().collect_schema()))

    def rows(self, columns: list[str], event_time: str, low: datetime, high: datetime) -> pl.DataFrame:
        """Rows of the period; files whose statistics say that they hold none are not opened."""
        lower, upper = bounds(self.schema()[event_time], low, high)
        moment = pl.col(event_time)
        asked = self._scan().select(columns).filter((moment >= lower) & (moment < upper))
        frame: pl.DataFrame = self._answered(asked.collect)
        return frame

    def count(self, null: str | None = None) -> int:
        """Number of rows, or of rows where a column is null."""
        asked = pl.len() if null is None else pl.col(null).null_count()
        return int(self._answered(lambda: self._scan().select(asked).collect().item()))

    def files(self) -> list[str]:
        """The Parquet files that hold exactly the rows of this version, for a reader that knows no Delta.

        Raises:
            SourceError: when the files alone do not tell: rows are deleted by vectors, or columns have other names in them.
        """
        configuration = self.table.metadata().configuration
        mapped = configuration.get("delta.columnMapping.mode", "none") != "none"
        if mapped or self.table.metadata().partition_columns or len(pl.DataFrame(self.table.deletion_vectors())):
            why = "column mapping" if mapped else "deletion vectors or partition columns that its files do not hold"
            raise SourceError(
                f"has {why}, and this Spark session has no Delta",
                where=self.name,
                remedy="run the stage on Databricks, or set engine: single_node",
            )
        return [uri.removeprefix("file://") for uri in self.table.file_uris()]

    def _scan(self) -> pl.LazyFrame:
        return pl.scan_delta(self.table, storage_options=storage_options(self.table.table_uri))

    def _answered(self, ask: Any) -> Any:
        from deltalake.exceptions import DeltaError, DeltaProtocolError

        try:
            return ask()
        except DeltaProtocolError as error:
            raise SourceError(
                f"cannot be read without Spark ({first_line(error)})",
                where=self.name,
                remedy="run the stage on Databricks, or write the table without that feature",
            ) from error
        except FileNotFoundError as error:
            raise self._files_gone(error) from error
        except (DeltaError, OSError, pl.exceptions.ComputeError) as error:
            if is_object_storage(self.table.table_uri):
                raise _unreachable(self.name, self.table.table_uri, error) from error
            raise SourceError(
                f"a data file is not readable ({first_line(error)})", where=self.name, remedy="mend the table (RESTORE)"
            ) from error

    def _files_gone(self, error: OSError) -> SourceError:
        return SourceError(
            f"a data file is gone ({first_line(error)}), most likely removed by VACUUM",
            where=self.name,
            remedy="read a version whose files are kept (source.version, or a new retrain, which reads the newest); to keep "
            "versions longer raise delta.deletedFileRetentionDuration",
        )


def _described(place: str, table: DeltaTable, newest: DeltaTable) -> TableVersion:
    """The version with what the log says of it; asked of the newest, for delta-rs numbers an older one's history wrongly."""
    version = table.version()
    told = newest.history(newest.version() - version + 1)
    said = next((entry for entry in told if entry.get("version") == version), {})
    moment = said.get("timestamp")
    committed = None if moment is None else (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)).isoformat()
    return TableVersion(place, version, str(table.metadata().id), committed, said.get("operation"))


def _no_version(place: str, version: int, newest: DeltaTable) -> SourceError:
    first, last = _readable_from(newest), newest.version()
    there = f"versions {first} to {last} can be read" if first < last else f"only version {last} can be read"
    why = "does not exist" if version > last else "cannot be read any more: the log before it was cleaned up"
    return SourceError(
        f"version {version} {why}; {there}",
        where=place,
        remedy="correct source.version, or launch a new retrain; to keep versions longer raise delta.logRetentionDuration",
    )


def _readable_from(newest: DeltaTable) -> int:
    """The first version whose log is there; every later one is, too."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    low, high = 0, newest.version()
    while low < high:
        middle = (low + high) // 2
        try:
            DeltaTable(newest.table_uri, version=middle, storage_options=storage_options(newest.table_uri))
            high = middle
        except (DeltaError, OSError):
            low = middle + 1
    return high


def _no_table(place: str, location: str) -> SourceError:
    folder = located(location)
    if not is_object_storage(location) and not folder.exists():
        return SourceError("no such folder", where=place, remedy="correct source.uri in the contract, or make the table there")
    return SourceError(
        "is not a Delta table: it has no log (_delta_log) that can be read",
        where=place,
        remedy="correct source.uri, write format: parquet for plain files, or RESTORE the table's log",
    )


def _unreachable(place: str, location: str, error: Exception) -> SourceError:
    remedy = "mend the table's log, or correct source.uri"
    if is_object_storage(location):
        remedy = "set credentials for the storage in the environment (AWS_…, AZURE_… or GOOGLE_…) and check the URI"
    return SourceError(f"cannot be read ({first_line(error)})", where=place, remedy=remedy)


def _refuse_quoted(place: str, location: str, table: DeltaTable) -> None:
    """delta-rs names the files of such a folder with escapes that Polars does not undo."""
    files = () if is_object_storage(location) else table.file_uris()[:1]
    if any(not uri.removeprefix("file://").startswith(location.rstrip("/")) for uri in files):
        raise SourceError(
            f"its path {location!r} has blanks or other characters that URIs escape, and cannot be read",
            where=place,
            remedy="move the table to a path of letters, digits, -, _ and .",
        )


def _pinned(path: Path) -> TableVersion | None:
    try:
        return TableVersion(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise SourceError(
            f"does not name a version ({first_line(error)})", where=str(path), remedy="remove it to read the newest version"
        ) from error


def _location(uri: str) -> str:
    return uri if "://" in uri else str(located(uri).absolute())
