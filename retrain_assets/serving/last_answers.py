"""The last requests that a version answered before and after it was taken off, by the exposure log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from retrain_assets.home import Home
from retrain_assets.serving.exposure_log import ExposureLog

BEFORE = timedelta(days=7)
"""How long before it was taken off the log is searched for its last answer."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a version answered around a moment.

    Args:
        last_at: its last logged answer; None where none is logged.
        after: answers after the moment.
    """

    last_at: datetime | None
    after: int


def last_answers(home: Home, model: str, version: str, taken_off: datetime) -> Answers:
    """What a version answered around the moment it was taken off.

    Args:
        home: whose traffic.
        model: the model.
        version: its registry version.
        taken_off: the moment, by the log's clock (data time in a replay), aware.

    Raises:
        SourceError: for traffic files that cannot be read.
    """
    rows = ExposureLog(home).scan_exposures(model, taken_off - BEFORE).filter(pl.col("version") == version)
    found = rows.select(
        pl.col("exposed_at").max().alias("last"), (pl.col("exposed_at") > taken_off).sum().alias("after")
    ).collect()
    return Answers(found["last"].item(), int(found["after"].item() or 0))
