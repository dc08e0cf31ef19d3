"""How the operations are described in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from retrain_assets.serving.gateway.access import security_of
from retrain_assets.serving.gateway.document import MODEL, faults
from retrain_assets.serving.gateway.operations_order import Order

_EXAMPLE = {
    "operation": "rollback",
    "model": "flight_delay",
    "actor": "person:ruth@flights.example",
    "reason": "complaints since noon",
    "toggles": [{"toggle": "flight_delay-2013-07-01", "state": "rolled_back", "revision": 6}],
    "events": [
        {
            "sequence": 41,
            "kind": "rolled_back",
            "model": "flight_delay",
            "toggle": "flight_delay-2013-07-01",
            "revision": 6,
            "at": "2013-07-04T12:00:00.000000+00:00",
        }
    ],
    "kill_switches": [],
    "served": [{"model": "flight_delay", "champion": "3", "state": "rolled_back", "share": 0.0, "revision": 5}],
    "notes": [],
}
_OBJECTS = {"type": "array", "items": {"type": "object"}}
_DONE = {
    "type": "object",
    "required": ["operation", "model", "actor", "reason", "toggles", "events", "kill_switches", "served", "notes"],
    "properties": {
        "operation": {"type": "string", "enum": ["rollback", "hold", "kill", "release"]},
        "model": {"type": ["string", "null"], "description": "Null: all models."},
        "actor": {"type": "string", "description": "The token's principal, in whose name it is recorded."},
        "reason": {"type": "string"},
        "toggles": {**_OBJECTS, "description": "The toggles that changed, as `retrain toggle show` gives them."},
        "events": {**_OBJECTS, "description": "What was recorded; empty where it was so already."},
        "kill_switches": {"type": "array", "items": {"type": "string"}, "description": "Engaged now; `*` is that of all models."},
        "served": {**_OBJECTS, "description": "How the worker that answers routes now."},
        "notes": {"type": "array", "items": {"type": "string"}, "description": "What is still to come."},
    },
}
_REFUSED = {
    "description": "Another revision (`stale_revision`), or policy does not allow it (`refused`); nothing was changed.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/FaultAnswer"}}},
}


def described(summary: str, *, model: bool = True, revision: bool = False) -> dict[str, Any]:
    """The description of one operation.

    Args:
        summary: what it does.
        model: whether its path names a model.
        revision: whether it is about one toggle, which may be named and tied to a revision.
    """
    schema = Order.model_json_schema()
    if not revision:
        schema["properties"] = {"reason": schema["properties"]["reason"]}
    body: dict[str, Any] = {"schema": schema, "example": {"reason": "complaints since noon"}}
    return {
        "summary": summary,
        "response_class": Response,
        "responses": {
            200: {
                "description": "It is recorded, and the worker that answers routes by it.",
                "content": {"application/json": {"schema": _DONE, "example": _EXAMPLE}},
            },
            **faults(400, 401, 403, *([404] if model else []), 408, 413, 415, 422, 500, 503),
            409: _REFUSED,
        },
        "openapi_extra": {
            **({"parameters": [MODEL]} if model else {}),
            "requestBody": {"required": True, "content": {"application/json": body}},
            **security_of("operate"),
        },
    }
