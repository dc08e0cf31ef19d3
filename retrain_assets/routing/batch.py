"""The router's decision for a whole frame: row by row what :func:`compile_rule` gives, column by column where that is quicker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from retrain_assets.contract import RetrainError
from retrain_assets.routing.bucketing import HASHES, cohort_salt, hash_below, routing_key
from retrain_assets.routing.cohort import meeting
from retrain_assets.routing.router import expiry_moment, settled_reason, standing_reason, whole_seconds
from retrain_assets.routing.rule import Reason, RoutingRule

if TYPE_CHECKING:
    import polars as pl

CHUNK = 65_536
"""Salted keys that are in memory at one time; more would only leave the processor's cache."""


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

    refuse_missing(rule, frame.columns, [unit])
    units = _text(frame.get_column(unit), rule.model)
    settled = settled_reason(rule)
    if settled is not None:
        return frame.with_columns(arm=pl.lit("champion"), reason=pl.lit(settled.value))
    expired = _expired(rule, now, frame.height)
    named = (units != "").fill_null(False)
    inside = pl.repeat(True, frame.height, dtype=pl.Boolean, eager=True)
    for name, condition in rule.cohort.items():
        inside &= meeting(frame.get_column(name), condition)
    keys = _routing_keys(units)
    inside &= _below(keys, cohort_salt(rule.salt), hash_below(rule.cohort_share))
    challenged = _below(keys, rule.salt, hash_below(rule.effective_share)) & ~expired & named & inside
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


def refuse_missing(rule: RoutingRule, columns: Sequence[str], asked: Sequence[str]) -> None:
    """Refuse a frame without the asked columns or an attribute of the cohort.

    Raises:
        RetrainError: naming what is missing.
    """
    needed = list(dict.fromkeys([*asked, *rule.cohort]))
    if missing := [name for name in needed if name not in columns]:
        raise RetrainError(
            f"column {', '.join(missing)} is missing",
            where=f"units of {rule.model}",
            remedy=f"give the unit column and the cohort attributes: {', '.join(needed)}",
        )


def _routing_keys(units: pl.Series) -> pl.Series:
    """The text that is hashed for each unit; only units that are not ASCII are looked at one by one."""
    foreign = (units.str.len_bytes() != units.str.len_chars()).fill_null(False)
    return units.scatter(foreign.arg_true(), [routing_key(one) for one in units.filter(foreign)]) if foreign.any() else units


def _below(keys: pl.Series, salt: str, limit: int) -> pl.Series:
    """Whether the hash of salt and key is below a limit; False without a key."""
    import polars as pl
    import polars_hash

    if limit in (0, HASHES):
        return pl.repeat(limit == HASHES, len(keys), dtype=pl.Boolean, eager=True)
    salted = pl.format("{}{}", pl.lit(salt), pl.col("key"))
    hashed = polars_hash.concat_str(salted).nchash.murmur32(seed=0)
    parts = [
        keys.slice(start, CHUNK).alias("key").to_frame().select((hashed < limit).fill_null(False)).to_series()
        for start in range(0, max(len(keys), 1), CHUNK)
    ]
    return pl.concat(parts)


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
