"""OFREP, the OpenFeature remote evaluation protocol: any OpenFeature SDK asks which arm a unit is in, and logs its exposure.

One flag per model, its value the arm as text. What is answered for a unit is what the router says; nothing is scored or logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from retrain_assets.contract import RetrainError
from retrain_assets.routing import NO_TOGGLE_STATE, Assignment, Reason, RoutingRule
from retrain_assets.serving.gateway.access import Caller, requires
from retrain_assets.serving.gateway.bodies import json_of
from retrain_assets.serving.gateway.errors import FaultResponse, HttpFault
from retrain_assets.serving.gateway.ofrep_document import BULK, SINGLE
from retrain_assets.serving.gateway.parts import parts_of
from retrain_assets.serving.gateway.rows import LONGEST_ID
from retrain_assets.serving.live.values import UnknownModel

router = APIRouter(prefix="/ofrep/v1/evaluate", tags=["ofrep"])

Allowed = Annotated[Caller, Depends(requires("predict"))]

OPENFEATURE_REASONS: Mapping[Reason, str] = {
    Reason.RAMP: "SPLIT",
    Reason.SHADOW: "TARGETING_MATCH",
    Reason.ARMED: "DEFAULT",
    Reason.COHORT_EXCLUDED: "DEFAULT",
    Reason.NO_UNIT: "DEFAULT",
    Reason.EXPIRED: "DEFAULT",
    Reason.NOT_LOGGED: "DEFAULT",
    Reason.ROLLED_BACK: "STATIC",
    Reason.PROMOTED: "STATIC",
    Reason.NO_TOGGLE: "STATIC",
    Reason.NO_CHAMPION: "DISABLED",
}
"""Our reasons in OpenFeature's words; our own stands in the metadata.

SPLIT: the bucket decided. TARGETING_MATCH: the cohort's conditions are met, and the rule alone decided. DEFAULT: a toggle is on,
but nothing of it applies to this unit. STATIC: every unit gets this. DISABLED: there is nothing to serve, use the code's default.
"""


class BadContext(RetrainError):
    """An evaluation request that cannot be understood; answered in OFREP's own form."""

    def __init__(self, error_code: str, details: str) -> None:
        super().__init__(details)
        self.error_code = error_code


@router.post("/flags/{key}", **SINGLE)
async def evaluate_flag(request: Request, caller: Allowed) -> Response:
    """Which arm one unit of a model is in.

    `targetingKey` is the plain unit id, whatever its characters. Without one the champion is answered, as everywhere, with
    reason DEFAULT: the flag has a value for such a request, so there is no error that would bring the code's default.
    """
    key = request.path_params["key"]
    try:
        unit, attributes = await _context(request)
    except BadContext as fault:
        return _refusal(400, fault.error_code, fault.what, key)
    parts = parts_of(request)
    try:
        evaluated = _evaluate(request, key, unit, attributes)
    except UnknownModel:
        known = ", ".join(sorted(name for name in parts.models.names() if caller.may_see(name))) or "none"
        details = f"no model is called {key!r}; models: {known}"
        return _refusal(404, "FLAG_NOT_FOUND", details, key)
    return Response(orjson.dumps(evaluated), media_type="application/json")


@router.post("/flags", **BULK)
async def evaluate_flags(request: Request, caller: Allowed) -> Response:
    """Which arm one unit is in, for every model the caller may ask about.

    The entity tag stands for exactly this answer: it changes with the context where that matters, with every revision, and when a
    toggle expires; asked again with `If-None-Match`, an unchanged answer is 304.
    """
    try:
        unit, attributes = await _context(request)
    except BadContext as fault:
        return _refusal(400, fault.error_code, fault.what)
    models = sorted(name for name in parts_of(request).models.names() if caller.may_see(name))
    body = orjson.dumps({"flags": [_evaluate(request, model, unit, attributes) for model in models]})
    tag = f'"{blake2b(body, digest_size=16).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if _matches(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


async def _context(request: Request) -> tuple[str | None, Mapping[str, Any]]:
    """Unit and attributes of an evaluation request; a body that is not there names neither."""
    if not await request.body():
        return None, {}
    try:
        body = await json_of(request)
    except HttpFault as fault:
        raise BadContext("PARSE_ERROR", fault.line) from fault
    if not isinstance(body, dict):
        raise BadContext("PARSE_ERROR", 'the body is not an object; send {"context": {"targetingKey": "…"}}')
    context = body.get("context", {})
    if not isinstance(context, dict):
        raise BadContext("INVALID_CONTEXT", "context is not an object")
    unit = context.get("targetingKey")
    if unit is not None and not isinstance(unit, str):
        raise BadContext("INVALID_CONTEXT", "targetingKey is not text; send the unit's id as text")
    if unit and len(unit) > LONGEST_ID:
        raise BadContext("INVALID_CONTEXT", f"targetingKey has {len(unit)} characters; at most {LONGEST_ID} can be on record")
    return unit or None, context


def _evaluate(request: Request, model: str, unit: str | None, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """One flag's evaluation, as OFREP has it."""
    parts = parts_of(request)
    live = parts.models.current(model)
    answer = live.assign(unit, live.attributes.read(attributes, {}), parts.models.clock.now())
    parts.meter.evaluated(model, answer.arm, answer.reason)
    reason, metadata = OPENFEATURE_REASONS[answer.reason], _metadata(live.rule, answer)
    if answer.reason is Reason.NO_CHAMPION:
        return {"key": model, "reason": reason, "variant": NO_TOGGLE_STATE, "metadata": metadata}
    return {"key": model, "value": answer.arm, "reason": reason, "variant": answer.arm, "metadata": metadata}


def _metadata(rule: RoutingRule, answer: Assignment) -> dict[str, str | int | float | bool]:
    """What an exposure of this evaluation needs, and what is known of both arms; OFREP knows no null, so that is left out.

    ``toggle``, ``revision`` and ``stage`` are those of the exposure: none, 0 and none outside the experiment.
    """
    values: dict[str, str | int | float | bool | None] = {
        "model": rule.model,
        "arm": answer.arm,
        "version": answer.version or None,
        "bundle": answer.bundle or None,
        "routing_reason": str(answer.reason),
        "in_experiment": answer.reason.in_experiment,
        "toggle": answer.toggle,
        "revision": answer.revision,
        "stage": answer.stage,
        "state": rule.state,
        "share": rule.effective_share,
        "champion_version": rule.champion.version if rule.champion else None,
        "champion_bundle": rule.champion.bundle if rule.champion else None,
        "challenger_version": rule.challenger.version if rule.challenger and rule.is_routed else None,
        "challenger_bundle": rule.challenger.bundle if rule.challenger and rule.is_routed else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _matches(header: str | None, tag: str) -> bool:
    """Whether an ``If-None-Match`` header lists the tag; weak and strong ones compare alike here (RFC 9110, 13.1.2)."""
    if header is None:
        return False
    listed = [one.strip().removeprefix("W/") for one in header.split(",")]
    return "*" in listed or tag in listed


def _refusal(status: int, error_code: str, details: str, key: str | None = None) -> Response:
    named = {} if key is None else {"key": key}
    return FaultResponse(error_code.lower(), {**named, "errorCode": error_code, "errorDetails": details}, status)
