"""What a request that is not answered gets: one status and one code per kind of fault, and a body a person can act on."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from retrain_assets.contract import CustodyError, Refused, RetrainError, StaleRevision
from retrain_assets.serving.live.values import BadRequest, LogUnavailable, ModelFailed, ModelLate, NotReady, UnknownModel

log = logging.getLogger(__name__)

Headers = Mapping[str, str]

FAULT = "retrain.fault"
"""Key in an answer's first message: the fault's code, and the model the request named. The envelope takes it out, and counts."""

SOON: Headers = {"Retry-After": "1"}
"""What waits or is refused now may be repeated after a second."""


class HttpFault(RetrainError):
    """A fault of the request itself; a subclass for each status and code."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"
    headers: ClassVar[Headers] = {}


class NotJson(HttpFault):
    """The body is not JSON."""

    status, code = 400, "not_json"


class BodyTooLate(HttpFault):
    """The body did not arrive in time."""

    status, code, headers = 408, "body_too_late", {"Connection": "close"}


class BodyTooLarge(HttpFault):
    """The body is larger than the gateway takes."""

    status, code, headers = 413, "body_too_large", {"Connection": "close"}


class WrongContentType(HttpFault):
    """The body is not declared to be JSON."""

    status, code = 415, "wrong_content_type"


class TooManyRows(HttpFault):
    """More rows than the contract allows in one request."""

    status, code = 422, "too_many_rows"


KINDS: Sequence[tuple[type[RetrainError], int, str, Headers]] = (
    (UnknownModel, 404, "unknown_model", {}),
    (BadRequest, 422, "bad_row", {}),
    (NotReady, 503, "not_ready", SOON),
    (LogUnavailable, 503, "log_unavailable", SOON),
    (ModelLate, 504, "model_timeout", {}),
    (ModelFailed, 500, "model_failed", {}),
    (StaleRevision, 409, "stale_revision", {}),
    (Refused, 409, "refused", {}),
    (CustodyError, 500, "custody_broken", {}),
    (RetrainError, 500, "failed", {}),
)
"""Status and code of the errors of other rooms; the first that fits counts."""


class FaultResponse(Response):
    """The answer to a request that is refused or failed.

    Args:
        code: one per kind of fault, never what a caller wrote.
        content: the body as JSON.
        status: HTTP status.
        headers: more headers.
    """

    media_type = "application/json"

    def __init__(self, code: str, content: Mapping[str, Any], status: int, headers: Headers | None = None) -> None:
        super().__init__(orjson.dumps(content, default=str), status, headers)
        self.code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        named = scope.get("path_params", {})

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message[FAULT] = self.code, named.get("model", named.get("key", ""))
            await send(message)

        await super().__call__(scope, receive, marked)


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def faults_as_answers(app: FastAPI) -> None:
    """Have every fault answered in the one form; nothing of a traceback leaves the process."""
    app.add_exception_handler(RetrainError, _of_a_room)
    app.add_exception_handler(HTTPException, _of_the_router)
    app.add_exception_handler(RequestValidationError, _of_validation)


def answer_of(error: RetrainError) -> Response:
    """The answer to a request that met an error of the product."""
    if isinstance(error, HttpFault):
        return _answer(error.status, error.code, error.what, error.where, error.remedy, error.headers)
    status, code, headers = next((status, code, headers) for kind, status, code, headers in KINDS if isinstance(error, kind))
    return _answer(status, code, error.what, error.where, error.remedy, headers)


def unexpected(scope: Scope, request_id: bytes, error: Exception) -> Response:
    """The answer to a request that met a fault nobody foresaw; its traceback goes to the log alone."""
    where = f"{scope['method']} {scope['path']}"
    log.error("%s failed, request %s", where, request_id.decode(), exc_info=error)
    return _answer(
        500, "internal", "the gateway could not answer", where, "its log has the fault under this answer's X-Request-Id"
    )


async def _of_a_room(request: Request, error: Exception) -> Response:
    assert isinstance(error, RetrainError)
    answer = answer_of(error)
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("%s %s: %s", request.method, request.url.path, error.line)
    return answer


async def _of_the_router(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.url.path}"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(_methods(request))
        what = f"{request.method} is not allowed here"
        return _answer(405, "wrong_method", what, where, f"use {allowed}", {"Allow": allowed})
    if error.status_code == HTTPStatus.NOT_FOUND:
        return _answer(404, "no_such_path", "there is nothing at this path", where, "GET /openapi.json lists the paths")
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    return _answer(error.status_code, code, str(error.detail), where, "", error.headers)


def _methods(request: Request) -> list[str]:
    """What is allowed at the path of a request; each route of its own knows one method only."""
    return [
        method
        for method in METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


async def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "json_invalid":
        return answer_of(NotJson("the body is not JSON", remedy="send one JSON document in UTF-8"))
    return _answer(422, "bad_request", str(first["msg"]), place, "GET /openapi.json describes what is expected")


def _answer(status: int, code: str, message: str, where: str, remedy: str, headers: Headers | None = None) -> Response:
    fault = {"code": code, "message": message, "where": where, "remedy": remedy}
    return FaultResponse(code, {"error": fault}, status, headers)
