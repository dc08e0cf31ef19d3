"""Which handler answers which method and path, and the values that go in and out of a handler."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote

from .fields import refuse_unknown


class ApiError(Exception):
    """What the workspace answers instead of a result."""

    def __init__(self, status: int, error_code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {error_code}: {message}")
        self.status, self.error_code, self.message = status, error_code, message
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """The body of the answer, as the REST API words it."""
        return {"error_code": self.error_code, "message": self.message}


class Answer(Protocol):
    """An SDK dataclass."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of it."""


@dataclass(frozen=True)
class Payload:
    """An answer that is not a JSON object of the SDK: bytes, a status and headers."""

    content: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One request: names of headers in lower case, query as text, content as sent, ``user`` who the token belongs to."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes
    user: str = ""

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object sent; {} where none was."""
        if not self.content:
            return {}
        try:
            sent = json.loads(self.content)
        except ValueError:
            sent = None
        if not isinstance(sent, dict):
            raise ApiError(400, "MALFORMED_REQUEST", "Could not parse request object: Expected a JSON object")
        return sent


Handler = Callable[..., Answer | Payload | None]


@dataclass(frozen=True)
class Route:
    """One method and path; ``public`` needs no token."""

    method: str
    pattern: str
    handler: Handler
    accepts: Any = None
    absent: Callable[[Request], ApiError] | None = None
    public: bool = False

    @property
    def expression(self) -> re.Pattern[str]:
        """What a path of this route looks like: {name} is one part of it, {name...} the rest."""
        rest = re.sub(r"\\{(\w+)\\\.\\\.\\\.\\}", r"(?P<\1>.*)", re.escape(self.pattern))
        return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", rest))

    def answer(self, request: Request, parts: Mapping[str, str]) -> Answer | Payload | None:
        """Check what was sent and let the handler answer."""
        if self.accepts is not None:
            sent = dict(request.query) if request.method in ("GET", "DELETE", "HEAD") else request.body
            complaint = refuse_unknown(sent, self.accepts, given=set(parts), text=request.method in ("GET", "DELETE", "HEAD"))
            if complaint is not None:
                raise ApiError(400, "INVALID_PARAMETER_VALUE", complaint)
        return self.handler(request, **{name: unquote(part) for name, part in parts.items()})


class Routes:
    """All that the workspace answers."""

    def __init__(self) -> None:
        self.all: list[tuple[re.Pattern[str], Route]] = []

    def add(
        self,
        method: str,
        pattern: str,
        handler: Handler,
        *,
        accepts: Any = None,
        absent: Callable[[Request], ApiError] | None = None,
        public: bool = False,
    ) -> None:
        """Let a handler answer a method and a path such as ``/api/2.0/fs/files/{path...}``."""
        route = Route(method, pattern, handler, accepts, absent, public)
        self.all.append((route.expression, route))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route of a request and the named parts of its path; 404 where no API answers."""
        for expression, route in self.all:
            if route.method == method and (found := expression.fullmatch(path)):
                return route, found.groupdict()
        named = re.sub(r"^/api/[\d.]+", "", path)
        raise ApiError(404, "ENDPOINT_NOT_FOUND", f"No API found for '{method} {named}'")
