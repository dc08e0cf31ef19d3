"""How the OFREP routes are described: the protocol's schemas (open-feature/protocol, service/openapi.yaml), as they fit here."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from retrain_assets.serving.gateway.access import security_of
from retrain_assets.serving.gateway.document import faults

_FACT = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}
_CONTEXT = {
    "type": "object",
    "description": "Attributes of the unit by name, as the contract's cohort has them.",
    "properties": {"targetingKey": {"type": ["string", "null"], "description": "The unit's plain id, whatever its characters."}},
}
_REQUEST = {
    "requestBody": {
        "required": False,
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": {"context": _CONTEXT}},
                "example": {"context": {"targetingKey": "N14228", "origin": "EWR"}},
            }
        },
    }
}
_SUCCESS = {
    "type": "object",
    "required": ["key", "reason", "variant", "metadata"],
    "properties": {
        "key": {"type": "string"},
        "value": {
            "type": "string",
            "enum": ["champion", "challenger"],
            "description": "The arm; not there where the code's default is to be used.",
        },
        "reason": {"type": "string", "enum": ["SPLIT", "TARGETING_MATCH", "DEFAULT", "STATIC", "DISABLED"]},
        "variant": {"type": "string", "enum": ["champion", "challenger", "none"]},
        "metadata": {
            "type": "object",
            "description": "What an exposure needs (arm, version, bundle, toggle, revision, stage), our own reason, both arms.",
            "additionalProperties": _FACT,
        },
    },
}
_FAILURE = {
    "type": "object",
    "required": ["errorCode", "errorDetails"],
    "properties": {
        "key": {"type": "string"},
        "errorCode": {"type": "string", "enum": ["PARSE_ERROR", "INVALID_CONTEXT", "FLAG_NOT_FOUND"]},
        "errorDetails": {"type": "string"},
    },
}
_EXAMPLE = {
    "key": "flight_delay",
    "value": "challenger",
    "reason": "SPLIT",
    "variant": "challenger",
    "metadata": {"routing_reason": "ramp", "version": "4", "toggle": "flight_delay-2013-07-01", "revision": 4, "stage": "25"},
}
_TAG = {"description": "Stands for exactly this answer.", "schema": {"type": "string"}}
_FLAGS = {"type": "object", "required": ["flags"], "properties": {"flags": {"type": "array", "items": _SUCCESS}}}


def _answer(description: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema, **more}}}


_BAD = _answer("The body is not JSON (PARSE_ERROR), or its context is not as OFREP has it (INVALID_CONTEXT).", _FAILURE)

_FAULTS = faults(401, 403, 408, 413, 500, 503)

SINGLE: dict[str, Any] = {
    "summary": "Evaluate one flag",
    "response_class": Response,
    "responses": {
        200: _answer("The arm of the unit, and why.", _SUCCESS, example=_EXAMPLE),
        400: _BAD,
        404: _answer("No model has this name.", _FAILURE),
        **_FAULTS,
    },
    "openapi_extra": {
        "parameters": [{"name": "key", "in": "path", "required": True, "description": "A model.", "schema": {"type": "string"}}],
        **_REQUEST,
        **security_of("predict"),
    },
}

BULK: dict[str, Any] = {
    "summary": "Evaluate every flag",
    "response_class": Response,
    "responses": {
        200: {**_answer("One evaluation a model.", _FLAGS, example={"flags": [_EXAMPLE]}), "headers": {"ETag": _TAG}},
        304: {"description": "The answer is still the one of the entity tag.", "headers": {"ETag": _TAG}},
        400: _BAD,
        **_FAULTS,
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": "If-None-Match",
                "in": "header",
                "required": False,
                "description": "Entity tags the caller has answers for.",
                "schema": {"type": "string"},
            }
        ],
        **_REQUEST,
        **security_of("predict"),
    },
}
