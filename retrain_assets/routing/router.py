"""From a rule and a unit to an arm. The same decision for one request and for a whole frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import repeat
from typing import TYPE_CHECKING, Any

from retrain_assets.contract import RetrainError
from retrain_assets.routing.bucketing import TOTAL_WEIGHT, bucket_of, routing_key, weight_of
from retrain_assets.routing.cohort import predicates
from retrain_assets.routing.rule import SHADOW, Arm, Assignment, Reason, RoutingRule, VersionRef

if TYPE_CHECKING:
    import polars as pl

Router = Callable[[str | None, Mapping[str, Any], datetime], Assignment]


def compile_rule(rule: RoutingRule) -> Router:
    """A function ``(unit, attributes, now) -> Assignment``; everything that does not depend on the request is done here.

    The function never raises for a request: a unit that cannot take part gets the champion and the reason. ``now`` must be aware.
    """
    decide = _decision(rule)
    nobody = VersionRef(version="", bundle="")
    champion = rule.champion or nobody
    challenger = rule.challenger or nobody

    def assign(unit: str | None, attributes: Mapping[str, Any], now: datetime) -> Assignment:
        arm, reason = decide(unit, attributes, now)
        served = challenger if arm == "challenger" else champion
        inside = reason.in_experiment
        return Assignment(
            unit=unit,
            arm=arm,
            version=served.version,
            bundle=served.bundle,
            toggle=rule.toggle if inside else None,
            revision=rule.revision if inside else 0,
            stage=rule.stage if inside else None,
            reason=reason,
        )

    return assign


def assign_frame(rule: RoutingRule, frame: pl.DataFrame, unit: str, now: datetime | pl.Series) -> pl.DataFrame:
    """The frame with ``arm`` and ``reason`` (text) added; row by row what :func:`compile_rule` gives.

    Args:
        rule: the model's rule.
        frame: one row per request, with the unit column and one column per cohort attribute.
        unit: name of the unit column (text or integers; integers count as their decimal text).
        now: the moment of the requests, one for all or one each (aware, UTC).

    Raises:
        RetrainError: where the unit column or an attribute column is missing, or the unit column is neither text nor integer.
    """
    import polars as pl

    missing = [name for name in (unit, *rule.cohort) if name not in frame.columns]
    if missing:
        raise RetrainError(
            f"column {', '.join(missing)} is missing",
            where=f"units of {rule.model}",
            remedy=f"give the unit column and the cohort attributes: {', '.join((unit, *rule.cohort))}",
        )
    decide = _decision(rule)
    units = _text(frame.get_column(unit), rule.model)
    attributes: Iterable[Mapping[str, Any]] = frame.select(list(rule.cohort)).iter_rows(named=True) if rule.cohort else repeat({})
    moments: Iterable[datetime] = repeat(now) if isinstance(now, datetime) else now
    decided = [decide(key, values, moment) for key, values, moment in zip(units, attributes, moments, strict=False)]
    return frame.with_columns(
        pl.Series("arm", [arm for arm, _ in decided], dtype=pl.String),
        pl.Series("reason", [reason.value for _, reason in decided], dtype=pl.String),
    )


def whole_seconds(moment: datetime) -> int:
    """Seconds since 1970 as flagd counts them: whole, rounded down.

    Raises:
        RetrainError: for a time without a time zone.
    """
    if moment.tzinfo is None:
        raise RetrainError(f"time {moment.isoformat()} has no time zone", remedy="give an aware UTC time")
    return math.floor(moment.timestamp())


def _decision(rule: RoutingRule) -> Callable[[str | None, Mapping[str, Any], datetime], tuple[Arm, Reason]]:
    settled = _settled(rule)
    if settled is not None:
        answer: tuple[Arm, Reason] = ("champion", settled)
        return lambda unit, attributes, now: answer

    conditions = tuple(predicates(rule.cohort).items())
    expiry = math.inf if rule.expires_at is None else whole_seconds(rule.expires_at)
    weight = weight_of(rule.effective_share)
    salt = rule.salt
    standing = Reason.ARMED if rule.stage is None else Reason.SHADOW if rule.stage == SHADOW else Reason.RAMP

    def decide(unit: str | None, attributes: Mapping[str, Any], now: datetime) -> tuple[Arm, Reason]:
        if whole_seconds(now) >= expiry:
            return "champion", Reason.EXPIRED
        if not unit:
            return "champion", Reason.NO_UNIT
        for name, meets in conditions:
            if not meets(attributes.get(name)):
                return "champion", Reason.COHORT_EXCLUDED
        if bucket_of(salt + routing_key(unit), TOTAL_WEIGHT) < weight:
            return "challenger", standing
        return "champion", standing

    return decide


def _settled(rule: RoutingRule) -> Reason | None:
    """The reason that holds for every unit, whatever it is; None where the unit decides."""
    if rule.champion is None:
        return Reason.NO_CHAMPION
    if rule.toggle is not None and rule.state == "promoted":
        return Reason.PROMOTED
    if rule.toggle is not None and rule.state in ("rolled_back", "rejected"):
        return Reason.ROLLED_BACK
    return None if rule.is_routed else Reason.NO_TOGGLE


def _text(units: pl.Series, model: str) -> pl.Series:
    import polars as pl

    if units.dtype.is_integer() or units.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        return units.cast(pl.String)
    raise RetrainError(
        f"unit column {units.name!r} has type {units.dtype}", where=f"units of {model}", remedy="give text or integers"
    )
