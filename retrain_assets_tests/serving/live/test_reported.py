"""What others report is checked against contract and ledger before it is on record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import polars as pl
import pytest

from retrain_assets.serving import ExposureLog
from retrain_assets.serving.journal import recover
from retrain_assets.serving.live import BadRequest
from retrain_assets.serving.look import look_at
from retrain_assets_tests.release.world import START
from retrain_assets_tests.serving.live.conftest import Canary
from retrain_assets_tests.serving.live.world import MODEL, TOGGLE, Served, row, units

pytestmark = pytest.mark.anyio

BEGINNING_OF_TIME = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
"""A moment that is before the first one in UTC."""


def outcome(**changes: Any) -> dict[str, Any]:
    return {"request_id": "r1", "unit_id": "N1", "measures": {"cost_per_flight": 12.5}, **changes}


def exposure(world: Served, arm: str = "challenger", **changes: Any) -> dict[str, Any]:
    toggle = world.state.toggles[TOGGLE]
    version = toggle.challenger if arm == "challenger" else toggle.previous_champion
    return {
        "request_id": "r1",
        "unit_id": "N1",
        "attributes": {"origin": "JFK", "colour": "red"},
        "arm": arm,
        "version": version.version,
        "bundle": version.bundle,
        "toggle": TOGGLE,
        "revision": toggle.stage_revision,
        "stage": toggle.stage,
        "latency_ms": 3.5,
        "score": 0.25,
        "decision": False,
        **changes,
    }


def outcomes(world: Served) -> pl.DataFrame:
    recover(world.home)
    return ExposureLog(world.home).read_outcomes(MODEL)


async def test_outcomes_are_on_record_with_the_contracts_measures(canary: Canary) -> None:
    world = canary()
    earlier = world.clock.now() - timedelta(days=3)
    async with world.worker() as worker:
        rows = [
            outcome(),
            outcome(request_id="r2", observed_at=earlier, measures={"cost_per_flight": True}),
            outcome(request_id="r3", measures={"cost_per_flight": None}),
        ]
        await worker.answering.record_outcomes(MODEL, rows)
    found = {one["request_id"]: one for one in outcomes(world).iter_rows(named=True)}
    assert {name: one["cost_per_flight"] for name, one in found.items()} == {"r1": 12.5, "r2": 1.0, "r3": None}
    assert {name: one["observed_at"] for name, one in found.items()} == {
        "r1": world.clock.now(),
        "r2": earlier,
        "r3": world.clock.now(),
    }


async def test_a_look_can_be_taken_though_only_some_measures_are_reported_so_far(canary: Canary) -> None:
    world = canary(
        experiment={
            "outcomes": ["cost_per_flight", "complaint"],
            "guardrails": {"complaint": {"direction": "decrease", "margin": 0.1}},
        }
    )
    async with world.worker() as worker:
        answers = await worker.predict(*map(row, units(20)))
        reports = [outcome(request_id=one.request_id, unit_id=one.unit) for one in answers]
        await worker.answering.record_outcomes(MODEL, reports)
    assert outcomes(world).schema["complaint"] == pl.Float64
    assert outcomes(world)["complaint"].null_count() == 20
    world.clock.forward(days=2)
    look = look_at(world.home, world.state.toggles[TOGGLE], world.clock.now())
    records = next(check for check in look.health if check.name == "records")
    assert records.ok, records.message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"measures": {"price": 3}}, r"row 1, measures\.price: is no outcome of the contract; write one of cost_per_flight"),
        ({"measures": {"cost_per_flight": float("nan")}}, r"row 1, measures\.cost_per_flight: nan is no finite number"),
        ({"measures": {"cost_per_flight": 10**400}}, "no finite number"),
        ({"measures": {"cost_per_flight": "3"}}, "'3' is no finite number"),
        ({"measures": {}}, "row 1, measures: is no object of measures"),
        ({"request_id": 7}, "row 1, request_id: 7 is no text"),
        ({"unit_id": None}, "row 1, unit_id: is missing"),
        ({"observed_at": datetime(2013, 1, 1)}, "row 1, observed_at: .* is no time with a zone"),  # noqa: DTZ001 (without one)
        ({"observed_at": "2013-01-01"}, "row 1, observed_at: .* is no time with a zone"),
        (
            {"observed_at": BEGINNING_OF_TIME},
            "row 1, observed_at: 0001-01-01T00:00:00.14:00 cannot be; send the time it happened",
        ),
    ],
)
async def test_an_outcome_that_is_not_as_the_contract_says_is_refused_with_all_of_its_request(
    canary: Canary, changes: Mapping[str, Any], message: str
) -> None:
    world = canary()
    async with world.worker() as worker:
        with pytest.raises(BadRequest, match=message):
            await worker.answering.record_outcomes(MODEL, [outcome(), outcome(**changes)])
        assert worker.meter.refusals == ["bad_request"]
    assert outcomes(world).is_empty()


async def test_an_outcome_may_be_a_minute_ahead_of_the_homes_clock_and_no_more(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        await worker.answering.record_outcomes(MODEL, [outcome(observed_at=world.clock.now() + timedelta(seconds=59))])
        with pytest.raises(BadRequest, match="is in the future"):
            await worker.answering.record_outcomes(MODEL, [outcome(observed_at=world.clock.now() + timedelta(seconds=61))])


async def test_a_time_of_another_zone_is_the_same_moment(canary: Canary) -> None:
    world = canary()
    at = world.clock.now().astimezone(timezone(timedelta(minutes=19, seconds=32)))
    async with world.worker() as worker:
        await worker.answering.record_outcomes(MODEL, [outcome(observed_at=at)])
        await worker.answering.record_exposures(MODEL, [exposure(world, exposed_at=at)])
    assert outcomes(world)["observed_at"].to_list() == world.exposures()["exposed_at"].to_list() == [world.clock.now()]


async def test_exposures_of_another_service_are_on_record_like_the_gateways(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        alone = exposure(world, "champion", request_id="r3", unit_id=None, toggle=None, revision=None, stage=None, score=None)
        await worker.answering.record_exposures(
            MODEL, [exposure(world), exposure(world, "champion", request_id="r2", error=True), alone]
        )
    found = world.exposures().sort("request_id").to_dicts()
    assert [one["arm"] for one in found] == ["challenger", "champion", "champion"]
    assert [one["revision"] for one in found] == [exposure(world)["revision"]] * 2 + [0]
    assert [one["error"] for one in found] == [False, True, False]
    assert found[0]["exposed_at"] == world.clock.now()
    assert found[0]["origin"] == "JFK"
    assert "colour" not in found[0]


async def test_exposures_of_an_earlier_stage_are_taken(canary: Canary) -> None:
    world = canary()
    toggle = world.state.toggles[TOGGLE]
    shadow = next(revision for revision, share in toggle.shares.items() if share == 0)
    async with world.worker() as worker:
        await worker.answering.record_exposures(MODEL, [exposure(world, "champion", revision=shadow, stage="shadow")])
        with pytest.raises(BadRequest, match="in shadow nobody has the challenger"):
            await worker.answering.record_exposures(MODEL, [exposure(world, revision=shadow, stage="shadow")])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "1"}, "row 0, version: the ledger does not know version 1 with this bundle"),
        ({"bundle": "sha256:" + 64 * "0"}, "row 0, version: the ledger does not know version 2 with this bundle"),
        ({"version": "9"}, "row 0, version"),
        ({"claims": "champion"}, f"row 0, version: version 2 is not the champion of {TOGGLE}"),
        ({"arm": "both"}, "row 0, arm: 'both' is no arm"),
        ({"toggle": "other"}, "row 0, toggle: the ledger does not know 'other'"),
        ({"toggle": None}, "row 0, toggle: belongs to the experiment of a toggle, and none is named"),
        ({"revision": 99}, f"row 0, revision: {TOGGLE} never divided traffic at revision 99"),
        ({"revision": None}, f"row 0, revision: {TOGGLE} never divided traffic at revision 0"),
        ({"stage": "50"}, "row 0, stage: '50' is not the stage of revision"),
        ({"stage": "x"}, "row 0, stage: 'x' is not the stage"),
        ({"stage": None}, "row 0, stage: None is not the stage"),
        ({"latency_ms": -1}, "row 0, latency_ms: -1 is below 0"),
        ({"latency_ms": float("nan")}, "row 0, latency_ms: nan is no finite number"),
        ({"score": float("inf")}, "row 0, score: inf is no finite number"),
        ({"error": 1}, "row 0, error: 1 is neither true nor false"),
        ({"decision": "no"}, "row 0, decision: 'no' is neither true nor false"),
        ({"exposed_at": "now"}, "row 0, exposed_at: 'now' is no time with a zone"),
        ({"exposed_at": BEGINNING_OF_TIME}, "row 0, exposed_at: 0001-01-01T00:00:00.14:00 cannot be; send the time"),
        ({"exposed_at": START - timedelta(seconds=301)}, f"row 0, exposed_at: .* is before revision 4 of {TOGGLE} began"),
        ({"request_id": ""}, "row 0, request_id"),
    ],
)
async def test_an_exposure_that_could_not_have_happened_is_refused(
    canary: Canary, changes: Mapping[str, Any], message: str
) -> None:
    world = canary()
    async with world.worker() as worker:
        row = exposure(world, **changes)
        row["arm"] = row.pop("claims", row["arm"])
        with pytest.raises(BadRequest, match=message):
            await worker.answering.record_exposures(MODEL, [row])
    assert world.exposures().is_empty()


async def test_more_rows_than_the_contract_allows_are_refused(canary: Canary) -> None:
    world = canary(serving={"max_rows": 3})
    async with world.worker() as worker:
        for record in (worker.answering.record_outcomes, worker.answering.record_exposures):
            for number in (0, 4):
                with pytest.raises(BadRequest, match=f"{number} rows in one request; send 1 to 3"):
                    await record(MODEL, [outcome()] * number)
