"""Reading a body as JSON."""

from __future__ import annotations

import re
from typing import Any

import orjson
from starlette.requests import Request

from retrain_assets.serving.gateway.errors import NotJson, WrongContentType

_JSON = re.compile(r"application/(json|[\w.+-]+\+json)\s*(;.*)?", re.IGNORECASE)


async def json_of(request: Request) -> Any:
    """The body of a request.

    Raises:
        WrongContentType: where it is not declared to be JSON, or is compressed.
        NotJson: where it is none.
    """
    content_type = request.headers.get("content-type", "")
    if content_type != "application/json" and _JSON.fullmatch(content_type) is None:
        raise WrongContentType(
            f"the body is {content_type or 'of no declared type'}", remedy="send Content-Type: application/json"
        )
    if (encoding := request.headers.get("content-encoding", "identity")) != "identity":
        raise WrongContentType(f"the body is compressed ({encoding})", remedy="send it as it is")
    try:
        return orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        what = f"the body is not JSON ({error.msg}, line {error.lineno}, column {error.colno})"
        raise NotJson(what, remedy="send one JSON document in UTF-8") from error
