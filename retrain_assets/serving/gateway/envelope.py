"""What is around every request: its id, the limits of its body, and an answer even where nobody foresaw the fault."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from uuid import uuid4

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retrain_assets.serving.gateway.errors import FAULT, BodyTooLarge, BodyTooLate, HttpFault, answer_of, unexpected
from retrain_assets.serving.gateway.options import BODY_SECONDS, MAX_BODY_BYTES

log = logging.getLogger(__name__)

REQUEST_ID = b"x-request-id"

_ID = re.compile(rb"[!-~]{1,200}")

_READ_ON = 8
"""A body that is too large is read on up to so many times the limit, so that its sender gets to read the answer."""


class Envelope:
    """The outermost layer of the application.

    Args:
        app: what answers.
        max_body_bytes: largest body; counted while it arrives, whatever its header says.
        body_seconds: time a body has to arrive.
        refused: told of every answer that is a fault: the model the request named, and the fault's code.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_body_bytes: int = MAX_BODY_BYTES,
        body_seconds: float = BODY_SECONDS,
        refused: Callable[[str, str], None] = lambda model, code: None,
    ) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.body_seconds = body_seconds
        self.refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        call = _Call(self, scope, receive, send)
        try:
            await self.app(scope, call.receive, call.send)
        except ClientDisconnect:
            return
        except Exception as error:
            if call.answering:
                raise
            if call.fault is None:
                await call.answer(unexpected(scope, call.request_id, error))
        if call.fault is not None:
            await call.answer(answer_of(call.fault))


class _Call:
    """One request: counts what arrives, marks what leaves."""

    def __init__(self, envelope: Envelope, scope: Scope, receive: Receive, send: Send) -> None:
        self.limit = envelope.max_body_bytes
        self.seconds = envelope.body_seconds
        self._refused = envelope.refused
        self.scope = scope
        self._receive, self._send = receive, send
        self.request_id = _given(scope["headers"]) or uuid4().hex.encode()
        self._due: float | None = None
        self.arrived = 0
        self.whole = False
        self.fault: HttpFault | None = None
        self.answering = False

    async def receive(self) -> Message:
        if self.whole:
            return await self._receive()
        if self._due is None:
            self._due = asyncio.get_running_loop().time() + self.seconds
        try:
            async with asyncio.timeout_at(self._due):
                message = await self._part()
                if self.arrived > self.limit:
                    self.fault = BodyTooLarge(
                        f"the body has more than {self.limit} bytes", remedy="send fewer rows at a time, or serve with --max-body"
                    )
                    while not self.whole and self.arrived <= _READ_ON * self.limit:
                        await self._part()
        except TimeoutError:
            self.fault = BodyTooLate(f"the body did not arrive within {self.seconds:g} s", remedy="send it at once")
        if self.fault is not None:
            raise self.fault
        return message

    async def _part(self) -> Message:
        message = await self._receive()
        self.arrived += len(message.get("body", b""))
        self.whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if self.fault is not None:
            return  # whatever the application makes of a body it did not get, the fault is the answer
        if message["type"] == "http.response.start":
            self.answering = True
            if (fault := message.pop(FAULT, None)) is not None:
                code, model = fault
                self._refused(model, code)
            message["headers"] = [*message["headers"], (REQUEST_ID, self.request_id)]
        await self._send(message)

    async def answer(self, answer: ASGIApp) -> None:
        self.fault = None
        await answer(self.scope, self._receive, self.send)


def _given(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The id the caller gave the request, if it is one that can be written into a header and a log line."""
    for name, value in headers:
        if name == REQUEST_ID:
            return value if _ID.fullmatch(value) else None
    return None
