"""The hook with the real OpenFeature SDK and real providers: flagd on the home's document, OFREP of a gateway."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

from retrain_assets.contract import RetrainError
from retrain_assets.routing import compile_rule, rules_from_document
from retrain_assets.serving import ExposureLog
from retrain_assets.serving.client import GatewayClient, LocalRouter
from retrain_assets.serving.client.flag_metadata import assignment_of
from retrain_assets.serving.client.openfeature_hook import ExposureHook
from retrain_assets.serving.journal import LogUnavailable, recover
from retrain_assets_tests.serving.client.conftest import ODD_UNITS, Serving
from retrain_assets_tests.serving.gateway.served import MODEL, RUTH, SECOND, Served

UNITS = (*ODD_UNITS, *(f"Ünit {number}" for number in range(15)), *(f"N{number}" for number in range(30)))
TOGGLE = f"{MODEL}-{SECOND}"


def context(unit: str | None, request_id: str | None = None, **attributes: Any) -> EvaluationContext:
    known = {"origin": "JFK", **attributes}
    return EvaluationContext(unit, {**known, "request_id": request_id} if request_id else known)


@pytest.fixture
def flagd(world: Served) -> Iterator[OpenFeatureClient]:
    """A client whose flags are the home's document, evaluated in this process."""
    provider = FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(world.home.flags_path))
    api.set_provider_and_wait(provider, "flagd")
    yield api.get_client("flagd")
    logging.getLogger("openfeature").setLevel(logging.CRITICAL)  # its file watcher outlives shutdown and misses the file
    api.shutdown()
    logging.getLogger("openfeature").setLevel(logging.NOTSET)


@pytest.fixture
def ofrep(serving: Serving) -> Iterator[OpenFeatureClient]:
    """A client that asks a gateway for every flag."""
    provider = OFREPProvider(serving.url)
    api.set_provider_and_wait(provider, "ofrep")
    yield api.get_client("ofrep")
    provider.session.close()
    api.shutdown()


@pytest.fixture
def router(world: Served) -> Iterator[LocalRouter]:
    with LocalRouter(world.home) as found:
        yield found


def logged(world: Served) -> pl.DataFrame:
    recover(world.home)
    return ExposureLog(world.home).read_exposures(MODEL)


def test_with_flagd_every_unit_gets_the_routers_arm_and_is_logged_under_its_plain_name(
    flagd: OpenFeatureClient, world: Served, router: LocalRouter
) -> None:
    flagd.add_hooks([ExposureHook(router)])
    told = {unit: flagd.get_string_value(MODEL, "champion", context(unit, f"r-{unit}")) for unit in UNITS}
    assert told == {unit: router.assign(MODEL, unit, {"origin": "JFK"}).arm for unit in UNITS}
    assert set(told.values()) == {"champion", "challenger"}
    router.close()
    rows = logged(world)
    assert dict(rows.select("unit_id", "arm").iter_rows()) == told
    assert set(rows["toggle"]) == {TOGGLE}
    assert set(rows["stage"]) == {"25"}
    versions = rows.select("arm", "version").unique().sort("arm").rows()
    assert versions == [("challenger", "2"), ("champion", "1")]


def test_a_unit_outside_the_cohort_is_logged_outside_the_experiment(
    flagd: OpenFeatureClient, world: Served, router: LocalRouter
) -> None:
    flagd.add_hooks([ExposureHook(router)])
    assert flagd.get_string_value(MODEL, "challenger", context("N1", "r-1", origin="LGA")) == "champion"
    assert flagd.get_string_value(MODEL, "challenger", context(None, "r-2")) == "champion"
    router.close()
    rows = logged(world).sort("request_id")
    assert rows.select("unit_id", "toggle", "revision", "stage", "arm").rows() == [
        ("N1", None, 0, None, "champion"),
        (None, None, 0, None, "champion"),
    ]


def test_with_ofrep_the_exposures_go_to_the_gateway_that_was_asked(ofrep: OpenFeatureClient, serving: Serving) -> None:
    route = compile_rule(rules_from_document(serving.world.flags())[MODEL])
    with GatewayClient(serving.url) as client:
        ofrep.add_hooks([ExposureHook(client)])
        told = {unit: ofrep.get_string_value(MODEL, "champion", context(unit, f"r-{unit}")) for unit in UNITS}
    assert told == {unit: route(unit, {"origin": "JFK"}, datetime.now(UTC)).arm for unit in UNITS}
    rows = serving.exposures()
    assert dict(rows.select("unit_id", "arm").iter_rows()) == told
    assert set(rows["toggle"]) == {TOGGLE}
    assert set(rows["origin"]) == {"JFK"}


def test_a_scoring_block_logs_score_and_latency_at_its_end(flagd: OpenFeatureClient, world: Served, router: LocalRouter) -> None:
    hook = ExposureHook(router)
    flagd.add_hooks([hook])
    for number in range(10):
        with hook.scoring(MODEL, request_id=f"r-{number}") as scoring:
            arm = flagd.get_string_value(MODEL, "champion", context(f"N{number}"))
            scoring.score, scoring.error = 0.5, arm == "challenger"
    router.close()
    rows = logged(world)
    assert rows["score"].to_list() == [0.5] * 10
    assert (rows["latency_ms"] > 0).all()
    assert (rows["error"] == (rows["arm"] == "challenger")).all()
    assert hook.lost == 0


def test_requests_that_are_answered_at_the_same_time_do_not_mix(
    flagd: OpenFeatureClient, world: Served, router: LocalRouter
) -> None:
    hook = ExposureHook(router)
    flagd.add_hooks([hook])

    async def answer(number: int) -> None:
        with hook.scoring(MODEL, request_id=f"r-{number}") as scoring:
            await flagd.get_string_value_async(MODEL, "champion", context(f"N{number}"))
            await asyncio.sleep(0)
            scoring.score = float(number)

    async def answers() -> None:
        await asyncio.gather(*(answer(number) for number in range(20)))

    asyncio.run(answers())
    router.close()
    rows = logged(world).select("request_id", "unit_id", "score").rows()
    assert sorted(rows) == sorted((f"r-{number}", f"N{number}", float(number)) for number in range(20))


def test_a_model_that_raises_in_the_block_is_logged_as_its_error(
    flagd: OpenFeatureClient, world: Served, router: LocalRouter
) -> None:
    hook = ExposureHook(router)
    flagd.add_hooks([hook])

    def answer() -> None:
        with hook.scoring(MODEL, request_id="r-1") as scoring:
            flagd.get_string_value(MODEL, "champion", context("N1"))
            scoring.score = 1 / 0

    with pytest.raises(ZeroDivisionError):
        answer()
    router.close()
    assert logged(world).select("request_id", "error", "score").rows() == [("r-1", True, None)]


def test_a_flip_is_followed_by_provider_and_hook_alike(flagd: OpenFeatureClient, world: Served, router: LocalRouter) -> None:
    hook = ExposureHook(router)
    flagd.add_hooks([hook])
    unit = next(unit for unit in UNITS if flagd.get_string_value(MODEL, "champion", context(unit, unit)) == "challenger")
    world.controller.rollback(TOGGLE, RUTH, "worse")
    number = 0
    while flagd.get_string_value(MODEL, "champion", context(unit, f"r-{number}")) == "challenger":
        number += 1
        assert number < 1_000_000
    router.close()
    rows = logged(world).filter(pl.col("unit_id") == unit).sort("exposed_at")
    assert rows["arm"].to_list()[-1] == "champion"
    assert rows.group_by("toggle", "revision").agg(pl.col("arm").n_unique())["arm"].to_list() == [1, 1]
    assert hook.lost == 0


def test_what_cannot_be_logged_is_counted_and_changes_no_evaluation(
    flagd: OpenFeatureClient, router: LocalRouter, caplog: pytest.LogCaptureFixture
) -> None:
    hook = ExposureHook(router)
    flagd.add_hooks([hook])
    inside = next(unit for unit in UNITS if router.assign(MODEL, unit, {"origin": "JFK"}).arm == "challenger")
    assert flagd.get_string_value(MODEL, "champion", context(inside)) == "challenger"
    assert "the evaluation context has no request_id" in caplog.text
    router.close()
    assert flagd.get_string_value(MODEL, "champion", context(inside, "r-1")) == "challenger"
    assert hook.lost == 2
    with pytest.raises(LogUnavailable), hook.scoring(MODEL, request_id="r-2"):
        flagd.get_string_value(MODEL, "champion", context(inside))


def test_a_default_that_was_used_instead_of_a_flag_is_nobodys_exposure(
    flagd: OpenFeatureClient, world: Served, router: LocalRouter
) -> None:
    hook = ExposureHook(router)
    flagd.add_hooks([hook])
    assert flagd.get_string_value("another_model", "champion", context("N1", "r-1")) == "champion"
    assert flagd.get_boolean_value(MODEL, True, context("N1", "r-2")) is True
    with hook.scoring("another_model", request_id="r-3"):
        flagd.get_string_value("another_model", "champion", context("N1"))
    router.close()
    assert logged(world).height == 0
    assert hook.lost == 0


def test_flags_of_others_are_not_logged(router: LocalRouter, world: Served, caplog: pytest.LogCaptureFixture) -> None:
    api.set_provider_and_wait(InMemoryProvider({MODEL: InMemoryFlag("on", {"on": "challenger"})}), "memory")
    client = api.get_client("memory")
    client.add_hooks([hook := ExposureHook(router)])
    assert client.get_string_value(MODEL, "champion", context("N1", "r-1")) == "challenger"
    api.shutdown()
    assert hook.lost == 1
    assert "the flag's metadata are not a toggle's" in caplog.text
    router.close()
    assert logged(world).height == 0


def test_an_arm_that_the_metadata_do_not_give_is_not_believed(world: Served) -> None:
    metadata = world.flags()["flags"][MODEL]["metadata"]
    now = datetime.now(UTC)
    arm = assignment_of(MODEL, metadata, "champion", "N1", {"origin": "LGA"}, now).arm
    assert arm == "champion"
    with pytest.raises(RetrainError, match="the flag's value is challenger, but by its metadata the unit is in the champion"):
        assignment_of(MODEL, metadata, "challenger", "N1", {"origin": "LGA"}, now)
    for strange in ({**metadata, "state": "unheard"}, {**metadata, "cohort": "{"}, {}, {"routing_reason": "whim", "revision": 1}):
        with pytest.raises(RetrainError):
            assignment_of(MODEL, strange, "champion", "N1", {"origin": "LGA"}, now)


def test_numbers_that_came_through_a_protocol_as_floats_are_the_same_rule(world: Served) -> None:
    metadata = world.flags()["flags"][MODEL]["metadata"]
    through_grpc = {name: float(value) if isinstance(value, int) else value for name, value in metadata.items()}
    found = [assignment_of(MODEL, one, "champion", None, {}, datetime.now(UTC)) for one in (metadata, through_grpc)]
    assert found[0] == found[1]


def test_the_client_does_without_openfeature() -> None:
    code = (
        "import sys; sys.modules['openfeature'] = None\n"
        "import retrain_assets.serving.client\n"
        "assert not any(name.startswith('openfeature') for name in sys.modules if name != 'openfeature')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
