"""Features that only say when a row was: they are as new as its time, and repeat a year later."""

from __future__ import annotations

import polars as pl

ROWS_A_DAY = 3
"""Fewest rows a day, on average, that tell a feature of the calendar."""
PURE_DAYS = 0.8
"""Share of the rows with an unusual value that stand among their like all day: a month may end within a day of UTC."""


def is_calendar(values: pl.Series, moments: pl.Series | None) -> bool:
    """Whether a feature that varies is the same for all rows of a UTC day: whole numbers, truth values, text; e.g. a month.

    Args:
        values: the feature.
        moments: event time of its rows; None where it is not known, and then nothing is of the calendar.
    """
    dtype = values.dtype
    if moments is None or not (dtype.is_integer() or dtype in (pl.Boolean, pl.String)):
        return False
    rows = pl.DataFrame({"day": moments.cast(pl.Datetime("us")).dt.truncate("1d"), "value": values})
    days = rows.group_by("day").agg(pure=pl.col("value").n_unique() == 1)
    if rows.height < ROWS_A_DAY * days.height:
        return False
    usual = rows["value"].drop_nulls().mode().sort()
    unusual = rows.filter(pl.col("value") != usual[0]).join(days, on="day") if len(usual) else rows.clear()
    return unusual.height > 0 and float(unusual["pure"].mean()) >= PURE_DAYS  # type: ignore[arg-type]
