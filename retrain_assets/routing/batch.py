"""The router's decision for a whole frame: row by row what :func:`compile_rule` gives, column by column where that is quicker."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import mmh3

from retrain_assets.contract import RetrainError
from retrain_assets.routing.bucketing import TOTAL_WEIGHT, first_hash_beyond, routing_key, weight_of
from retrain_assets.routing.cohort import meeting
from retrain_assets.routing.router import expiry_moment, settled_reason, standing_reason, whole_seconds
from retrain_assets.routing.rule import Reason, RoutingRule

if TYPE_CHECKING:
    import polars as pl

CHUNK = 16_384
"""Keys that are Python texts at one time; more would only leave the processor's cache."""


def assign_frame(rule: RoutingRule, frame: pl.DataFrame, unit: str, now: datetime | pl.Series) -> pl.DataFrame:
    """The frame with ``arm`` and ``reason`` (text) added; row by row what :func:`compile_rule` gives.

    Args:
        rule: the model's rule.
        frame: one row per request, with the unit column and one column per cohort attribute.
        unit: name of the unit column (text or integers; integers count as their decimal text).
        now: the moment of the requests, one for all or one each (aware, UTC).

    Raises:
        RetrainError: where the unit column or an attribute column is missing, the unit column is neither text nor integer, or a
            moment has no time zone.
    """
    import polars as pl

    missing = [name for name in (unit, *rule.cohort) if name not in frame.columns]
    if missing:
        raise RetrainError(
            f"column {', '.join(missing)} is missing",
            where=f"units of {rule.model}",
            remedy=f"give the unit column and the cohort attributes: {', '.join((unit, *rule.cohort))}",
        )
    units = _text(frame.get_column(unit), rule.model)
    settled = settled_reason(rule)
    if settled is not None:
        return frame.with_columns(arm=pl.lit("champion"), reason=pl.lit(settled.value))
    expired = _expired(rule, now, frame.height)
    named = (units != "").fill_null(False)
    inside = pl.repeat(True, frame.height, eager=True)
    for name, condition in rule.cohort.items():
        inside &= meeting(frame.get_column(name), condition)
    deciding = ~expired & named & inside
    challenged = deciding.scatter(deciding.arg_true(), _challenged(rule, units.filter(deciding)))
    return frame.with_columns(
        arm=pl.when(challenged).then(pl.lit("challenger")).otherwise(pl.lit("champion")),
        reason=pl.when(expired)
        .then(pl.lit(Reason.EXPIRED.value))
        .when(~named)
        .then(pl.lit(Reason.NO_UNIT.value))
        .when(~inside)
        .then(pl.lit(Reason.COHORT_EXCLUDED.value))
        .otherwise(pl.lit(standing_reason(rule).value)),
    )


def _challenged(rule: RoutingRule, units: pl.Series) -> pl.Series:
    """Whether each unit's bucket is the challenger's."""
    import numpy as np
    import polars as pl

    limit = first_hash_beyond(weight_of(rule.effective_share), TOTAL_WEIGHT)
    hashes = np.empty(len(units), dtype=np.int64)
    for start in range(0, len(units), CHUNK):
        part = units.slice(start, CHUNK)
        plain = (part.str.len_bytes() == part.str.len_chars()).all()
        keys = (rule.salt + part).to_list() if plain else [rule.salt + routing_key(one) for one in part]
        hashes[start : start + CHUNK] = np.fromiter(map(mmh3.hash, keys), dtype=np.int64, count=len(keys))
    return pl.Series((hashes & 0xFFFF_FFFF) < limit)


def _expired(rule: RoutingRule, now: datetime | pl.Series, height: int) -> pl.Series:
    """Whether the rule is expired at each moment."""
    import polars as pl

    expiry = expiry_moment(rule)
    if isinstance(now, datetime):
        return pl.repeat(whole_seconds(now) >= whole_seconds(expiry), height, eager=True)
    if not (isinstance(now.dtype, pl.Datetime) and now.dtype.time_zone) or now.null_count():
        raise RetrainError(
            f"moments of type {now.dtype} with {now.null_count()} missing",
            where=f"units of {rule.model}",
            remedy="give every row an aware UTC time",
        )
    return now.dt.cast_time_unit("us").dt.convert_time_zone("UTC") >= expiry


def _text(units: pl.Series, model: str) -> pl.Series:
    import polars as pl

    if units.dtype.is_integer() or units.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        return units.cast(pl.String)
    raise RetrainError(
        f"unit column {units.name!r} has type {units.dtype}", where=f"units of {model}", remedy="give text or integers"
    )
