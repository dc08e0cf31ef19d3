"""Tables of Unity Catalog: read by the Spark session of a Databricks job, or by the files that the catalog names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import polars as pl

from retrain_assets.compute.delta import TableVersion, VersionedTable
from retrain_assets.compute.places import is_on_volume, located
from retrain_assets.contract import SourceError, first_line

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

RUNTIME = "DATABRICKS_RUNTIME_VERSION"
"""Environment variable that is set inside a Databricks job."""


def session_table(name: str, version: int | None) -> VersionedTable | None:
    """A table as the Spark session of this Databricks job reads it; None outside a job, or where the session has no Delta.

    Raises:
        SourceError: when the catalog has no such table or version, or does not let it be read.
    """
    if RUNTIME not in os.environ:
        return None
    from retrain_assets.compute.spark.session import session_of

    session = session_of(None)
    return SessionTable.open(session, name, version) if has_delta(session) else None


def storage_location(name: str) -> str:
    """Where the files of a table are, as the workspace says.

    Raises:
        SourceError: outside any workspace, or when the workspace has no such table or does not tell.
    """
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.errors.base import DatabricksError

    try:
        location = WorkspaceClient().tables.get(name).storage_location
    except ValueError as error:
        raise SourceError(
            f"is a table of Unity Catalog, and no workspace is known here ({first_line(error)})",
            where=f"source.table {name}",
            remedy="set DATABRICKS_HOST and credentials, run the stage on Databricks, or name the table's folder: "
            "source.uri with format: delta",
        ) from error
    except (DatabricksError, OSError) as error:
        raise SourceError(
            f"the workspace does not give the table ({first_line(error)})",
            where=f"source.table {name}",
            remedy="correct source.table, or grant USE CATALOG, USE SCHEMA and SELECT on it to whoever runs the stage",
        ) from error
    if not location:
        raise SourceError(
            "has no files of its own (a view, or a table of another system)",
            where=f"source.table {name}",
            remedy="name a Delta table",
        )
    plain = unquote(location.removeprefix("file://")) if location.startswith("file://") else location.removeprefix("dbfs:")
    return str(located(plain)) if is_on_volume(plain) else plain


def has_delta(session: SparkSession) -> bool:
    """Whether a Spark session can read Delta tables."""
    from pyspark.errors import PySparkException

    try:
        _ = session.read.format("delta").load("/no/such/table").schema
    except Exception as error:
        # Spark 4.3 hands on what the JVM raises for a data source it has not, instead of an error of its own.
        if not isinstance(error, PySparkException) and "DATA_SOURCE_NOT_FOUND" not in str(error):
            raise
        return "DATA_SOURCE_NOT_FOUND" not in str(error)
    return True


@dataclass(frozen=True)
class SessionTable:
    """A table by name, read by a Spark session that knows Delta."""

    at: TableVersion
    session: SparkSession

    @classmethod
    def open(cls, session: SparkSession, name: str, version: int | None) -> SessionTable:
        """The table at a version; the newest where none is asked for."""
        quoted = ".".join(f"`{part}`" for part in name.split("."))
        told = ("version", "unix_millis(timestamp) AS committed_ms", "operation")
        history = _asked(name, lambda: session.sql(f"DESCRIBE HISTORY {quoted}").selectExpr(*told).orderBy("version").collect())
        versions = {int(row["version"]): row for row in history}
        chosen = max(versions, default=None) if version is None else version
        if chosen is None or chosen not in versions:
            there = f"versions {min(versions)} to {max(versions)} are kept" if versions else "it has no history"
            raise SourceError(
                f"version {chosen} does not exist; {there}",
                where=f"source.table {name}",
                remedy="correct source.version, or launch a new retrain",
            )
        table_id = _asked(name, lambda: session.sql(f"DESCRIBE DETAIL {quoted}").first())["id"]
        committed = datetime.fromtimestamp(versions[chosen]["committed_ms"] / 1000, UTC).isoformat()
        return cls(TableVersion(name, chosen, str(table_id), committed, versions[chosen]["operation"]), session)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.at.place} version {self.at.version}"

    def frame(self) -> DataFrame:
        """The version as a Spark frame."""
        return self.session.read.option("versionAsOf", self.at.version).table(self.at.place)

    def schema(self) -> dict[str, pl.DataType]:
        """Type by name of its columns."""
        return dict(self._collected(lambda: self.frame().limit(0)).schema)

    def rows(self, columns: list[str], event_time: str, low: datetime, high: datetime) -> pl.DataFrame:
        """Rows of the period."""
        from retrain_assets.compute.spark.session import between

        found = self.frame().select(*columns)
        return self._collected(lambda: found.where(between(found, event_time, low, high)))

    def count(self, null: str | None = None) -> int:
        """Number of rows, or of rows where a column is null."""
        frame = self.frame()
        return int(_asked(self.name, lambda: (frame if null is None else frame.where(frame[null].isNull())).count()))

    def _collected(self, frame: Any) -> pl.DataFrame:
        rows = pl.DataFrame(_asked(self.name, lambda: frame().toArrow()))
        zoned = [name for name, dtype in rows.schema.items() if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None]
        return rows.with_columns(pl.col(zoned).dt.convert_time_zone("UTC"))


def _asked(where: str, ask: Any) -> Any:
    from pyspark.errors import PySparkException

    try:
        return ask()
    except PySparkException as error:
        raise SourceError(
            f"the Spark session does not give the table ({first_line(error)})",
            where=f"source.table {where}",
            remedy="correct source.table or source.version, or grant SELECT on it to whoever runs the stage",
        ) from error
