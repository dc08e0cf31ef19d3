"""The OpenAPI document: what each route says of its requests and of every answer it gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from retrain_assets import __version__
from retrain_assets.release.access import Scope
from retrain_assets.serving.gateway.access import SECURITY_SCHEMES, security_of
from retrain_assets.serving.gateway.schemas import FaultAnswer, request_schemas

Responses = dict[int | str, dict[str, Any]]

MODEL = {"name": "model", "in": "path", "required": True, "description": "Name of the model.", "schema": {"type": "string"}}
"""The parameter of every path below ``/v1/models/{model}``."""

ABOUT = """Predictions by the arm each unit is in, their exposures on record, and what became of them.

Every answer has the header `X-Request-Id`: the one the request came with, or one made up for it. An error is answered as
`{"error": {"code", "message", "where", "remedy"}}`; each kind of fault has a code of its own.
"""

MEANINGS: Mapping[int, tuple[str, str]] = {
    400: ("not_json", "The body is not JSON"),
    401: ("unauthorized", "A token is needed (`unauthorized`), or is unknown, revoked or expired (`invalid_token`)."),
    403: ("forbidden", "The token does not allow this, or not for this model."),
    404: ("unknown_model", "No flag names the model"),
    408: ("body_too_late", "The body did not arrive in time"),
    413: ("body_too_large", "The body is larger than the gateway takes"),
    415: ("wrong_content_type", "The body is not declared to be JSON, or is compressed"),
    422: (
        "bad_row",
        "A row is not as the model's signature or the contract say (`bad_row`), or there are too many (`too_many_rows`)",
    ),
    500: ("model_failed", "The champion failed (`model_failed`), or something nobody foresaw (`internal`)"),
    503: (
        "log_unavailable",
        "Nothing is loaded that could answer (`not_ready`), or the record cannot be kept now (`log_unavailable`); try later",
    ),
    504: ("model_timeout", "The champion took longer than the contract's `serving.champion_timeout`"),
}
"""Per status a code that stands for it, and what it means."""

RETRY_AFTER = {"Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer"}}}


def faults(*statuses: int) -> Responses:
    """The descriptions of answers to requests that are refused or fail."""
    return {status: _fault(status) for status in statuses}


def below_model(scope: Scope | str) -> dict[str, Any]:
    """The description of a path below ``/v1/models/{model}`` that asks for a scope."""
    return {"parameters": [MODEL], **security_of(scope)}


def takes(model: type[BaseModel], examples: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a body that is checked by hand.

    Args:
        model: its schema, among ``schemas.REQUESTS``.
        examples: bodies by what they show.
    """
    content = {
        "schema": {"$ref": f"#/components/schemas/{model.__name__}"},
        "examples": {summary.replace(" ", "_"): {"summary": summary, "value": value} for summary, value in examples.items()},
    }
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def gives(description: str, example: Any) -> Responses:
    """The description of the answer to a request that is answered."""
    return {200: {"description": description, "content": {"application/json": {"example": example}}}}


def describe(app: FastAPI) -> None:
    """Have the application give its document, made once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title="retrain gateway", version=__version__, description=ABOUT, routes=app.routes, tags=app.openapi_tags
            )
            made["components"]["schemas"].update(request_schemas())
            made["components"]["securitySchemes"] = dict(SECURITY_SCHEMES)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _fault(status: int) -> dict[str, Any]:
    code, meaning = MEANINGS[status]
    fault = {"code": code, "message": meaning, "where": "row 0, features.distance", "remedy": "what to do"}
    described: dict[str, Any] = {
        "model": FaultAnswer,
        "description": meaning,
        "content": {"application/json": {"example": {"error": fault}}},
    }
    return described | ({"headers": RETRY_AFTER} if status == 503 else {})
