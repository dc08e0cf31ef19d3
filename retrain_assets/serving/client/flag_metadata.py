"""From the metadata of an evaluated flag to what its exposure needs: OFREP says it, flagd says the rule, which is asked again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from retrain_assets.contract import RetrainError
from retrain_assets.routing import Assignment, Reason, Router, RoutingRule, VersionRef, compile_rule, flag_document

Metadata = Mapping[str, Any]


def assignment_of(
    model: str, metadata: Metadata, arm: str, unit: str | None, attributes: Mapping[str, Any], now: datetime
) -> Assignment:
    """Version, bundle, toggle, revision, stage and reason of the arm that a flag's evaluation gave.

    flagd tells the rule and the arm, not whether the unit takes part in the experiment; so the rule is asked that again, with the
    same hash.

    Args:
        model: the model, key of the flag.
        metadata: flag metadata of the evaluation.
        arm: its value.
        unit: the plain id it was about.
        attributes: the context's.
        now: when it was.

    Raises:
        RetrainError: where the metadata are not those of one of our flags, or the rule gives another arm.
    """
    if "routing_reason" in metadata:
        found = _told(model, metadata)
    else:
        found = _router(model, tuple(sorted(metadata.items())))(unit or None, attributes, now)
    if found.arm != arm:
        raise RetrainError(
            f"the flag's value is {arm}, but by its metadata the unit is in the {found.arm}",
            where=model,
            remedy="evaluate it as text, with the unit as targeting key and the cohort's attributes in the context",
        )
    return found


def _told(model: str, metadata: Metadata) -> Assignment:
    try:
        return Assignment(
            arm=metadata["arm"],
            version=metadata.get("version", ""),
            bundle=metadata.get("bundle", ""),
            toggle=metadata.get("toggle"),
            revision=int(metadata["revision"]),
            stage=metadata.get("stage"),
            reason=Reason(metadata["routing_reason"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _not_ours(model, repr(error)) from error


@lru_cache(maxsize=64)
def _router(model: str, items: tuple[tuple[str, Any], ...]) -> Router:
    metadata = dict(items)
    try:
        rule = RoutingRule(
            model=model,
            champion=_version(metadata, "champion"),
            challenger=_version(metadata, "challenger"),
            toggle=metadata.get("toggle"),
            revision=int(metadata["revision"]),
            stage=metadata.get("stage"),
            salt=metadata["salt"],
            share=float(metadata["share"]),
            cohort=json.loads(metadata["cohort"]),
            cohort_share=float(metadata.get("cohort_share", 1.0)),
            expires_at=datetime.fromisoformat(metadata["expires_at"]) if "expires_at" in metadata else None,
            state=metadata["state"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _not_ours(model, repr(error)) from error
    written = flag_document([rule], metadata={})["flags"][model]["metadata"]
    if not written.items() <= metadata.items():
        raise _not_ours(model, "they say what no rule says")
    return compile_rule(rule)


def _version(metadata: Metadata, arm: str) -> VersionRef | None:
    if f"{arm}_version" not in metadata:
        return None
    return VersionRef(version=metadata[f"{arm}_version"], bundle=metadata[f"{arm}_bundle"])


def _not_ours(model: str, why: str) -> RetrainError:
    remedy = "evaluate the flag document of a home, or its gateway"
    return RetrainError(f"the flag's metadata are not a toggle's ({why})", where=model, remedy=remedy)
