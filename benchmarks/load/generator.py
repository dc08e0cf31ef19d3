"""The generator: raw HTTP/1.1 over kept-alive connections, requests made beforehand, so that it costs the machine little."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections import deque
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import orjson

from benchmarks.load.plan import LoadPlan
from benchmarks.load.records import ARMS, BROKEN, MIXED_UP, RECORD, UNANSWERED

CHUNK = 1 << 16
PATIENCE = 30.0
"""Seconds requests that are under way at the end are waited for."""


async def send_all(plan: LoadPlan) -> npt.NDArray[Any]:
    """Carry out a plan; one record a request."""
    gc.disable()  # a collection of the generator's own would be counted as the server's latency
    load = Load(plan)
    try:
        await load.run()
    finally:
        gc.enable()
    return load.records()


class Load:
    """Everything the connections share: whose turn it is, and what was recorded."""

    def __init__(self, plan: LoadPlan) -> None:
        self.plan = plan
        self.requests = plan.requests()
        self.next_number = 0
        self.until = 0.0
        self.waiting: deque[tuple[int, float]] = deque()
        self.idle: deque[Connection] = deque()
        self.under_way = 0
        self.finished = asyncio.Event()
        self._ended = asyncio.Event()
        self._chunks: list[npt.NDArray[Any]] = []
        self._filled = CHUNK

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        connections = []
        for _ in range(self.plan.connections):
            _, connection = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.plan.port)
            connections.append(connection)
        self.until = time.monotonic() + self.plan.seconds
        loop.add_signal_handler(signal.SIGTERM, self._end)
        loop.call_at(loop.time() + self.plan.seconds, self._end)
        if self.plan.rate is None:
            for connection in connections:
                connection.send(self._take(), time.monotonic())
        else:
            self.idle.extend(connections)
            await self._at_rate(self.plan.rate)
        try:
            await self._ended.wait()
            async with asyncio.timeout(PATIENCE):
                await self.finished.wait()
        except TimeoutError:
            for number, due in self.waiting:
                self.record(number, due, 0.0, 0.0, UNANSWERED)
        for connection in connections:
            connection.close()

    async def _at_rate(self, rate: float) -> None:
        begun = time.monotonic()
        while (now := time.monotonic()) < self.until:
            due = int((now - begun) * rate) + 1
            while self.next_number < due:
                number = self._take()
                if self.idle:
                    self.idle.popleft().send(number, now)
                else:
                    self.waiting.append((number, now))
            await asyncio.sleep(max(0.0, min(begun + self.next_number / rate, self.until) - time.monotonic()))

    def answered(self, connection: Connection) -> None:
        """A connection is free again."""
        now = time.monotonic()
        if self.waiting:
            connection.send(*self.waiting.popleft())
        elif self.plan.rate is None and now < self.until:
            connection.send(self._take(), now)
        else:
            self.idle.append(connection)
            self._look_for_the_end()

    def record(self, number: int, due: float, sent: float, received: float, status: int, body: bytes = b"") -> None:
        """One request is over."""
        if self._filled == CHUNK:
            self._chunks.append(np.zeros(CHUNK, dtype=RECORD))
            self._filled = 0
        arm, version, revision, error = -1, -1, -1, False
        if status == 200 and (answer := _first_prediction(body)) is not None:
            arm, version, revision, error = ARMS[answer["arm"]], int(answer["version"]), answer["revision"], answer["error"]
            if answer["request_id"] != self.plan.request_id(number):
                status = MIXED_UP
        self._chunks[-1][self._filled] = (number, due, sent, received, status, arm, version, revision, error)
        self._filled += 1

    def records(self) -> npt.NDArray[Any]:
        if not self._chunks:
            return np.zeros(0, dtype=RECORD)
        return np.concatenate([*self._chunks[:-1], self._chunks[-1][: self._filled]])

    def _end(self) -> None:
        """Send no further request; those under way are waited for."""
        self.until = min(self.until, time.monotonic())
        self._ended.set()
        self._look_for_the_end()

    def _take(self) -> int:
        self.next_number += 1
        return self.next_number - 1

    def _look_for_the_end(self) -> None:
        if not self.under_way and not self.waiting and time.monotonic() >= self.until:
            self.finished.set()


class Connection(asyncio.Protocol):
    """One kept-alive connection with at most one request under way; a broken one is opened anew."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.transport: asyncio.WriteTransport | None = None
        self.buffer = b""
        self.current: tuple[int, float, float] | None = None
        self.closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)  # uvloop's transports inherit from nobody

    def send(self, number: int, due: float) -> None:
        before, after = self.load.requests[number % len(self.load.requests)]
        data = before if after is None else b"".join((before, self.load.plan.request_id(number).encode(), after))
        self.load.under_way += 1
        self.current = (number, due, time.monotonic())
        assert self.transport is not None
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        received = time.monotonic()
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        place = head.find(b"content-length:")
        if place < 0:
            raise ValueError(f"the answer has no content-length: {head!r}")
        length = int(head[place + 15 :].split(b"\r\n", 1)[0])
        body = self.buffer[end + 4 :]
        if len(body) < length:
            return
        self.buffer = b""
        self._over(received, int(head[9:12]), body)
        self.load.answered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.closing:
            return
        if self.current is not None:
            self._over(time.monotonic(), BROKEN)
        self.buffer = b""
        self.reconnecting = asyncio.ensure_future(self._reconnect())

    def close(self) -> None:
        self.closing = True
        if self.current is not None:
            self._over(0.0, UNANSWERED)
        if self.transport is not None:
            self.transport.close()

    def _over(self, received: float, status: int, body: bytes = b"") -> None:
        assert self.current is not None
        self.load.under_way -= 1
        number, due, sent = self.current
        self.current = None
        self.load.record(number, due, sent, received, status, body)

    async def _reconnect(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.closing:
            try:
                await loop.create_connection(lambda: self, "127.0.0.1", self.load.plan.port)
            except OSError:
                if time.monotonic() >= self.load.until:
                    self.load.answered(self)
                    return
                await asyncio.sleep(0.02)
            else:
                self.load.answered(self)
                return


def _first_prediction(body: bytes) -> Any:
    """The prediction of a gateway's answer; None where another server answers in its own words."""
    answer = orjson.loads(body)
    predictions = answer["predictions"]
    return predictions[0] if isinstance(predictions[0], dict) and "arm" in predictions[0] else None
