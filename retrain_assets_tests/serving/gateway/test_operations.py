"""Rollback, hold and kill switches over HTTP: done means recorded, and routed by the worker that answers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from retrain_assets.contract import RegistryUnavailable
from retrain_assets.home import Home
from retrain_assets.ledger import SYSTEM, Actor, EventKind
from retrain_assets.release import ReleaseController
from retrain_assets.release.access import Access, Scope
from retrain_assets.serving.gateway import create_app, operations_door

from .served import MODEL, RUTH, SECOND, BundleRegistry, Served, bundle_manifest, row, running

pytestmark = pytest.mark.anyio

TOGGLE = f"{MODEL}-{SECOND}"
BASE = f"/v1/models/{MODEL}"
ROLLBACK, HOLD, KILL = f"{BASE}/toggle/rollback", f"{BASE}/toggle/hold", f"{BASE}/kill"
WHY = {"reason": "complaints since noon"}
ONCALL = Actor("person", "oncall@example.org")
PAGER = Actor("system", "pager")


@pytest.fixture
def served(canary_home: Home) -> Served:
    served = Served.at(canary_home.root)
    served.registry.versions = {(MODEL, place.name): place for place in (served.registry.folder / MODEL).iterdir()}
    return served


@asynccontextmanager
async def operating(
    served: Served, actor: Actor = ONCALL, registry: BundleRegistry | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a token of its own; the gateway has a controller of its own."""
    access = Access(served.home, served.ledger, served.home.clock)
    name = actor.name.partition("@")[0]
    secret = access.add(name, actor, [Scope.OPERATE, Scope.PREDICT], RUTH, "on call").secret
    door = ReleaseController(served.home, served.ledger, served.evidence, registry or served.registry, served.clock)
    headers = {"Authorization": f"Bearer {secret}"}
    async with running(create_app(served.home, controller=door)) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
            yield client


def lines(caplog: pytest.LogCaptureFixture) -> list[Mapping[str, Any]]:
    return [json.loads(one.message) for one in caplog.records if one.name == "retrain_assets.operations"]


async def arms(client: httpx.AsyncClient) -> set[str]:
    """The arms that fifty units get."""
    rows = [row(f"unit-{number}") for number in range(50)]
    answer = await client.post(f"{BASE}/predict", json={"rows": rows})
    return {one["arm"] for one in answer.json()["predictions"]}


async def test_after_the_answer_to_a_rollback_no_unit_gets_the_challenger(served: Served) -> None:
    async with operating(served) as client:
        assert await arms(client) == {"champion", "challenger"}
        answer = await client.post(ROLLBACK, json=WHY)
        assert await arms(client) == {"champion"}
    told = answer.json()
    assert answer.status_code == 200
    assert (told["operation"], told["model"], told["actor"], told["reason"]) == ("rollback", MODEL, str(ONCALL), WHY["reason"])
    (toggle,) = told["toggles"]
    assert (toggle["toggle"], toggle["state"], toggle["revision"]) == (TOGGLE, "rolled_back", 5)
    (now,) = told["served"]
    assert (now["state"], now["share"], now["champion"]) == ("rolled_back", 0.0, "1")
    assert told["notes"] == []


async def test_what_was_done_is_in_the_ledger_in_the_name_of_the_tokens_holder(served: Served) -> None:
    async with operating(served, PAGER) as client:
        told = (await client.post(ROLLBACK, json=WHY)).json()
    event = served.ledger.events()[-1]
    assert (event.kind, event.actor, event.reason) == (EventKind.ROLLED_BACK, PAGER, WHY["reason"])
    assert event.payload["credential"] == {"token": "pager"}
    assert told["events"] == [
        {
            "sequence": event.sequence,
            "kind": "rolled_back",
            "model": MODEL,
            "toggle": TOGGLE,
            "revision": 5,
            "at": event.to_json()["at"],
        }
    ]
    assert not served.ledger.verify()


async def test_the_token_is_the_credential_of_every_order_and_a_persons_rollback_leaves_a_follow_up(served: Served) -> None:
    async with operating(served) as client:
        for method, path in (("POST", HOLD), ("POST", ROLLBACK), ("POST", KILL), ("DELETE", KILL), ("POST", "/v1/kill")):
            assert (await client.request(method, path, json=WHY)).status_code == 200
    recorded = [event for event in served.ledger.events() if event.actor == ONCALL]
    assert len(recorded) == 5
    assert all(event.payload["credential"] == {"token": "oncall"} for event in recorded)
    opened = ReleaseController(served.home, served.ledger, served.evidence, served.registry, served.clock).platform().follow_ups
    assert [one.kind for one in opened.values()] == ["rollback", "kill_switch", "kill_switch"]
    assert all(one.unsigned == "" for one in opened.values())


async def test_a_hold_leaves_traffic_as_it_is(served: Served) -> None:
    async with operating(served) as client:
        told = (await client.post(HOLD, json=WHY)).json()
        assert (told["served"][0]["state"], told["served"][0]["share"]) == ("held", 0.25)
        assert await arms(client) == {"champion", "challenger"}
    assert served.state.toggles[TOGGLE].state == "held"


async def test_an_operation_can_be_tied_to_a_revision(served: Served) -> None:
    async with operating(served) as client:
        stale = await client.post(ROLLBACK, json={**WHY, "revision": 3})
        assert (stale.status_code, stale.json()["error"]["code"]) == (409, "stale_revision")
        assert "the toggle is at revision 4, not 3" in stale.json()["error"]["message"]
        assert served.state.active_toggle is not None
        done = await client.post(HOLD, json={**WHY, "revision": 4.0})
        assert done.json()["toggles"][0]["revision"] == 5
        assert (await client.post(ROLLBACK, json={**WHY, "revision": 5, "toggle": TOGGLE})).status_code == 200


async def test_a_repeated_rollback_undoes_no_older_promotion(served: Served) -> None:
    """An alarm that repeats its request, because the answer was lost, must not give back the champion of before."""
    promoted(served)
    third = "2013-08-01"
    served.candidate(third, registered=bundle_manifest(third))
    name = served.controller.register_and_arm(served.contract, third).name
    for _ in range(2):
        served.controller.step(name, SYSTEM, "as planned")
    async with operating(served) as client:
        assert (await client.post(ROLLBACK, json=WHY)).status_code == 200
        again = await client.post(ROLLBACK, json=WHY)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "refused")
        assert TOGGLE in again.json()["error"]["remedy"]
        assert served.state.champion.version == "2"


async def test_a_promotion_is_taken_back_by_name_and_the_old_champion_answers(served: Served) -> None:
    promoted(served)
    async with operating(served) as client:
        before = (await client.post(f"{BASE}/predict", json=row())).json()["predictions"][0]
        answer = await client.post(ROLLBACK, json={**WHY, "toggle": TOGGLE})
        after = (await client.post(f"{BASE}/predict", json=row())).json()["predictions"][0]
    assert (before["version"], after["version"]) == ("2", "1")
    assert answer.json()["served"][0]["champion"] == "1"
    assert served.state.champion.version == "1"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "bad_order"),
        ({"reason": ""}, 422, "bad_order"),
        ({"reason": "  \n"}, 422, "bad_order"),
        ({"reason": 7}, 422, "bad_order"),
        ({"reason": "x" * 2001}, 422, "bad_order"),
        ([], 422, "bad_order"),
        ({**WHY, "revision": "4"}, 422, "bad_order"),
        ({**WHY, "revision": True}, 422, "bad_order"),
        ({**WHY, "revision": 4.5}, 422, "bad_order"),
        ({**WHY, "actor": "person:somebody@else.example"}, 422, "bad_order"),
        ({**WHY, "toggle": "no-such-toggle"}, 409, "refused"),
    ],
)
async def test_what_is_not_clearly_asked_for_is_not_done(
    served: Served, caplog: pytest.LogCaptureFixture, body: Any, status: int, code: str
) -> None:
    events = served.ledger.head()[0]
    async with operating(served) as client:
        answer = await client.post(ROLLBACK, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert served.ledger.head()[0] == events + 1  # the token
    (line,) = lines(caplog)
    assert (line["outcome"], line["status"], line["actor"], line["token"]) == ("refused", status, str(ONCALL), "oncall")


async def test_a_body_that_is_not_json_is_refused_and_logged(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    async with operating(served) as client:
        broken = await client.post(ROLLBACK, content=b"{", headers={"Content-Type": "application/json"})
        plain = await client.post(ROLLBACK, content=b'{"reason": "x"}')
    assert (broken.status_code, plain.status_code) == (400, 415)
    assert [line["status"] for line in lines(caplog)] == [400, 415]
    assert served.state.active_toggle is not None


async def test_a_model_that_is_not_known_is_said_so(served: Served) -> None:
    async with operating(served) as client:
        answer = await client.post("/v1/models/flight_dealy/toggle/rollback", json=WHY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_model")


async def test_the_kill_switch_of_a_model_rolls_back_and_stays(served: Served) -> None:
    async with operating(served) as client:
        told = (await client.post(KILL, json=WHY)).json()
        assert await arms(client) == {"champion"}
        assert (told["operation"], told["kill_switches"]) == ("kill", [MODEL])
        assert {event["kind"] for event in told["events"]} == {"kill_switch_engaged", "rolled_back"}
        assert [one["state"] for one in told["toggles"]] == ["rolled_back"]
        again = (await client.post(KILL, json=WHY)).json()
        assert (again["events"], again["kill_switches"]) == ([], [MODEL])
        released = (await client.request("DELETE", KILL, json={"reason": "the cause is gone"})).json()
        assert (released["operation"], released["kill_switches"]) == ("release", [])
        assert await arms(client) == {"champion"}


async def test_the_kill_switch_of_all_models_holds_for_those_to_come(served: Served) -> None:
    async with operating(served) as client:
        told = (await client.post("/v1/kill", json=WHY)).json()
        assert (told["model"], told["kill_switches"]) == (None, ["*"])
        assert await arms(client) == {"champion"}
        assert served.controller.platform().kill_switch("a_model_to_come") is not None
        released = await client.delete("/v1/kill", params={"reason": "the cause is gone"})
        assert released.json()["kill_switches"] == []
        twice = await client.delete("/v1/kill", params={"reason": "the cause is gone"})
        assert (twice.status_code, twice.json()["error"]["code"]) == (409, "refused")


async def test_a_machine_may_engage_a_kill_switch_and_only_a_person_release_it(served: Served) -> None:
    async with operating(served, PAGER) as client:
        assert (await client.post(KILL, json=WHY)).status_code == 200
        refused = await client.request("DELETE", KILL, json=WHY)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "refused")
    assert "is for a person, not for system:pager" in refused.json()["error"]["message"]
    assert served.controller.platform().kill_switch(MODEL) is not None


async def test_a_kill_switch_takes_no_revision(served: Served) -> None:
    async with operating(served) as client:
        answer = await client.post(KILL, json={**WHY, "revision": 4})
    assert answer.status_code == 422
    assert served.state.active_toggle is not None


async def test_every_operation_leaves_one_line_with_who_what_and_which_events(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "retrain_assets.operations")
    async with operating(served) as client:
        told = (await client.post(ROLLBACK, json={"reason": "a line\nand a \x1b[31mcolour"})).json()
    (record,) = [one for one in caplog.records if one.name == "retrain_assets.operations"]
    assert record.message.isprintable()
    line = json.loads(record.message)
    assert line == {
        "operation": f"POST {ROLLBACK}",
        "model": MODEL,
        "actor": str(ONCALL),
        "token": "oncall",
        "peer": "127.0.0.1",
        "reason": "a line\nand a \x1b[31mcolour",
        "outcome": "done",
        "status": 200,
        "message": "rollback is recorded and routed",
        "events": [told["events"][0]["sequence"]],
    }


async def test_operations_are_counted(served: Served) -> None:
    async with operating(served) as client:
        await client.post(HOLD, json=WHY)
        await client.post(HOLD, json=WHY)
        text = (await client.get("/metrics")).text
    assert 'retrain_operations_total{operation="hold",outcome="done"} 1.0' in text
    assert 'retrain_operations_total{operation="hold",outcome="refused"} 1.0' in text


class AbsentRegistry(BundleRegistry):
    """A registry that was there for loading and does not take aliases any more."""

    def set_tags(self, model: str, version: str, tags: dict[str, str]) -> None:  # type: ignore[override]
        raise RegistryUnavailable("nobody answers at the registry")


async def test_a_registry_that_is_away_does_not_keep_a_rollback_from_happening(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "retrain_assets.operations")
    registry = AbsentRegistry(served.registry.folder, versions=served.registry.versions)
    async with operating(served, registry=registry) as client:
        answer = await client.post(ROLLBACK, json=WHY)
        assert await arms(client) == {"champion"}
    (note,) = answer.json()["notes"]
    assert answer.status_code == 200
    assert "nobody answers at the registry" in note
    assert "run retrain reconcile" in note
    assert lines(caplog)[-1]["message"] == note


class HangingRegistry(BundleRegistry):
    """A registry that accepts the connection and never answers."""

    def set_tags(self, model: str, version: str, tags: dict[str, str]) -> None:  # type: ignore[override]
        self.answers.wait()

    answers: threading.Event


async def test_a_registry_that_hangs_does_not_keep_the_answer_back(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it keep the next operation from happening, which waits for the same registry."""
    monkeypatch.setattr(operations_door, "REGISTRY_PATIENCE", 0.05)
    registry = HangingRegistry(served.registry.folder, versions=served.registry.versions)
    registry.answers = threading.Event()
    try:
        async with operating(served, registry=registry) as client:
            answer = await client.post(ROLLBACK, json=WHY)
            assert (answer.status_code, answer.json()["notes"]) == (
                200,
                ["the registry does not answer yet; it will be brought up to the ledger"],
            )
            assert await arms(client) == {"champion"}
            killed = await client.post("/v1/kill", json=WHY)
            assert (killed.status_code, killed.json()["kill_switches"]) == (200, ["*"])
    finally:
        registry.answers.set()


async def test_requests_are_answered_while_an_operation_waits(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = HangingRegistry(served.registry.folder, versions=served.registry.versions)
    registry.answers = threading.Event()
    try:
        async with operating(served, registry=registry) as client:
            rolling_back = asyncio.create_task(client.post(ROLLBACK, json=WHY))
            async with asyncio.timeout(60):
                while await arms(client) != {"champion"}:
                    pass
            assert not rolling_back.done()
            registry.answers.set()
            assert (await rolling_back).json()["notes"] == []
    finally:
        registry.answers.set()


async def test_what_is_recorded_and_cannot_be_routed_is_a_fault(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: the challenger still answers, so nobody may be told that it does not."""
    from retrain_assets.release import door

    def full(path: Path, content: bytes) -> bool:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(operations_door, "ROUTED_WITHIN", 0.05)
    async with operating(served) as client:
        with monkeypatch.context() as patch:
            patch.setattr(door, "write_flags", full)
            answer = await client.post(ROLLBACK, json=WHY)
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "failed")
        assert "is recorded, but flags.json does not show it" in answer.json()["error"]["message"]
        assert await arms(client) == {"champion", "challenger"}
        served.controller.reconcile()
        await asyncio.sleep(0.02)
        assert await arms(client) == {"champion"}


async def test_the_file_shows_what_the_answer_says_for_the_other_workers(served: Served) -> None:
    async with served.client() as other, operating(served) as client:
        assert await arms(other) == {"champion", "challenger"}
        await client.post(ROLLBACK, json=WHY)
        assert served.flags()["flags"][MODEL]["metadata"]["state"] == "rolled_back"
        await asyncio.sleep(0.02)
        assert await arms(other) == {"champion"}


def promoted(served: Served) -> None:
    """The second candidate has become champion."""
    served.controller.step(TOGGLE, SYSTEM, "as planned")
    served.look(SECOND, "ask_approval", "better on cost, guardrails hold")
    served.controller.approve(MODEL, SECOND, RUTH, "clear win")
    assert served.controller.decide(MODEL, SECOND).decision == "promote"
