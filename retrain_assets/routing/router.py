"""From a rule and a unit to an arm: everything that does not depend on the request is done once, before the first one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import mmh3

from retrain_assets.contract import RetrainError
from retrain_assets.routing.bucketing import cohort_salt, hash_below, routing_key, unit_text
from retrain_assets.routing.cohort import predicates
from retrain_assets.routing.rule import SHADOW, Arm, Assignment, Reason, RoutingRule, VersionRef
from retrain_assets.routing.shortcut import Answers, shortcut

Router = Callable[[str | int | None, Mapping[str, Any], datetime], Assignment]

NEVER = datetime.max.replace(tzinfo=UTC)


def compile_rule(rule: RoutingRule) -> Router:
    """A function ``(unit, attributes, now) -> Assignment``; everything that does not depend on the request is done here.

    The function never raises for a request: a unit that cannot take part gets the champion and the reason. An integer counts as
    its decimal text; anything else that is no text names no unit. ``now`` must be aware.
    """
    settled = settled_reason(rule)
    if settled is not None:
        answer = _answer(rule, "champion", settled)
        return lambda unit, attributes, now: answer
    expired, nobody, excluded = (
        _answer(rule, "champion", reason) for reason in (Reason.EXPIRED, Reason.NO_UNIT, Reason.COHORT_EXCLUDED)
    )
    champion, challenger = (_answer(rule, arm, standing_reason(rule)) for arm in ("champion", "challenger"))
    conditions = tuple(predicates(rule.cohort).items())
    expiry = expiry_moment(rule)
    taking_part = hash_below(rule.cohort_share)
    challenged = hash_below(rule.effective_share)
    own_salt = cohort_salt(rule.salt)

    def assign(unit: object, attributes: object, now: datetime) -> Assignment:
        if whole_seconds(now) >= whole_seconds(expiry):
            return expired
        text = unit_text(unit)
        if text is None:
            return nobody
        known = attributes if isinstance(attributes, Mapping) else {}
        if not all(meets(known.get(name)) for name, meets in conditions):
            return excluded
        key = routing_key(text)
        if mmh3.hash(own_salt + key, signed=False) >= taking_part:
            return excluded
        return challenger if mmh3.hash(rule.salt + key, signed=False) < challenged else champion

    answers = Answers(expired=expired, excluded=excluded, champion=champion, challenger=challenger)
    return shortcut(rule, answers, expiry=expiry, otherwise=assign)


def settled_reason(rule: RoutingRule) -> Reason | None:
    """The reason that holds for every unit, whatever it is; None where the unit decides."""
    if rule.champion is None:
        return Reason.NO_CHAMPION
    if rule.toggle is not None and rule.state == "promoted":
        return Reason.PROMOTED
    if rule.toggle is not None and rule.state in ("rolled_back", "rejected"):
        return Reason.ROLLED_BACK
    return None if rule.is_routed else Reason.NO_TOGGLE


def standing_reason(rule: RoutingRule) -> Reason:
    """The reason of a unit whose bucket decided."""
    return Reason.ARMED if rule.stage is None else Reason.SHADOW if rule.stage == SHADOW else Reason.RAMP


def expiry_moment(rule: RoutingRule) -> datetime:
    """The first moment at which the rule counts as expired: its expiry in whole seconds, rounded down as flagd does."""
    return NEVER if rule.expires_at is None else rule.expires_at.astimezone(UTC).replace(microsecond=0)


def whole_seconds(moment: datetime) -> int:
    """Seconds since 1970 as flagd counts them: whole, rounded down.

    Raises:
        RetrainError: for a time without a time zone.
    """
    if moment.tzinfo is None:
        raise RetrainError(f"time {moment.isoformat()} has no time zone", remedy="give an aware UTC time")
    return math.floor(moment.timestamp())


def _answer(rule: RoutingRule, arm: Arm, reason: Reason) -> Assignment:
    version = (rule.challenger if arm == "challenger" else rule.champion) or VersionRef(version="", bundle="")
    toggle, revision, stage = (rule.toggle, rule.revision, rule.stage) if reason.in_experiment else (None, 0, None)
    return Assignment(arm, version.version, version.bundle, toggle, revision, stage, reason)
