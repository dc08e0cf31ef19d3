"""The Spark session of a stage, its settings that results depend on, and how it names files and moments."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from retrain_assets.compute.places import is_on_volume
from retrain_assets.compute.side_by_side import usable_cores
from retrain_assets.contract import StageError, first_line
from retrain_assets.contract.compute import SparkSession as Settings

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

STEADY = {"spark.sql.session.timeZone": "UTC", "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS"}
"""Settings that a stage makes while it runs, because its results depend on them."""

_FRUGAL = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
}


def session_of(settings: Settings | None) -> SparkSession:
    """The session this process has, such as that of a Databricks job; else a new one.

    Args:
        settings: master and settings of a new session, from ``compute.spark``; None: this machine's cores. A session that is
            there already keeps its own.

    Raises:
        StageError: when PySpark or Java is not installed, or the session cannot be started.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise StageError("PySpark is not installed", where="engine spark", remedy="install pyspark") from error
    try:
        return SparkSession.active()  # of any thread; a builder would set its settings on a session that is there
    except PySparkException as error:
        if error.getCondition() != "NO_ACTIVE_OR_DEFAULT_SESSION":
            raise
    builder = SparkSession.builder.appName("retrain_assets")
    if "DATABRICKS_RUNTIME_VERSION" not in os.environ:
        builder = _local(builder, settings or Settings())
    try:
        return builder.getOrCreate()
    except (PySparkException, RuntimeError, OSError) as error:
        raise StageError(
            f"the session cannot be started ({first_line(error)})", where="engine spark", remedy="correct compute.spark"
        ) from error


@contextmanager
def steady(session: SparkSession) -> Iterator[SparkSession]:
    """In this block the session's time zone is UTC and times are written as microseconds; afterwards all is as it was.

    A plan takes the zone when it is made, so that frames must be made and used inside.
    """
    from pyspark.errors import PySparkException

    before: dict[str, str | None] = {}
    for name, value in STEADY.items():
        try:
            before[name] = session.conf.get(name, None)
            session.conf.set(name, value)
        except PySparkException as error:
            if name == "spark.sql.session.timeZone":
                raise StageError(
                    f"{name} cannot be set to UTC ({first_line(error)})", where="engine spark", remedy="allow it in the session"
                ) from error
            before.pop(name, None)
    try:
        yield session
    finally:
        for name, earlier in before.items():
            if earlier is None:
                session.conf.unset(name)
            else:
                session.conf.set(name, earlier)


def spark_path(path: Path | str) -> str:
    """What Spark calls a place: paths on a volume of Databricks and URIs as they are, paths of this machine as ``file:``."""
    text = str(path)
    if "://" in text or is_on_volume(text):
        return text
    return f"file://{Path(text).absolute()}"


def between(frame: DataFrame, column: str, low: datetime, high: datetime) -> Column:
    """Whether a time column is in ``[low, high)``; a column without a time zone is taken as UTC, whatever the session's is."""
    return (frame[column] >= moment(frame, column, low)) & (frame[column] < moment(frame, column, high))


def moment(frame: DataFrame, column: str, at: datetime) -> Column:
    """A moment as a literal that can be compared with a time column."""
    from pyspark.sql import functions as sf
    from pyspark.sql.types import TimestampType

    plain = at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
    zoned = isinstance(frame.schema[column].dataType, TimestampType)
    return sf.lit(f"{plain}+00:00").cast("timestamp") if zoned else sf.lit(plain).cast("timestamp_ntz")


def _local(builder: SparkSession.Builder, settings: Settings) -> SparkSession.Builder:
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        raise StageError(
            "Spark needs Java", where="engine spark", remedy="install a Java runtime, 17 or later, or set engine: single_node"
        )
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    sized = {"spark.driver.memory": f"{max(1024, pages // 2)}m", "spark.sql.shuffle.partitions": str(4 * usable_cores())}
    for name, value in {**_FRUGAL, **sized, **settings.conf}.items():
        builder = builder.config(name, value)
    return builder.master(settings.master)
