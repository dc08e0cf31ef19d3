"""What a connection does with requests that are strange, slow or without end; a real server, spoken to in bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from retrain_assets.serving.gateway import connection
from retrain_assets.serving.gateway.connection import HEAD_BYTES, Connection

pytestmark = pytest.mark.anyio

Speak = Callable[..., Any]
OFFERS = [
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n",
]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with method, path, names of the headers and body."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    names = b",".join(sorted(name for name, _ in scope["headers"]))
    told = b" ".join([scope["method"].encode(), scope["path"].encode(), names, body])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(told))]})
    await send({"type": "http.response.body", "body": told})


@asynccontextmanager
async def listening() -> AsyncIterator[Speak]:
    """Gives a function that sends pieces over one connection and returns everything that came until it was closed."""
    server = uvicorn.Server(uvicorn.Config(echo, port=0, http=Connection, lifespan="off", ws="none", log_config=None))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(60):
        while not server.started:
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]

    async def speak(*pieces: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
            async with asyncio.timeout(30):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    try:
        yield speak
    finally:
        server.should_exit = True
        await serving


def post(body: bytes, headers: bytes = b"", connection: bytes = b"Connection: close\r\n") -> bytes:
    return b"POST /p HTTP/1.1\r\nHost: x\r\n%s%sContent-Length: %d\r\n\r\n%s" % (headers, connection, len(body), body)


@pytest.mark.parametrize("offer", OFFERS)
async def test_an_offer_to_upgrade_is_ignored_and_the_request_answered_with_its_body(offer: bytes) -> None:
    """Java's HTTP client offers h2c with every request; one whose body is lost would be answered for no unit at all."""
    request = post(b'{"unit": "u1"}', offer, b"")
    last = post(b"last")
    async with listening() as speak:
        for pieces in ([request + last], [request[:-5], request[-5:] + last], [request[:60], request[60:], last]):
            told = await speak(*pieces)
            assert told.count(b"HTTP/1.1 200 OK") == 2
            assert b'{"unit": "u1"}HTTP/1.1' in told
            assert told.endswith(b"last")
            assert b"upgrade" not in told


async def test_an_offer_to_upgrade_keeps_what_else_the_head_says() -> None:
    async with listening() as speak:
        told = await speak(post(b"abc", b"X-Mine: 1\r\nUpgrade: h2c\r\n", b"Connection: Upgrade, close\r\n"))
    assert told.endswith(b"POST /p connection,content-length,host,x-mine abc")


async def test_a_chunked_body_survives_an_offer_and_headers_behind_it_are_read_over() -> None:
    head = b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n"
    async with listening() as speak:
        told = await speak(head + b"3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\n\r\n")
    assert told.endswith(b"POST /p connection,host,transfer-encoding abc")


async def test_a_head_without_end_is_refused() -> None:
    async with listening() as speak:
        told = await speak(b"GET / HTTP/1.1\r\nX: ", *[b"a" * 10_000] * (HEAD_BYTES // 10_000 + 2))
        assert told.startswith(b"HTTP/1.1 400") or told == b""
        fields = b"".join(b"X-%d: 1\r\n" % number for number in range(900))
        assert b"200 OK" not in await speak(b"GET / HTTP/1.1\r\n", *[fields] * 9, b"\r\n")
        assert b"200 OK" in await speak(b"GET / HTTP/1.1\r\nConnection: close\r\n", *[fields] * 2, b"\r\n")


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\r\n"])
async def test_a_connection_on_which_no_whole_head_comes_is_closed(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.1)
    async with listening() as speak:
        told = await speak(sent)
    assert told == b""


async def test_a_connection_that_is_used_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.5)
    async with listening() as speak:
        told = await speak(*[post(b"x", connection=b"")] * 60, post(b"last"))
    assert told.count(b"200 OK") == 61
