"""One connection of a client: uvicorn's, with limits to the head of a request, and without upgrades."""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
"""Most bytes of a request's head (request line and headers) besides those that come with its first packet."""

HEAD_SECONDS = 30.0
"""Time the head of a request has to arrive, from the opening of the connection or from its first byte after an answer."""

_OF_AN_OFFER = frozenset({b"connection", b"upgrade", b"http2-settings"})


class Connection(HttpToolsProtocol):
    """Nobody holds a connection, or fills the memory, with a head that never ends.

    An offer to upgrade (to h2c, which Java's HTTP client makes with every request, or to WebSocket) is ignored, as RFC 9110, 7.8
    allows: the request is answered as if it had not been made. uvicorn alone loses the body of such a request.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._patience: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._head_is_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something came."""
        self._unset_keepalive_if_required()
        if self.cycle is None or self.cycle.response_complete:
            self._await_head()
        was_in_head = self._in_head
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if self._is_offer():
                head = self._head_without_offer()
                self.parser = httptools.HttpRequestParser(self)
                self.data_received(head + data[offer.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        if was_in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; one behind a chunked body is read over."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there."""
        if not self._is_offer():
            self._head_is_there()
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is there."""
        if not self._is_offer():
            super().on_message_complete()

    def _await_head(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_is_there(self) -> None:
        self._in_head = False
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _is_offer(self) -> bool:
        """Whether the parser takes what follows for another protocol, as after CONNECT it really is."""
        return bool(self.parser.should_upgrade()) and self.parser.get_method() != b"CONNECT"

    def _head_without_offer(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] not in _OF_AN_OFFER]
        options = b",".join(value for name, value in self.headers if name == b"connection").lower().split(b",")
        if b"close" in (option.strip() for option in options):
            lines.append(b"connection: close")
        return b"\r\n".join([*lines, b"", b""])
