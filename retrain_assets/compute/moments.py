"""Moments as literals that can be compared with a time column of any type."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl


def bounds(dtype: pl.DataType, *moments: datetime) -> list[pl.Expr]:
    """Moments as literals comparable with an event time of this type; a type without a timezone is taken as UTC."""
    zone = dtype.time_zone if isinstance(dtype, pl.Datetime) else None
    plain = [moment.astimezone(UTC) for moment in moments]
    if zone is None:
        return [pl.lit(moment.replace(tzinfo=None)) for moment in plain]
    return [pl.lit(moment).dt.convert_time_zone(zone) for moment in plain]
