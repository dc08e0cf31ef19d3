"""Who may do what over HTTP, asked of the whole application."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from retrain_assets.home import Home
from retrain_assets.ledger import Actor
from retrain_assets.release.access import Access, Scope, tokens_path
from retrain_assets.serving.gateway import Options

from .served import MODEL, RUTH, Served, row

pytestmark = pytest.mark.anyio

PREDICT = f"/v1/models/{MODEL}/predict"
TOGGLE = f"/v1/models/{MODEL}/toggle"
ROLLBACK = f"{TOGGLE}/rollback"
HERE, ELSEWHERE = ("127.0.0.1", 50_000), ("192.0.2.7", 50_000)
WHY = {"reason": "complaints since noon"}


ONCALL = Actor("person", "oncall@example.org")

NAMES = (f"token-{number}" for number in count())

STRANGERS = [ELSEWHERE, ("10.0.0.5", 1), ("::ffff:192.0.2.7", 1), ("2001:db8::1", 1), ("not an address", 1), None]


@pytest.fixture(scope="module")
def served(canary_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A canary that these tests leave as it is; each makes tokens of its own."""
    return Served.at(shutil.copytree(canary_base, tmp_path_factory.mktemp("served") / "home"))


@pytest.fixture
def own(canary_home: Home) -> Served:
    """A canary that a test changes."""
    return Served.at(canary_home.root)


def given(served: Served, *scopes: str, name: str | None = None, **more: Any) -> dict[str, str]:
    """The header that shows a new token."""
    access = Access(served.home, served.ledger, served.home.clock)
    secret = access.add(name or next(NAMES), ONCALL, [Scope(one) for one in scopes], RUTH, "needed", **more).secret
    return {"Authorization": f"Bearer {secret}"}


@asynccontextmanager
async def asking(served: Served, peer: tuple[str, int] | None = HERE, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with served.client(Options(**options), peer=peer) as client:
        yield client


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize("peer", [HERE, ("127.8.9.1", 1), ("::1", 1), ("::ffff:127.0.0.1", 1)])
async def test_programs_on_this_machine_predict_and_send_outcomes_without_a_token(served: Served, peer: tuple[str, int]) -> None:
    async with asking(served, peer) as client:
        assert (await client.post(PREDICT, json=row())).status_code == 200
        outcome = {"request_id": "r", "unit": "u", "measures": {"cost_per_flight": 1.0}}
        assert (await client.post(f"/v1/models/{MODEL}/outcomes", json=outcome)).status_code == 200
        assert (await client.get(TOGGLE)).status_code == 200


@pytest.mark.parametrize("peer", [HERE, ELSEWHERE])
async def test_operations_need_a_token_from_everywhere(served: Served, peer: tuple[str, int]) -> None:
    async with asking(served, peer) as client:
        for asked in (f"POST {ROLLBACK}", "POST /v1/kill", "DELETE /v1/kill", f"POST /v1/models/{MODEL}/kill"):
            answer = await client.request(*asked.split(), json=WHY)
            assert code_of(answer) == (401, "unauthorized")
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert served.state.active_toggle is not None


@pytest.mark.parametrize("peer", STRANGERS)
async def test_from_anywhere_else_nothing_goes_without_a_token(served: Served, peer: tuple[str, int] | None) -> None:
    header = given(served, "predict")
    async with asking(served, peer) as client:
        assert code_of(await client.post(PREDICT, json=row())) == (401, "unauthorized")
        assert code_of(await client.get("/v1/models")) == (401, "unauthorized")
        assert code_of(await client.post("/ofrep/v1/evaluate/flags", json={})) == (401, "unauthorized")
        assert (await client.post(PREDICT, json=row(), headers=header)).status_code == 200


async def test_health_and_metrics_are_open_to_everybody(served: Served) -> None:
    async with asking(served, ELSEWHERE, require_tokens=True) as client:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await client.get(path)).status_code == 200


async def test_metrics_can_be_kept_from_strangers(served: Served) -> None:
    header = given(served, "outcomes")
    async with asking(served, ELSEWHERE, require_tokens_for_metrics=True) as client:
        assert code_of(await client.get("/metrics")) == (401, "unauthorized")
        assert (await client.get("/metrics", headers=header)).status_code == 200
    async with asking(served, HERE, require_tokens_for_metrics=True) as client:
        assert (await client.get("/metrics")).status_code == 200
    async with asking(served, HERE, require_tokens_for_metrics=True, require_tokens=True) as client:
        assert (await client.get("/metrics")).status_code == 401


async def test_behind_a_proxy_tokens_can_be_asked_of_everybody(served: Served) -> None:
    header = given(served, "predict")
    async with asking(served, HERE, require_tokens=True) as client:
        assert code_of(await client.post(PREDICT, json=row())) == (401, "unauthorized")
        assert (await client.post(PREDICT, json=row(), headers=header)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Real-IP": "127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://evil.example:8080", "Host": "evil.example:8080"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-origin", "Host": "evil.example:8080"},
    ],
)
async def test_a_proxy_or_a_web_page_is_no_program_on_this_machine(served: Served, headers: dict[str, str]) -> None:
    """A page in a browser on this machine, or a proxy before the gateway, has this machine's address too."""
    async with asking(served) as client:
        assert code_of(await client.post(PREDICT, json=row(), headers=headers)) == (401, "unauthorized")


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
async def test_a_page_of_the_gateway_itself_is_one(served: Served, host: str) -> None:
    headers = {"Origin": f"http://{host}", "Host": host, "Sec-Fetch-Site": "same-origin"}
    async with asking(served) as client:
        assert (await client.post(PREDICT, json=row(), headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        {"Authorization": "Bearer rtn_nobody-was-given-this"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic cnV0aDpzZWNyZXQ="},
        {"Authorization": ""},
        {"X-API-Key": "rtn_nobody-was-given-this"},
        {"X-API-Key": ""},
    ],
)
async def test_a_wrong_token_is_refused_even_where_none_is_needed(served: Served, header: dict[str, str]) -> None:
    async with asking(served) as client:
        answer = await client.post(PREDICT, json=row(), headers=header)
    assert code_of(answer) == (401, "invalid_token")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_a_token_is_taken_as_bearer_or_as_api_key(served: Served) -> None:
    secret = given(served, "predict")["Authorization"].removeprefix("Bearer ")
    async with asking(served, ELSEWHERE) as client:
        for header in ({"Authorization": f"bearer  {secret}"}, {"X-API-Key": secret}):
            assert (await client.post(PREDICT, json=row(), headers=header)).status_code == 200


async def test_a_scope_allows_what_it_names_and_nothing_else(own: Served) -> None:
    outcome = {"request_id": "r", "unit": "u", "measures": {"cost_per_flight": 1.0}}
    asked: dict[str, tuple[str, Any]] = {
        "predict": (PREDICT, row()),
        "outcomes": (f"/v1/models/{MODEL}/outcomes", outcome),
        "operate": (f"{TOGGLE}/hold", WHY),
    }
    headers = {scope: given(own, scope) for scope in asked}
    async with asking(own, ELSEWHERE) as client:
        for held, header in headers.items():
            for scope, (path, body) in asked.items():
                answer = await client.post(path, json=body, headers=header)
                assert (answer.status_code == 200) is (held == scope), (held, scope, answer.text)
                if held != scope:
                    assert code_of(answer) == (403, "forbidden")
                    assert f"allows {held}, not {scope}" in answer.json()["error"]["message"]


async def test_a_token_of_some_models_is_for_these_alone(own: Served) -> None:
    mine = given(own, "predict", "operate", models=[MODEL])
    other = given(own, "predict", "operate", models=["another_model"])
    flag, flags = f"/ofrep/v1/evaluate/flags/{MODEL}", "/ofrep/v1/evaluate/flags"
    async with asking(own, ELSEWHERE) as client:
        for path, body in ((PREDICT, row()), (flag, {}), (f"{TOGGLE}/hold", WHY)):
            answer = await client.post(path, json=body, headers=other)
            assert code_of(answer) == (403, "forbidden")
            assert (await client.post(path, json=body, headers=mine)).status_code == 200
        assert (await client.post(flags, json={}, headers=other)).json() == {"flags": []}
        assert len((await client.post(flags, json={}, headers=mine)).json()["flags"]) == 1
        assert code_of(await client.post("/v1/kill", json=WHY, headers=mine)) == (403, "forbidden")
    assert not own.controller.platform().kill_switches


async def test_an_expired_token_is_none(served: Served) -> None:
    header = given(served, "predict", name="short", expires_after=timedelta(seconds=0.3))
    async with asking(served, ELSEWHERE) as client, asyncio.timeout(60):
        while (answer := await client.get("/v1/models", headers=header)).status_code == 200:
            await asyncio.sleep(0.02)
    assert code_of(answer) == (401, "invalid_token")
    assert "token short has expired" in answer.json()["error"]["message"]


async def test_a_revoked_token_is_refused_from_the_next_request_on(served: Served) -> None:
    header = given(served, "predict", name="leaked")
    async with asking(served, ELSEWHERE) as client:
        assert (await client.get("/v1/models", headers=header)).status_code == 200
        Access(served.home, served.ledger, served.home.clock).revoke("leaked", RUTH, "it leaked")
        assert code_of(await client.get("/v1/models", headers=header)) == (401, "invalid_token")


async def test_tokens_that_cannot_be_read_stop_tokens_and_nobody_else(own: Served) -> None:
    header = given(own, "predict")
    async with asking(own) as client:
        tokens_path(own.home).write_text("{")
        answer = await client.post(PREDICT, json=row(), headers=header)
        assert code_of(answer) == (503, "tokens_unreadable")
        assert "retry-after" in answer.headers
        assert (await client.post(PREDICT, json=row())).status_code == 200


@pytest.mark.parametrize("options", [{}, {"require_tokens": True}, {"open_to_others": True}])
async def test_tokens_that_cannot_be_read_keep_a_gateway_from_being_ready_whose_callers_need_one(
    own: Served, options: dict[str, bool]
) -> None:
    given(own, "predict")
    async with asking(own, **options) as client:
        assert (await client.get("/readyz")).json() == {"ready": True, "problems": [], "warnings": []}
        tokens_path(own.home).write_text("{")
        answer = await client.get("/readyz")
        told, metrics = answer.json(), (await client.get("/metrics")).text
    assert (answer.status_code, told["ready"]) == ((503, False) if options else (200, True))
    (fault,) = told["problems"] + told["warnings"]
    assert fault.startswith("no token is accepted: tokens.json: it is not what retrain writes")
    assert f"retrain_problems {len(told['problems'])}.0" in metrics
    assert f"retrain_warnings {len(told['warnings'])}.0" in metrics


async def test_a_secret_stands_in_no_answer_and_no_log(own: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    header = given(own, "predict", "operate")
    wrong = {"Authorization": "Bearer rtn_not-a-secret-of-ours"}
    async with asking(own) as client:
        told = [(await client.post(ROLLBACK, json=body, headers=one)).text for one in (wrong, header) for body in ({}, WHY)]
        told += [(await client.post(PREDICT, json=row(), headers=one)).text for one in (wrong, header)]
    for secret in (header["Authorization"], wrong["Authorization"]):
        assert secret.removeprefix("Bearer ") not in caplog.text + "".join(told)


async def test_refused_attempts_at_an_operation_are_logged(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    async with asking(served, ELSEWHERE) as client:
        await client.post(ROLLBACK, json=WHY)
    (line,) = [json.loads(one.message) for one in caplog.records if one.name == "retrain_assets.operations"]
    assert line["operation"] == f"POST {ROLLBACK}"
    assert (line["outcome"], line["status"], line["actor"], line["peer"]) == ("refused", 401, None, "192.0.2.7")
