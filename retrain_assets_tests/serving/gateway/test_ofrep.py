"""OFREP gives the arm the router gives, in the form every OpenFeature SDK expects; a real SDK asks over a real socket."""

from __future__ import annotations

import asyncio
import copy
import shutil
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st

from retrain_assets.home import Home
from retrain_assets.ledger import Actor
from retrain_assets.release.access import Access, Scope
from retrain_assets.routing import Reason, compile_rule, routing_key, rules_from_document
from retrain_assets.serving.gateway import Options
from retrain_assets.serving.gateway.ofrep import OPENFEATURE_REASONS

from .served import MODEL, RUTH, SECOND, Served, bundle_manifest, row

pytestmark = pytest.mark.anyio

FLAG, FLAGS = f"/ofrep/v1/evaluate/flags/{MODEL}", "/ofrep/v1/evaluate/flags"
TOGGLE = f"{MODEL}-{SECOND}"
UNITS = ["N14228", "Zoë", "飞机 7", "100%", "Zo%C3%AB", "\u00e9", "e\u0301", "😀", " ", "a.b/c?d#e"]
"""Plain ids; two of them look alike and are not, one looks like the encoded form of another."""


@pytest.fixture(scope="module")
def canary(canary_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A canary at 25 per cent that these tests leave as it is."""
    return Served.at(shutil.copytree(canary_base, tmp_path_factory.mktemp("served") / "home"))


@pytest.fixture(scope="module")
async def client(canary: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with canary.client() as client:
        yield client


def context(unit: str | None = "N24211", **attributes: Any) -> dict[str, Any]:
    return {"context": {**({} if unit is None else {"targetingKey": unit}), "origin": "JFK", **attributes}}


async def test_an_answer_has_the_arm_the_reason_and_what_an_exposure_needs(client: httpx.AsyncClient, canary: Served) -> None:
    answer = await client.post(FLAG, json=context())
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert (told["key"], told["value"], told["variant"], told["reason"]) == (MODEL, "champion", "champion", "SPLIT")
    champion, challenger = (canary.flags()["flags"][MODEL]["metadata"][f"{arm}_bundle"] for arm in ("champion", "challenger"))
    assert told["metadata"] == {
        "model": MODEL,
        "arm": "champion",
        "version": "1",
        "bundle": champion,
        "routing_reason": "ramp",
        "in_experiment": True,
        "toggle": TOGGLE,
        "revision": 4,
        "stage": "25",
        "state": "ramping",
        "share": 0.25,
        "champion_version": "1",
        "champion_bundle": champion,
        "challenger_version": "2",
        "challenger_bundle": challenger,
    }


@pytest.mark.parametrize("unit", UNITS)
async def test_the_plain_id_gets_the_arm_of_prediction_router_and_flagd(
    client: httpx.AsyncClient, canary: Served, unit: str
) -> None:
    from openfeature.contrib.tools.flagd.core import FlagdCore
    from openfeature.evaluation_context import EvaluationContext

    told = (await client.post(FLAG, json=context(unit))).json()
    rule = rules_from_document(canary.flags())[MODEL]
    assert told["value"] == compile_rule(rule)(unit, {"origin": "JFK"}, datetime.now(UTC)).arm
    (predicted,) = (await client.post(f"/v1/models/{MODEL}/predict", json=row(unit))).json()["predictions"]
    assert (told["value"], told["metadata"]["version"]) == (predicted["arm"], predicted["version"])
    core = FlagdCore()
    core.set_flags(copy.deepcopy(canary.flags()))
    evaluated = core.resolve_string_value(MODEL, "code default", EvaluationContext(routing_key(unit), {"origin": "JFK"}))
    assert told["value"] == evaluated.value


async def test_both_arms_are_given_in_their_shares(client: httpx.AsyncClient) -> None:
    arms = [(await client.post(FLAG, json=context(f"ü-{number}"))).json()["value"] for number in range(200)]
    assert 30 < arms.count("challenger") < 70


@settings(max_examples=60, deadline=None)
@given(unit=st.text(min_size=1, max_size=20), origin=st.sampled_from(["JFK", "LGA", 5, True, None, ["JFK"], {"a": 1}, "jfk"]))
def test_any_unit_and_attribute_get_what_the_router_gives(canary: Served, unit: str, origin: Any) -> None:
    from retrain_assets.serving.live import LiveModels

    models = LiveModels(canary.home, controller=canary.controller)
    models.look()
    live = models.current(MODEL)
    attributes = {"origin": origin}
    now = models.clock.now()
    assert live.assign(unit, live.attributes.read(attributes, {}), now) == compile_rule(live.rule)(unit, attributes, now)


async def test_outside_the_cohort_nothing_counts_as_experiment(client: httpx.AsyncClient) -> None:
    for attributes in ({"origin": "LGA"}, {"origin": None}, {"origin": 5}, {"origin": ["JFK"]}):
        told = (await client.post(FLAG, json=context(**attributes))).json()
        assert (told["value"], told["reason"]) == ("champion", "DEFAULT")
        assert told["metadata"]["routing_reason"] == "cohort_excluded"
        assert (told["metadata"]["in_experiment"], told["metadata"]["revision"]) == (False, 0)
        assert not {"toggle", "stage"} & set(told["metadata"])


@pytest.mark.parametrize(
    "asked",
    [
        b"",
        b"{}",
        b'{"context": {}}',
        b'{"context": {"targetingKey": ""}}',
        b'{"context": {"targetingKey": null, "origin": "JFK"}}',
    ],
)
async def test_without_a_unit_the_champion_is_the_answer_and_no_error(client: httpx.AsyncClient, asked: bytes) -> None:
    """An error would bring the code's default, which may be anything; the flag has a value for this request."""
    answer = await client.post(FLAG, content=asked, headers={"Content-Type": "application/json"})
    told = answer.json()
    assert (answer.status_code, told["value"], told["reason"]) == (200, "champion", "DEFAULT")
    assert told["metadata"]["routing_reason"] == "no_unit"


@pytest.mark.parametrize(
    ("asked", "error_code"),
    [
        (b"{", "PARSE_ERROR"),
        (b"[]", "PARSE_ERROR"),
        (b"null", "PARSE_ERROR"),
        (b"\xff", "PARSE_ERROR"),
        (b'{"context": {"targetingKey": "\\ud800"}}', "PARSE_ERROR"),
        (b'{"context": NaN}', "PARSE_ERROR"),
        (b'{"context": []}', "INVALID_CONTEXT"),
        (b'{"context": null}', "INVALID_CONTEXT"),
        (b'{"context": "N14228"}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": 7}}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": ["N14228"]}}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": "%s"}}' % (b"u" * 1025), "INVALID_CONTEXT"),
    ],
)
@pytest.mark.parametrize("path", [FLAG, FLAGS])
async def test_a_context_that_is_none_is_told_in_the_words_of_the_protocol(
    client: httpx.AsyncClient, path: str, asked: bytes, error_code: str
) -> None:
    answer = await client.post(path, content=asked, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    told = answer.json()
    assert told["errorCode"] == error_code
    assert told["errorDetails"]
    assert told.get("key") == (MODEL if path == FLAG else None)


async def test_a_body_that_is_not_declared_json_is_not_read(client: httpx.AsyncClient) -> None:
    answer = await client.post(FLAG, content=b'{"context": {}}', headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "PARSE_ERROR")


async def test_an_unknown_flag_is_not_found_and_the_models_are_named(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{FLAGS}/flight_dealy", json=context())
    assert answer.status_code == 404
    assert answer.json() == {
        "key": "flight_dealy",
        "errorCode": "FLAG_NOT_FOUND",
        "errorDetails": f"no model is called 'flight_dealy'; models: {MODEL}",
    }


async def test_all_flags_at_once_say_what_each_says_alone(client: httpx.AsyncClient) -> None:
    (told,) = (await client.post(FLAGS, json=context("Zoë"))).json()["flags"]
    assert told == (await client.post(FLAG, json=context("Zoë"))).json()


async def test_an_unchanged_answer_is_not_sent_again(client: httpx.AsyncClient) -> None:
    tag = (await client.post(FLAGS, json=context())).headers["etag"]
    for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = await client.post(FLAGS, json=context(), headers={"If-None-Match": sent})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    for sent in ('"other"', tag.strip('"'), ""):
        assert (await client.post(FLAGS, json=context(), headers={"If-None-Match": sent})).status_code == 200


async def test_the_entity_tag_changes_with_the_context_where_the_answer_does(client: httpx.AsyncClient) -> None:
    units = [f"u{number}" for number in range(40)]
    answers = [await client.post(FLAGS, json=context(unit)) for unit in units]
    by_arm = {answer.json()["flags"][0]["value"]: answer.headers["etag"] for answer in answers}
    assert by_arm["champion"] != by_arm["challenger"]
    elsewhere = await client.post(FLAGS, json=context(origin="LGA"))
    assert elsewhere.headers["etag"] not in by_arm.values()


async def test_a_poller_learns_of_every_flip(canary_home: Home) -> None:
    """What a polling client has is no longer valid as soon as the toggle moves, and valid again when nothing moves."""
    served = Served.at(canary_home.root)
    async with served.client() as client:
        moves = (
            lambda: served.controller.step(TOGGLE, RUTH, "on"),
            lambda: served.controller.hold(TOGGLE, RUTH, "wait"),
            lambda: served.controller.rollback(TOGGLE, RUTH, "worse"),
        )
        tag = (await client.post(FLAGS, json=context())).headers["etag"]
        for move in moves:
            move()
            async with asyncio.timeout(60):
                while (answer := await client.post(FLAGS, json=context(), headers={"If-None-Match": tag})).status_code == 304:
                    pass
            assert answer.headers["etag"] != tag
            tag = answer.headers["etag"]
            again = await client.post(FLAGS, json=context(), headers={"If-None-Match": tag})
            assert again.status_code == 304
        (told,) = answer.json()["flags"]
        assert (told["value"], told["reason"], told["metadata"]["routing_reason"]) == ("champion", "STATIC", "rolled_back")
        assert "challenger_version" not in told["metadata"]


async def test_each_state_of_a_release_has_its_reason(tmp_path: Path) -> None:
    served = Served.at(tmp_path / "home")
    seen: list[tuple[str, str]] = []

    async def look() -> None:
        async with served.client() as client:
            told = (await client.post(FLAG, json=context())).json()
            seen.append((told["metadata"]["routing_reason"], told["reason"]))

    served.champion_only()
    await look()
    served.candidate(SECOND, registered=bundle_manifest(SECOND))
    served.controller.register_and_arm(served.contract, SECOND)
    await look()
    served.controller.step(TOGGLE, RUTH, "shadow")
    await look()
    served.controller.step(TOGGLE, RUTH, "25 per cent")
    await look()
    served.controller.rollback(TOGGLE, RUTH, "worse")
    await look()
    assert seen == [
        ("no_toggle", "STATIC"),
        ("armed", "DEFAULT"),
        ("shadow", "TARGETING_MATCH"),
        ("ramp", "SPLIT"),
        ("rolled_back", "STATIC"),
    ]
    assert set(OPENFEATURE_REASONS) == set(Reason)


async def test_an_expired_toggle_gives_the_champion_and_changes_the_tag(canary_home: Home) -> None:
    served = Served.at(canary_home.root)
    async with served.client() as client:
        before = await client.post(FLAGS, json=context())
        served.clock.forward(days=40)
        after = await client.post(FLAGS, json=context())
    assert before.headers["etag"] != after.headers["etag"]
    (told,) = after.json()["flags"]
    assert (told["value"], told["reason"], told["metadata"]["routing_reason"]) == ("champion", "DEFAULT", "expired")


async def test_a_model_without_a_champion_asks_for_the_default_of_the_code(tmp_path: Path) -> None:
    """There is no version that could answer, so there is no value; the evaluation is no error either."""
    served = Served.at(tmp_path / "home")
    served.candidate(SECOND, registered=bundle_manifest(SECOND))
    served.controller.reject(MODEL, SECOND, RUTH, "not this one")
    async with served.client() as client:
        told = (await client.post(FLAG, json=context())).json()
    assert told == {
        "key": MODEL,
        "reason": "DISABLED",
        "variant": "none",
        "metadata": {
            "model": MODEL,
            "arm": "champion",
            "routing_reason": "no_champion",
            "in_experiment": False,
            "revision": 0,
            "state": told["metadata"]["state"],
            "share": 0.0,
        },
    }


class Listening:
    """The application behind a real socket, in a thread with a loop of its own."""

    def __init__(self, served: Served, options: Options | None = None) -> None:
        config = uvicorn.Config(served.app(options), port=0, log_level="warning", lifespan="on", ws="none")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)

    def __enter__(self) -> str:
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            self.thread.join(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def __exit__(self, *fault: object) -> None:
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture
def sdk() -> Iterator[Any]:
    """Makes clients of the OpenFeature SDK with its own OFREP provider."""
    from openfeature import api
    from openfeature.contrib.provider.ofrep import OFREPProvider

    providers = []

    def client(url: str, headers: dict[str, str] | None = None) -> Any:
        provider = OFREPProvider(url, headers_factory=lambda: dict(headers or {}))
        providers.append(provider)
        api.set_provider_and_wait(provider, domain="retrain")
        return api.get_client(domain="retrain")

    yield client
    api.clear_providers()
    for provider in providers:
        provider.session.close()


def test_an_openfeature_sdk_reads_the_toggle_and_follows_a_rollback(canary_home: Home, sdk: Any) -> None:
    from openfeature.evaluation_context import EvaluationContext

    served = Served.at(canary_home.root)
    assign = compile_rule(rules_from_document(served.flags())[MODEL])
    with Listening(served) as url:
        client = sdk(url)
        units = [*UNITS, *(f"ü{number}" for number in range(20))]
        for unit in units:
            told = client.get_string_details(MODEL, "code default", EvaluationContext(unit, {"origin": "JFK"}))
            expected = assign(unit, {"origin": "JFK"}, datetime.now(UTC))
            assert (told.value, told.variant, told.reason, told.error_code) == (expected.arm, expected.arm, "SPLIT", None)
            assert told.flag_metadata["version"] == expected.version
            assert told.flag_metadata["bundle"] == expected.bundle
        assert {assign(unit, {"origin": "JFK"}, datetime.now(UTC)).arm for unit in units} == {"champion", "challenger"}
        nobody = client.get_string_details(MODEL, "code default", EvaluationContext(None, {"origin": "JFK"}))
        assert (nobody.value, nobody.reason, nobody.error_code) == ("champion", "DEFAULT", None)

        served.controller.rollback(TOGGLE, RUTH, "worse")
        challenged = next(unit for unit in units if assign(unit, {"origin": "JFK"}, datetime.now(UTC)).arm == "challenger")
        asked = EvaluationContext(challenged, {"origin": "JFK"})
        deadline = time.monotonic() + 60
        while (told := client.get_string_details(MODEL, "code default", asked)).value == "challenger":
            assert told.error_code is None
            assert time.monotonic() < deadline
        assert (told.value, told.reason) == ("champion", "STATIC")
        assert told.flag_metadata["routing_reason"] == "rolled_back"


def test_an_openfeature_sdk_gets_the_default_of_the_code_where_there_is_no_value(tmp_path: Path, sdk: Any) -> None:
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.exception import ErrorCode

    served = Served.at(tmp_path / "home")
    served.candidate(SECOND, registered=bundle_manifest(SECOND))
    served.controller.reject(MODEL, SECOND, RUTH, "not this one")
    with Listening(served) as url:
        client = sdk(url)
        none = client.get_string_details(MODEL, "code default", EvaluationContext("u"))
        assert (none.value, none.reason, none.error_code) == ("code default", "DISABLED", None)
        unknown = client.get_string_details("another_model", "code default", EvaluationContext("u"))
        assert (unknown.value, unknown.error_code) == ("code default", ErrorCode.FLAG_NOT_FOUND)
        wrong = client.get_boolean_details(MODEL, True, EvaluationContext("u", {"when": [1, 2]}))
        assert wrong.value is True


def test_an_openfeature_sdk_shows_its_token(canary_home: Home, sdk: Any) -> None:
    from openfeature.evaluation_context import EvaluationContext

    served = Served.at(canary_home.root)
    access = Access(served.home, served.ledger, served.home.clock)
    secret = access.add("web", Actor("system", "web"), [Scope.PREDICT], RUTH, "it asks for arms").secret
    asked = EvaluationContext("N24211", {"origin": "JFK"})
    with Listening(served, Options(require_tokens=True)) as url:
        for headers in ({"Authorization": f"Bearer {secret}"}, {"X-API-Key": secret}):
            told = sdk(url, headers).get_string_details(MODEL, "code default", asked)
            assert (told.value, told.error_code) == ("champion", None)
        for headers in ({}, {"Authorization": "Bearer rtn_wrong"}):
            told = sdk(url, headers).get_string_details(MODEL, "code default", asked)
            assert (told.value, told.error_message) == ("code default", "unauthorized")
