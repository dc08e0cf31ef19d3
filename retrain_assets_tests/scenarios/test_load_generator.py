"""The load generator counts what happened: every request once, late ones from when they were due, wrong answers as such."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import numpy as np

from benchmarks.load.generator import send_all
from benchmarks.load.plan import REQUEST_ID, LoadPlan
from benchmarks.load.records import BROKEN, MIXED_UP, Records

Answer = Callable[[dict[str, str], int], Awaitable[bytes | None]]
BODIES = [json.dumps({"request_id": REQUEST_ID, "unit": unit}) for unit in ("Zoë", "b", "c")]


def prediction(request_id: str, **changes: object) -> bytes:
    told = {"request_id": request_id, "arm": "challenger", "version": "4", "revision": 7, "error": False, **changes}
    body = json.dumps({"predictions": [told]}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def load_against(answer: Answer, **plan: object) -> tuple[Records, list[dict[str, str]]]:
    """A load against a server that answers as it is told; the records, and the bodies the server got."""
    got: list[dict[str, str]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                got.append(json.loads(await reader.readexactly(length)))
                told = await answer(got[-1], len(got))
                if told is None:
                    break
                writer.write(told[:20])
                await asyncio.sleep(0)
                writer.write(told[20:])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def run() -> Records:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return Records(await send_all(LoadPlan(port, "/predict", BODIES, **{"seconds": 0.3, "connections": 3, **plan})))

    return asyncio.run(run()), got


async def well(body: dict[str, str], number: int) -> bytes:
    return prediction(body["request_id"])


def test_every_request_is_sent_once_and_recorded_once() -> None:
    records, got = load_against(well)
    assert len(records) == len(got) > 3
    assert sorted(records.rows["number"]) == list(range(len(got)))
    assert {body["request_id"] for body in got} == {f"load-{number:010d}" for number in range(len(got))}
    assert {body["unit"] for body in got} == {"Zoë", "b", "c"}
    assert records.failed == {}
    assert set(zip(records.rows["arm"], records.rows["version"], records.rows["revision"], strict=True)) == {(1, 4, 7)}
    assert (records.rows["received"] >= records.rows["sent"]).all()


def test_at_a_rate_a_request_that_had_to_wait_is_timed_from_when_it_was_due() -> None:
    async def slow(body: dict[str, str], number: int) -> bytes:
        await asyncio.sleep(0.05)
        return prediction(body["request_id"])

    records, _ = load_against(slow, rate=100.0, connections=1)
    waited = records.rows["sent"] - records.rows["due"]
    assert 1 < len(records) <= 30
    assert (np.diff(np.sort(records.rows["due"])) < 0.05).any()
    assert waited.max() > 0.05
    assert records.latency_ms(1.0) >= waited.max() * 1000


def test_a_connection_that_breaks_is_a_failed_request_and_is_opened_anew() -> None:
    async def break_once(body: dict[str, str], number: int) -> bytes | None:
        return None if number == 2 else prediction(body["request_id"])

    records, got = load_against(break_once)
    assert records.failed == {BROKEN: 1}
    assert len(records) == len(got)


def test_another_requests_answer_and_a_refusal_are_no_answers() -> None:
    async def wrong(body: dict[str, str], number: int) -> bytes:
        if number == 1:
            return prediction("somebody else's")
        return b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\n{}" if number == 2 else prediction(body["request_id"])

    records, _ = load_against(wrong)
    assert records.failed == {503: 1, MIXED_UP: 1}
    assert len(records.answered) == len(records) - 2
