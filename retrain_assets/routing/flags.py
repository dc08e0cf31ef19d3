"""The flagd document: what every OpenFeature SDK reads, and from which serving reads its rules back. No file access here.

One flag per model, key = model, variants ``champion`` and ``challenger``. Versions, bundle digests, revision and stage stand in
the flag's metadata. See docs/data-formats.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from retrain_assets.contract import CustodyError, RetrainError
from retrain_assets.routing.bucketing import TOTAL_WEIGHT, cohort_salt, weight_of
from retrain_assets.routing.cohort_logic import json_logic
from retrain_assets.routing.router import whole_seconds
from retrain_assets.routing.rule import RoutingRule, VersionRef

SCHEMA = "https://flagd.dev/schema/v0/flags.json"


def flag_document(rules: Sequence[RoutingRule], *, metadata: Mapping[str, str | int | float]) -> dict[str, Any]:
    """A valid flagd document of the given rules, flags in alphabetical order.

    Args:
        rules: one per model.
        metadata: metadata of the flag set (ledger head, time …); flagd shows it beside each flag's own.

    Raises:
        RetrainError: where a model has two rules or a metadata value is not text or a number.
    """
    for name, value in metadata.items():
        if not isinstance(value, (str, int, float)):
            raise RetrainError(f"flag set metadata {name!r} is {type(value).__name__}", remedy="give text or a number")
    flags: dict[str, Any] = {}
    for rule in sorted(rules, key=lambda one: one.model):
        if rule.model in flags:
            raise RetrainError(f"{rule.model} has two routing rules", where="flag document", remedy="give one rule per model")
        flags[rule.model] = _flag(rule)
    return {"$schema": SCHEMA, "metadata": dict(metadata), "flags": flags}


def rules_from_document(document: Mapping[str, Any]) -> dict[str, RoutingRule]:
    """The rules a document was made from, by model. Flags of other makers are refused, not guessed.

    Raises:
        CustodyError: where a flag is not exactly what its own metadata says it should be (somebody edited it), or the document
            is not one of ours.
    """
    flags = document.get("flags")
    if not isinstance(flags, Mapping):
        raise CustodyError("there is no flags object", where="flag document", remedy="run: retrain reconcile")
    return {model: _rule(model, flag) for model, flag in flags.items()}


def _flag(rule: RoutingRule) -> dict[str, Any]:
    flag: dict[str, Any] = {
        "state": "ENABLED" if rule.champion else "DISABLED",
        "variants": {"champion": "champion", "challenger": "challenger"},
        "defaultVariant": "champion",
        "metadata": _flag_metadata(rule),
    }
    if rule.is_routed:
        flag["targeting"] = _targeting(rule)
    return flag


def _targeting(rule: RoutingRule) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = [{"!!": [{"var": "targetingKey"}]}]
    if rule.expires_at is not None:
        conditions.append({"<": [{"var": "$flagd.timestamp"}, whole_seconds(rule.expires_at)]})
    conditions += json_logic(rule.cohort)
    if rule.cohort_share < 1:
        drawn = _fractional(cohort_salt(rule.salt), "taking_part", "left_out", rule.cohort_share)
        conditions.append({"===": [drawn, "taking_part"]})
    return {"if": [{"and": conditions}, _fractional(rule.salt, "challenger", "champion", rule.effective_share), "champion"]}


def _fractional(salt: str, first: str, second: str, share: float) -> dict[str, Any]:
    """The first text for a share of the units, the second for the rest."""
    weight = weight_of(share)
    key = {"cat": [salt, {"var": "targetingKey"}]}
    return {"fractional": [key, [first, weight], [second, TOTAL_WEIGHT - weight]]}


def _flag_metadata(rule: RoutingRule) -> dict[str, str | int | float]:
    """Everything of the rule, flat; what is None is left out because flagd knows no null; so is a whole cohort's share."""
    values: dict[str, str | int | float | None] = {
        "champion_version": rule.champion.version if rule.champion else None,
        "champion_bundle": rule.champion.bundle if rule.champion else None,
        "challenger_version": rule.challenger.version if rule.challenger else None,
        "challenger_bundle": rule.challenger.bundle if rule.challenger else None,
        "toggle": rule.toggle,
        "revision": rule.revision,
        "stage": rule.stage,
        "salt": rule.salt,
        "share": rule.share,
        "cohort": json.dumps(rule.cohort, sort_keys=True, default=dict),
        "cohort_share": rule.cohort_share if rule.cohort_share < 1 else None,
        "expires_at": rule.expires_at.astimezone(UTC).isoformat() if rule.expires_at else None,
        "state": rule.state,
    }
    return {name: value for name, value in values.items() if value is not None}


def _rule(model: str, flag: Mapping[str, Any]) -> RoutingRule:
    where, remedy = f"flag {model}", "run: retrain reconcile"
    try:
        values = flag["metadata"]
        rule = RoutingRule(
            model=model,
            champion=_version(values, "champion"),
            challenger=_version(values, "challenger"),
            toggle=values.get("toggle"),
            revision=values["revision"],
            stage=values.get("stage"),
            salt=values["salt"],
            share=values["share"],
            cohort=json.loads(values["cohort"]),
            cohort_share=values.get("cohort_share", 1.0),
            expires_at=datetime.fromisoformat(values["expires_at"]) if "expires_at" in values else None,
            state=values["state"],
        )
    except (KeyError, TypeError, ValueError) as fault:
        raise CustodyError(f"metadata cannot be read ({fault!r})", where=where, remedy=remedy) from fault
    if _flag(rule) != dict(flag):
        raise CustodyError("the flag is not what its metadata says; it was edited", where=where, remedy=remedy)
    return rule


def _version(values: Mapping[str, Any], arm: str) -> VersionRef | None:
    if f"{arm}_version" not in values:
        return None
    return VersionRef(version=values[f"{arm}_version"], bundle=values[f"{arm}_bundle"])
