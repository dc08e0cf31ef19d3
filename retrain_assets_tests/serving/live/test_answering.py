"""The routed arm answers, all rows of a request by one rule, and every answer is on record before it is given."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from retrain_assets.ledger import SYSTEM
from retrain_assets.routing import Reason, compile_rule
from retrain_assets.serving.live import BadRequest, LogUnavailable, NotReady, Row, UnknownModel
from retrain_assets_tests.serving.live.conftest import Canary
from retrain_assets_tests.serving.live.world import FEATURES, MODEL, RUTH, TOGGLE, Served, number, row, units, until

pytestmark = pytest.mark.anyio


async def test_the_routed_arm_answers_and_every_exposure_is_on_record(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        rows = [row(unit) for unit in units()]
        answers = await worker.predict(*rows)
        live = worker.models.current(MODEL)
        assign = compile_rule(live.rule)
        assert [one.arm for one in answers] == [assign(one.unit, {"origin": "JFK"}, world.clock.now()).arm for one in rows]
        assert live.champion is not None
        assert live.challenger is not None
        alone = {"champion": live.champion.score_rows([FEATURES])[0], "challenger": live.challenger.score_rows([FEATURES])[0]}
        assert {one.arm: one.score for one in answers} == alone
        assert all(one.decision == (number(one) >= 0.5) and not one.error for one in answers)
    logged = {one["request_id"]: one for one in world.exposures().iter_rows(named=True)}
    assert len(logged) == len(answers)
    for answer in answers:
        exposure = logged[answer.request_id]
        assert (exposure["arm"], exposure["score"], exposure["revision"]) == (answer.arm, answer.score, answer.revision)
        assert (exposure["version"], exposure["stage"], exposure["origin"]) == (answer.version, "25", "JFK")
        assert (exposure["decision"], exposure["error"], exposure["unit_id"]) == (answer.decision, False, answer.unit)
        assert exposure["exposed_at"] == world.clock.now()
        assert exposure["latency_ms"] > 0


async def test_one_row_is_answered_as_it_is_among_many(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        many = await worker.predict(*[row(unit) for unit in units(40)])
        alone = [await worker.ask(unit) for unit in units(40)]
    assert [(one.unit, one.arm, one.score) for one in many] == [(one.unit, one.arm, one.score) for one in alone]


async def test_units_outside_the_experiment_have_the_champion_and_no_toggle_on_record(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        nobody, elsewhere = await worker.predict(row(None), row("N1", origin="LGA"))
        empty = await worker.ask("")
        given = (await worker.predict(row("N1", attributes={"origin": "LGA"})))[0]
        assert [nobody.reason, elsewhere.reason, empty.reason] == [Reason.NO_UNIT, Reason.COHORT_EXCLUDED, Reason.NO_UNIT]
        assert given.reason is Reason.COHORT_EXCLUDED, "an attribute that is given is not the feature of its name"
        assert {one.arm for one in (nobody, elsewhere, empty)} == {"champion"}
    found = world.exposures()
    assert found.select("toggle", "revision", "stage").unique().rows() == [(None, 0, None)]
    assert sorted(found["unit_id"].to_list(), key=str) == ["N1", "N1", None, None]


async def test_a_toggle_expires_by_the_clock_alone(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        assert {one.arm for one in await worker.predict(*map(row, units(40)))} == {"champion", "challenger"}
        world.clock.forward(days=31)
        assert {one.reason for one in await worker.predict(*map(row, units(40)))} == {Reason.EXPIRED}


async def test_a_row_that_does_not_fit_the_champion_is_refused_and_leaves_no_exposure(canary: Canary) -> None:
    world = canary(serving={"max_rows": 3})
    good = row("N1")
    bad = {
        r"row 1, features\.distance: is missing": Row("a", "N2", {}, {"origin": "JFK", "holiday": None}),
        r"row 1, features\.distance: is '9'": row("N2", distance="9"),
        r"row 1, features\.distance: is nan": row("N2", distance=float("nan")),
        r"row 1, features\.wind: is not a feature of the model": row("N2", wind=3),
        "row 1, request_id: .* stands there twice": Row(good.request_id, "N2", {}, FEATURES),
    }
    async with world.worker() as worker:
        for message, one in bad.items():
            with pytest.raises(BadRequest, match=message):
                await worker.predict(good, one)
        with pytest.raises(BadRequest, match="4 rows in one request; send 1 to 3"):
            await worker.predict(*map(row, units(4)))
        with pytest.raises(BadRequest, match="0 rows"):
            await worker.predict()
        assert worker.meter.refusals == ["bad_request"] * 7
        assert worker.meter.answers == []
    assert world.exposures().is_empty()


async def test_null_is_a_value_that_is_not_known(canary: Canary) -> None:
    world = canary(None)
    async with world.worker() as worker:
        assert not (await worker.ask("N1", distance=None, holiday=None)).error


async def test_a_model_nobody_knows_is_named_with_those_there_are(canary: Canary) -> None:
    world = canary(None)
    async with world.worker() as worker:
        with pytest.raises(UnknownModel, match=rf"no model 'other'; models: {MODEL}"):
            await worker.answering.predict("other", [row("N1")])
        assert worker.meter.refusals == ["unknown_model"]


async def test_without_a_champion_nothing_is_answered(tmp_path: Path) -> None:
    world = Served.at(tmp_path)
    world.launch("2013-04-01")
    async with world.worker() as worker:
        with pytest.raises(UnknownModel):
            await worker.ask("N1")
        assert worker.models.problems() == [f"{world.home.flags_path}: is missing; bootstrap a model, or run: retrain reconcile"]
        world.edit_new_flags()
        worker.models.look()
        for why in ("no champion yet|the ledger does not hold", "the ledger does not hold how flags.json routes it"):
            with pytest.raises(NotReady, match=why):
                await worker.ask("N1")
            await until(lambda: "does not hold" in worker.models.problems()[0])


@pytest.mark.parametrize("kind", ["refuse", "serve"])
async def test_when_the_log_cannot_be_kept_the_contract_says_what_follows(canary: Canary, kind: str) -> None:
    world = canary(serving={"when_log_fails": kind})
    async with world.worker() as worker:
        before = await worker.predict(*map(row, units(60)))
        assert {one.arm for one in before} == {"champion", "challenger"}
        await worker.journal.close()
        if kind == "refuse":
            with pytest.raises(LogUnavailable):
                await worker.ask("N1")
            assert worker.meter.refusals == ["log_unavailable"]
            return
        answers = await worker.predict(*map(row, units(60)))
        champion = worker.models.current(MODEL).champion
        assert champion is not None
        assert {(one.arm, one.version, one.revision, one.stage, one.reason, one.error) for one in answers} == {
            ("champion", "1", 0, None, Reason.NOT_LOGGED, False)
        }
        assert {one.score for one in answers} == {champion.score_rows([FEATURES])[0]}
        assert worker.meter.refusals == ["not_logged"]
        assert "the champion answers everybody" in worker.answering.warnings()[0]
    assert world.exposures().height == len(before)


async def test_all_rows_of_a_request_are_by_one_rule_and_no_unit_changes_its_arm_without_a_revision(canary: Canary) -> None:
    world = canary()
    arms: dict[tuple[str | None, int], set[str]] = {}
    revisions: set[int] = set()

    async def client() -> None:
        while not done.is_set():
            answers = await worker.predict(*map(row, units(30)))
            inside = {one.revision for one in answers if one.revision}
            assert len(inside) <= 1
            assert len({one.reason for one in answers}) == 1
            revisions.update(inside)
            for one in answers:
                arms.setdefault((one.unit, one.revision), set()).add(one.arm)

    def flip() -> None:
        for _ in range(5):
            world.controller.hold(TOGGLE, SYSTEM, "hold")
            world.controller.resume(TOGGLE, RUTH, "resume")
        world.controller.step(TOGGLE, SYSTEM, "on")
        world.controller.rollback(TOGGLE, SYSTEM, "enough")

    done = asyncio.Event()
    async with world.worker() as worker:
        clients = [asyncio.create_task(client()) for _ in range(4)]
        await asyncio.to_thread(flip)
        await asyncio.sleep(0.05)
        done.set()
        await asyncio.gather(*clients)
        assert {one.reason for one in await worker.predict(*map(row, units(30)))} == {Reason.ROLLED_BACK}
    assert revisions
    assert all(len(found) == 1 for found in arms.values())
    assert not world.exposures()["error"].any()


async def test_a_request_whose_client_is_gone_leaves_nothing_behind(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        before = asyncio.all_tasks()
        tasks = [asyncio.create_task(worker.ask(unit)) for unit in units(50)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        assert all(isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*tasks, return_exceptions=True))
        assert not (await worker.ask("N1")).error
        await until(lambda: asyncio.all_tasks() == before)
    assert world.exposures().height >= 1


async def test_what_is_counted_is_rows_and_errors_by_arm(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        answers = await worker.predict(*map(row, units(100)))
        inside = sum(one.arm == "challenger" for one in answers)
        assert worker.meter.answers == [("champion", 100 - inside, 0), ("challenger", inside, 0)]
        assert all(seconds > 0 for seconds in worker.meter.seconds)


async def test_the_time_of_an_exposure_is_the_homes(canary: Canary) -> None:
    world = canary(None)
    async with world.worker() as worker:
        await worker.ask("N1")
        world.clock.at += timedelta(days=1)
        await worker.ask("N2")
    assert world.exposures()["exposed_at"].to_list() == [world.clock.now() - timedelta(days=1), world.clock.now()]
