"""What is around every request, whatever the route does with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from retrain_assets.contract import CustodyError, Refused, RetrainError
from retrain_assets.serving.gateway.bodies import json_of
from retrain_assets.serving.gateway.envelope import Envelope
from retrain_assets.serving.gateway.errors import faults_as_answers
from retrain_assets.serving.live.values import BadRequest, LogUnavailable, ModelFailed, ModelLate, NotReady, UnknownModel

pytestmark = pytest.mark.anyio

FAULTS = {
    "unknown": UnknownModel("there is no model 'x'", where="flags.json", remedy="models: y"),
    "row": BadRequest("is missing", where="row 0, x", remedy="add it"),
    "loading": NotReady("is being loaded"),
    "disk": LogUnavailable("no space left"),
    "model": ModelFailed("gave no score"),
    "late": ModelLate("took too long"),
    "policy": Refused("not in this state"),
    "custody": CustodyError("is not what was recorded"),
    "other": RetrainError("something else"),
}


class Parsed(BaseModel):
    number: int


def application() -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.post("/echo")
    async def echo(request: Request) -> Any:
        return await json_of(request)

    @app.post("/parsed")
    async def parsed(body: Parsed) -> Parsed:
        return body

    @app.get("/fault/{name}")
    async def fault(name: str) -> None:
        raise FAULTS.get(name) or ZeroDivisionError("a secret in the code")

    faults_as_answers(app)
    app.add_middleware(Envelope, max_body_bytes=100, body_seconds=0.05)
    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application()), base_url="http://gateway") as opened:
        yield opened


async def test_every_answer_has_an_id_the_callers_own_where_it_gave_one(client: httpx.AsyncClient) -> None:
    made = (await client.get("/nowhere")).headers["x-request-id"]
    assert len(made) == 32
    assert made != (await client.get("/nowhere")).headers["x-request-id"]
    for path in ("/nowhere", "/fault/row", "/fault/unforeseen"):
        answer = await client.get(path, headers={"X-Request-Id": "call-7"})
        assert answer.headers["x-request-id"] == "call-7"
        assert answer.headers.get_list("x-request-id") == ["call-7"]


@pytest.mark.parametrize("given", ["", "two words", "x" * 201, "naïve"])
async def test_an_id_that_cannot_stand_in_a_log_line_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("/nowhere", headers=[(b"X-Request-Id", given.encode())])
    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("unknown", 404, "unknown_model"),
        ("row", 422, "bad_row"),
        ("loading", 503, "not_ready"),
        ("disk", 503, "log_unavailable"),
        ("model", 500, "model_failed"),
        ("late", 504, "model_timeout"),
        ("policy", 409, "refused"),
        ("custody", 500, "custody_broken"),
        ("other", 500, "failed"),
    ],
)
async def test_each_kind_of_fault_has_its_status_and_its_code(
    client: httpx.AsyncClient, name: str, status: int, code: str
) -> None:
    answer, fault = await client.get(f"/fault/{name}"), FAULTS[name]
    assert answer.status_code == status
    assert answer.json() == {"error": {"code": code, "message": fault.what, "where": fault.where, "remedy": fault.remedy}}
    assert answer.headers.get("retry-after") == ("1" if status == 503 else None)


async def test_a_fault_nobody_foresaw_tells_its_id_and_nothing_of_the_code(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await client.get("/fault/unforeseen", headers={"X-Request-Id": "call-8"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert "call-8" in record.getMessage()
    assert record.exc_info is not None


async def test_no_path_and_no_method_are_told_apart(client: httpx.AsyncClient) -> None:
    nowhere, wrong = await client.get("/nowhere"), await client.get("/echo")
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "no_such_path")
    assert (wrong.status_code, wrong.json()["error"]["code"], wrong.headers["allow"]) == (405, "wrong_method", "POST")
    assert wrong.json()["error"]["remedy"] == "use POST"


@pytest.mark.parametrize("path", ["/echo", "/parsed"])
async def test_a_body_may_be_as_large_as_the_limit_and_no_larger(client: httpx.AsyncClient, path: str) -> None:
    async def chunks(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 10):
            yield b" " * 10

    async def told(content: Any) -> tuple[int, str | None]:
        answer = await client.post(path, content=content, headers={"Content-Type": "application/json"})
        return answer.status_code, answer.json().get("error", {}).get("code")

    assert await told(b'{"number": 1}' + b" " * 87) == (200, None)
    assert await told(b'{"number": 1}' + b" " * 88) == (413, "body_too_large")
    assert await told(chunks(110)) == (413, "body_too_large")
    assert await told(chunks(100_000)) == (413, "body_too_large")


async def test_an_application_that_lets_the_fault_of_a_body_pass_is_answered_for() -> None:
    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    transport = httpx.ASGITransport(Envelope(bare, max_body_bytes=1))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        assert (await client.post("/", content=b"{}")).json()["error"]["code"] == "body_too_large"


@pytest.mark.parametrize("path", ["/echo", "/parsed"])
@pytest.mark.parametrize("pause", [60, 0.002])
async def test_a_body_that_does_not_come_in_time_is_given_up(client: httpx.AsyncClient, path: str, pause: float) -> None:
    """Whether it stalls, or comes drop by drop; long before it is as large as it may be."""
    sent = []

    async def stalls() -> AsyncIterator[bytes]:
        while True:
            sent.append(b"{")
            yield b"{"
            await asyncio.sleep(pause)

    answer = await client.post(path, content=stalls(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "body_too_late")
    assert answer.headers["connection"] == "close"
    assert len(sent) < 100


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 200),
        ({"Content-Type": "Application/JSON; charset=utf-8"}, 200),
        ({"Content-Type": "application/cloudevents+json"}, 200),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "text/json"}, 415),
        ({}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
    ],
)
async def test_only_what_is_declared_to_be_json_is_read(client: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    answer = await client.post("/echo", content=b"[1]", headers=headers)
    assert answer.status_code == status
    if status == 415:
        assert answer.json()["error"]["code"] == "wrong_content_type"


@pytest.mark.parametrize("content", [b"", b"{", b"NaN", b'"\\ud800"', b"1e999", b"\xff", b"[" * 99])
async def test_what_is_not_json_is_told_where(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post("/echo", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "not_json")
    assert "line 1, column" in answer.json()["error"]["message"]


async def test_bodies_that_fastapi_parses_are_refused_in_the_same_form(client: httpx.AsyncClient) -> None:
    no_json = await client.post("/parsed", content=b"{", headers={"Content-Type": "application/json"})
    no_number = await client.post("/parsed", json={"number": "one"})
    assert (no_json.status_code, no_json.json()["error"]["code"]) == (400, "not_json")
    assert (no_number.status_code, no_number.json()["error"]["code"]) == (422, "bad_request")
    assert no_number.json()["error"]["where"] == "body.number"
