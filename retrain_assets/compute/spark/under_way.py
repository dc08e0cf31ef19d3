"""The Spark session of the stage that is running, for what lies deep below it: a fit on Spark in a back-test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from retrain_assets.compute.estimator import needs_spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_UNDER_WAY: ContextVar[tuple[SparkSession, Path] | None] = ContextVar("Spark session of the stage", default=None)


@contextmanager
def spark_under_way(session: SparkSession, folder: Path) -> Iterator[None]:
    """In this block, and in this thread, fits on Spark use this session.

    Args:
        session: the session.
        folder: where Spark may leave files meanwhile; the driver and every executor must reach it.
    """
    token = _UNDER_WAY.set((session, folder))
    try:
        yield
    finally:
        _UNDER_WAY.reset(token)


def session_under_way(where: str) -> tuple[SparkSession, Path]:
    """The session of the stage, and the folder for its files.

    Raises:
        StageError: when the stage runs on one machine.
    """
    if (found := _UNDER_WAY.get()) is None:
        raise needs_spark(where)
    return found
