"""What the application answers, asked over HTTP in process: predictions, outcomes, exposures, models, health."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from retrain_assets.home import Home
from retrain_assets.ledger import SYSTEM
from retrain_assets.routing import compile_rule, rules_from_document
from retrain_assets.serving.gateway import Options, create_app
from retrain_assets_tests.serving.gateway.served import ELSEWHERE, FEATURES, MODEL, Served, asking, row

pytestmark = pytest.mark.anyio

PREDICT, OUTCOMES, EXPOSURES, TOGGLE = (f"/v1/models/{MODEL}/{name}" for name in ("predict", "outcomes", "exposures", "toggle"))


@pytest.fixture
async def client(canary_home: Home) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(create_app(canary_home)) as opened:
        yield opened


def written(folder: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))], how="diagonal_relaxed")


async def predictions(client: httpx.AsyncClient, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.post(PREDICT, json={"rows": list(rows)})
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


async def test_each_row_is_answered_by_its_arm_and_its_exposure_is_on_record(canary_home: Home) -> None:
    rule = rules_from_document(json.loads(canary_home.flags_path.read_bytes()))[MODEL]
    assign, now = compile_rule(rule), canary_home.clock.now()
    rows = [row(f"u{number}", request_id=f"r{number}") for number in range(40)]
    rows.append(row("outside", request_id="outside", features=dict(ELSEWHERE)))
    async with asking(create_app(canary_home)) as client:
        given = await predictions(client, *rows)
    assert [one["request_id"] for one in given] == [one["request_id"] for one in rows]
    expected = [assign(one["unit"], one["features"], now) for one in rows]
    routed = [(one.arm, one.version, one.revision, one.stage, one.reason) for one in expected]
    assert [(one["arm"], one["version"], one["revision"], one["stage"], one["reason"]) for one in given] == routed
    assert {one["arm"] for one in given} == {"champion", "challenger"}
    assert given[-1]["reason"] == "cohort_excluded"
    assert len({one["score"] for one in given if one["arm"] == "challenger"}) == 1
    log = written(canary_home.exposures_dir(MODEL)).sort("request_id")
    told = pl.DataFrame(given).sort("request_id")
    assert log["request_id"].to_list() == told["request_id"].to_list()
    assert log.select("arm", "version", "revision", "score", "decision").equals(
        told.select("arm", "version", "revision", "score", "decision")
    )


async def test_one_row_is_answered_as_one_of_several_is(client: httpx.AsyncClient) -> None:
    alone = (await client.post(PREDICT, json=row("u1"))).json()["predictions"]
    (among,) = await predictions(client, row("u1"))
    same = ("unit", "score", "arm", "version", "reason", "error")
    assert [one[name] for one in alone for name in same] == [among[name] for name in same]
    assert alone[0]["request_id"] != among["request_id"]


async def test_without_a_unit_the_champion_answers_outside_the_experiment(client: httpx.AsyncClient) -> None:
    (given,) = await predictions(client, row(None))
    assert (given["unit"], given["arm"], given["reason"], given["revision"]) == (None, "champion", "no_unit", 0)


@pytest.mark.parametrize(
    ("features", "where"),
    [
        ({**FEATURES, "x3": "far"}, "row 1, features.x3"),
        ({**FEATURES, "x3": [1]}, "row 1, features.x3"),
        ({name: value for name, value in FEATURES.items() if name != "x3"}, "row 1, features.x3"),
        ({**FEATURES, "x33": 1}, "row 1, features.x33"),
    ],
    ids=["another kind", "no scalar", "missing", "unknown"],
)
async def test_a_row_that_is_not_as_the_signature_says_is_refused_and_none_is_answered(
    canary_home: Home, features: dict[str, Any], where: str
) -> None:
    async with asking(create_app(canary_home)) as client:
        answer = await client.post(PREDICT, json={"rows": [row("u1"), {"unit": "u2", "features": features}]})
    fault = answer.json()["error"]
    assert (answer.status_code, fault["code"], fault["where"]) == (422, "bad_row", where)
    assert fault["remedy"]
    assert not list(canary_home.exposures_dir(MODEL).glob("*.parquet"))


@pytest.mark.parametrize("path", [PREDICT, OUTCOMES, EXPOSURES])
async def test_what_can_be_wrong_with_a_body_has_a_code_each(canary_home: Home, path: str) -> None:
    async with asking(create_app(canary_home, Options(max_body_bytes=20_000))) as client:

        async def told(status: int, **sent: Any) -> str:
            answer = await client.post(path, **sent)
            assert answer.status_code == status
            return answer.json()["error"]["code"]

        json_type = {"Content-Type": "application/json"}
        assert await told(400, content=b"{", headers=json_type) == "not_json"
        assert await told(413, content=b" " * 20_001, headers=json_type) == "body_too_large"
        assert await told(415, content=b"{}") == "wrong_content_type"
        assert await told(422, json={"row": 1}) == "bad_row"
        assert await told(422, json={"rows": [{}] * 51}) == "too_many_rows"
        unknown = await client.post(path.replace(MODEL, "delay"), json={})
        assert unknown.json()["error"] == {
            "code": "unknown_model",
            "message": "there is no model 'delay'",
            "where": "flags.json",
            "remedy": f"models: {MODEL}",
        }


async def test_outcomes_are_on_record_under_their_measures(canary_home: Home) -> None:
    outcome = {"request_id": "r", "unit": "u", "observed_at": "2024-05-01T12:00:00Z", "measures": {"cost_per_flight": 12.5}}
    async with asking(create_app(canary_home)) as client:
        answer = await client.post(OUTCOMES, json={"rows": [outcome, outcome | {"request_id": "s", "observed_at": None}]})
        assert (answer.status_code, answer.json()) == (200, {"recorded": 2})
        refused = await client.post(OUTCOMES, json=outcome | {"measures": {"cost": 1}})
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "bad_row")
    assert written(canary_home.outcomes_dir(MODEL)).sort("request_id")["cost_per_flight"].to_list() == [12.5, 12.5]


async def test_another_services_answers_are_on_record_as_the_toggle_said_them(canary_home: Home) -> None:
    async with asking(create_app(canary_home)) as client:
        toggle = (await client.get(TOGGLE)).json()
        exposure = {
            "request_id": "r",
            "unit": "u",
            "attributes": {"origin": "JFK"},
            "arm": "challenger",
            "version": toggle["challenger"]["version"],
            "bundle": toggle["challenger"]["bundle"],
            "toggle": toggle["toggle"],
            "revision": toggle["revision"],
            "stage": toggle["stage"],
            "latency_ms": 3,
            "score": 0.25,
        }
        assert (await client.post(EXPOSURES, json=exposure)).json() == {"recorded": 1}
        wrong = await client.post(EXPOSURES, json=exposure | {"request_id": "s", "bundle": "sha256:00"})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "bad_row")
    (line,) = written(canary_home.exposures_dir(MODEL)).to_dicts()
    assert {name: line[name] for name in ("request_id", "unit_id", "arm", "revision", "score", "origin")} == {
        "request_id": "r",
        "unit_id": "u",
        "arm": "challenger",
        "revision": toggle["revision"],
        "score": 0.25,
        "origin": "JFK",
    }


async def test_models_and_toggle_tell_what_this_process_serves(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/models")).json()
    assert listed == {
        "models": [{"model": MODEL, "ready": True, "version": "1", "toggle": f"{MODEL}-2013-07-01", "stage": "25", "share": 0.25}]
    }
    toggle = (await client.get(TOGGLE)).json()
    assert (toggle["state"], toggle["revision"], toggle["stage"], toggle["share"]) == ("ramping", 4, "25", 0.25)
    assert toggle["cohort"] == {"origin": {"in": ["JFK", "EWR"]}}
    assert [toggle[arm]["version"] for arm in ("champion", "challenger")] == ["1", "2"]
    assert all(toggle[arm]["loaded"] and toggle[arm]["problem"] is None for arm in ("champion", "challenger"))


async def test_a_flip_is_in_force_at_the_next_request(tmp_path: Path) -> None:
    served = Served.at(tmp_path / "world").canary()
    async with asking(served.app()) as client:
        before = await predictions(client, *(row(f"u{number}") for number in range(20)))
        served.controller.rollback(f"{MODEL}-2013-07-01", SYSTEM, "as the test wants it")
        served.clock.forward(seconds=1)
        while (await client.get(TOGGLE)).json()["state"] != "rolled_back":
            pass
        after = await predictions(client, *(row(f"u{number}") for number in range(20)))
    assert {one["arm"] for one in before} == {"champion", "challenger"}
    assert {(one["arm"], one["reason"]) for one in after} == {("champion", "rolled_back")}


async def test_an_arm_that_is_not_loaded_is_told_with_its_reason_and_costs_nobody_an_answer(tmp_path: Path) -> None:
    served = Served.at(tmp_path / "world").canary()
    del served.registry.versions[MODEL, "2"]
    async with asking(served.app()) as client:
        challenger = (await client.get(TOGGLE)).json()["challenger"]
        assert not challenger["loaded"]
        assert "has no version 2" in challenger["problem"]
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["problems"]) == (200, [])
        assert "the challenger cannot answer" in ready.json()["warnings"][0]
        given = await predictions(client, *(row(f"u{number}") for number in range(20)))
        assert {(one["arm"], one["error"]) for one in given} == {("champion", False), ("challenger", True)}


async def test_without_a_champion_to_answer_the_gateway_is_alive_and_not_ready(tmp_path: Path) -> None:
    served = Served.at(tmp_path / "world").canary()
    del served.registry.versions[MODEL, "1"]
    async with asking(served.app()) as client:
        assert (await client.get("/healthz")).json() == {"status": "alive"}
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        assert f"{MODEL}: the champion cannot answer" in ready.json()["problems"][0]
        assert not (await client.get("/v1/models")).json()["models"][0]["ready"]
        refused = await client.post(PREDICT, json=row())
        assert (refused.status_code, refused.json()["error"]["code"], refused.headers["retry-after"]) == (503, "not_ready", "1")


async def test_a_home_without_models_is_served_and_not_ready(retrain_home: Path) -> None:
    async with asking(create_app(Home(retrain_home))) as client:
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["problems"]
        assert (await client.get("/v1/models")).json() == {"models": []}


async def test_what_cannot_be_put_on_record_is_not_answered(canary_home: Home) -> None:
    """The disk refuses; a folder that cannot be made is such a case."""
    canary_home.journal_dir(MODEL).parent.mkdir(parents=True)
    canary_home.journal_dir(MODEL).write_text("in the way")
    async with asking(create_app(canary_home)) as client:
        refused = await client.post(PREDICT, json=row())
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "log_unavailable")
        assert refused.headers["retry-after"] == "1"
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert f"traffic cannot be recorded, requests to {MODEL} are refused" in ready.json()["problems"][0]
        canary_home.journal_dir(MODEL).unlink()
        assert (await client.post(PREDICT, json=row())).status_code == 200
        assert (await client.get("/readyz")).json()["ready"]
