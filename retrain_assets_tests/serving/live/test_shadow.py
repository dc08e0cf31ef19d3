"""Scoring beside the answer slows nobody, is bounded, counted where it is dropped, and joined to its exposure."""

from __future__ import annotations

import asyncio

import pytest

from retrain_assets_tests.serving.live.conftest import Canary
from retrain_assets_tests.serving.live.test_failing_arms import Raises, hanging
from retrain_assets_tests.serving.live.world import FEATURES, MODEL, row, units, until

pytestmark = pytest.mark.anyio


async def test_in_shadow_the_champion_answers_and_the_challengers_score_is_on_record(canary: Canary) -> None:
    world = canary(1)
    async with world.worker() as worker:
        answers = await worker.predict(*map(row, units(150)), row("N1", origin="LGA"))
        assert {one.arm for one in answers} == {"champion"}
        live = worker.models.current(MODEL)
        assert live.challenger is not None
        expected = live.challenger.score_rows([FEATURES])[0]
        await until(lambda: worker.answering.shadow_waiting(MODEL) == 0)
    found = world.exposures()
    assert found.filter(origin="JFK").select("shadow_score", "stage", "error").unique().rows() == [(expected, "shadow", False)]
    assert found.filter(origin="LGA")["shadow_score"].to_list() == [None]
    assert worker.meter.drops == 0
    assert [arm for arm, _, _ in worker.meter.answers] == ["champion"]


async def test_rows_that_find_no_room_are_dropped_and_counted_and_their_answers_given(canary: Canary) -> None:
    world = canary(1, serving={"shadow_queue": 100})
    async with world.worker() as worker:
        with hanging() as model:
            worker.replace_model("challenger", model)
            for _ in range(3):
                answers = await worker.predict(*map(row, units(100)))
                assert {(one.arm, one.error) for one in answers} == {("champion", False)}
            await until(lambda: model.inside)
            waiting = worker.answering.shadow_waiting(MODEL)
            assert waiting <= 100
            assert worker.meter.drops + waiting + 64 >= 300
            assert worker.meter.drops >= 100
        await until(lambda: worker.answering.shadow_waiting(MODEL) == 0)
    found = world.exposures()
    assert found.height == 300
    assert found["shadow_score"].null_count() == worker.meter.drops


async def test_a_challenger_that_fails_in_shadow_costs_only_its_own_score(canary: Canary) -> None:
    world = canary(1)
    async with world.worker() as worker:
        worker.replace_model("challenger", Raises())
        answers = await worker.predict(*[row(unit, distance=13 if unit == "N7" else 500) for unit in units(40)])
        assert not any(one.error for one in answers)
        await until(lambda: worker.answering.shadow_waiting(MODEL) == 0)
    found = world.exposures()
    assert found.filter(found["shadow_score"].is_null())["unit_id"].to_list() == ["N7"]
    assert worker.meter.drops == 0
    assert {arm for arm, _, _ in worker.meter.beside} == {"challenger"}
    assert [sum(counts) for counts in list(zip(*worker.meter.beside, strict=True))[1:]] == [40, 1]


async def test_a_challenger_that_is_not_loaded_has_its_shadow_rows_dropped(canary: Canary) -> None:
    world = canary(1)
    world.registry.versions.pop((MODEL, "2"))
    async with world.worker() as worker:
        await worker.predict(*map(row, units(40)))
    assert worker.meter.drops == 40


async def test_the_champion_scores_what_the_challenger_answered_where_the_contract_asks_for_it(canary: Canary) -> None:
    world = canary(
        2, experiment={"adjust_for": {"champion_score": True}, "ramp": ["shadow", 25, 50, 100], "segments": ["origin"]}
    )
    async with world.worker() as worker:
        answers = await worker.predict(*map(row, units(100)))
        champion = worker.models.current(MODEL).champion
        assert champion is not None
        expected = champion.score_rows([FEATURES])[0]
        await until(lambda: worker.answering.shadow_waiting(MODEL) == 0)
    found = world.exposures()
    assert found.filter(arm="challenger").height == sum(one.arm == "challenger" for one in answers) > 0
    assert set(found.filter(arm="challenger")["shadow_score"]) == {expected}
    assert set(found.filter(arm="champion")["shadow_score"]) == {None}


async def test_where_the_challenger_failed_the_champions_score_is_the_answers_and_no_second_one(canary: Canary) -> None:
    world = canary(2, experiment={"adjust_for": {"champion_score": True}})
    async with world.worker() as worker:
        worker.replace_model("challenger", Raises())
        answers = await worker.predict(*[row(unit, distance=13) for unit in units(40)])
        assert [one.error for one in answers] == [one.arm == "challenger" for one in answers]
        await until(lambda: worker.answering.shadow_waiting(MODEL) == 0)
    found = world.exposures().filter(arm="challenger")
    assert found.height > 0
    assert found["score"].null_count() == 0
    assert found["shadow_score"].null_count() == found.height


async def test_what_waits_when_the_process_ends_is_scored_first(canary: Canary) -> None:
    world = canary(1)
    async with world.worker() as worker:
        await asyncio.gather(*[worker.ask(unit) for unit in units(100)])
    assert world.exposures()["shadow_score"].null_count() == 0
