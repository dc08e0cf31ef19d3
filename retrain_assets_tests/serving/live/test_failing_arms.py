"""A failing challenger costs nobody an answer and is recorded against it; a failing champion is a clear error."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from retrain_assets.bundle import LightGBMPredictor
from retrain_assets.serving.live import ModelFailed, ModelLate, NotReady, Prediction
from retrain_assets.serving.live.scoring_threads import THREADS
from retrain_assets_tests.serving.live.conftest import Canary
from retrain_assets_tests.serving.live.world import FEATURES, MODEL, Served, Worker, number, row, units, until

pytestmark = pytest.mark.anyio

BAD = 13.0
"""A distance no model here can bear."""


class Model:
    """A predictor of a test."""

    def file(self) -> tuple[str, bytes]:
        raise NotImplementedError

    def importance(self) -> tuple[str, Any]:
        raise NotImplementedError


class Raises(Model):
    """Raises on a batch with a bad row in it; counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, matrix: Any) -> Any:
        self.calls += 1
        if (matrix[:, 0] == BAD).any():
            raise ZeroDivisionError("the model divides by something")
        return matrix[:, 0] / 1000


class GivesNan(Model):
    """Gives no number for bad rows."""

    def predict(self, matrix: Any) -> Any:
        return np.where(matrix[:, 0] == BAD, np.nan, matrix[:, 0] / 1000)


class GivesTooFew(Model):
    """Loses a row."""

    def predict(self, matrix: Any) -> Any:
        return matrix[:-1, 0]


@dataclass
class Hangs(Model):
    """Answers nothing until it is let go, and raises then if told to; counts how many calls are in it."""

    let_go: threading.Event = field(default_factory=threading.Event)
    inside: int = 0
    begun: int = 0
    raises: bool = False

    def predict(self, matrix: Any) -> Any:
        self.begun += 1
        self.inside += 1
        self.let_go.wait(60)
        self.inside -= 1
        if self.raises:
            raise ZeroDivisionError("the model divides by something")
        return matrix[:, 0] / 1000


@contextmanager
def hanging() -> Iterator[Hangs]:
    """A model that hangs for the time of a test."""
    model = Hangs()
    try:
        yield model
    finally:
        model.let_go.set()


async def challenged(worker: Worker, number: int = 40) -> list[str]:
    """Units of the challenger."""
    answers = await worker.predict(*map(row, units(number)))
    return [one.unit for one in answers if one.arm == "challenger" and one.unit]


def score_of(worker: Worker, arm: str, **features: Any) -> float:
    bundle = getattr(worker.models.current(MODEL), arm)
    return float(bundle.score_rows([{**FEATURES, **features}])[0])


def logged(world: Served, answer: Prediction) -> dict[str, Any]:
    (found,) = world.exposures().filter(request_id=answer.request_id).iter_rows(named=True)
    return found


@pytest.mark.parametrize("model", [Raises, GivesNan])
async def test_where_the_challenger_fails_the_champion_answers_and_it_counts_against_the_challenger(
    canary: Canary, model: type[Any]
) -> None:
    world = canary()
    async with world.worker() as worker:
        (unit, *_) = await challenged(worker)
        worker.replace_model("challenger", model())
        answer = await worker.ask(unit, distance=BAD)
        assert (answer.arm, answer.version, answer.error) == ("challenger", "2", True)
        assert answer.score == score_of(worker, "champion", distance=BAD)
        assert answer.decision == (number(answer) >= 0.5)
        assert worker.meter.answers[-1] == ("challenger", 1, 1)
    exposure = logged(world, answer)
    assert (exposure["arm"], exposure["version"], exposure["error"]) == ("challenger", "2", True)
    assert (exposure["score"], exposure["decision"]) == (answer.score, answer.decision)


@pytest.mark.parametrize("model", [Raises, GivesNan])
async def test_one_bad_row_of_a_batch_does_not_spoil_the_others(canary: Canary, model: type[Any]) -> None:
    world = canary()
    async with world.worker() as worker:
        inside = await challenged(worker, 200)
        worker.replace_model("challenger", model())
        bad = inside[7]
        answers = await worker.predict(*[row(unit, distance=BAD if unit == bad else 500) for unit in inside])
    assert [one.unit for one in answers if one.error] == [bad]
    assert {one.score for one in answers if not one.error} == {0.5}


async def test_a_model_that_loses_rows_has_answered_none(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        inside = await challenged(worker)
        worker.replace_model("challenger", GivesTooFew())
        assert all(one.error for one in await worker.predict(*map(row, inside)))


async def test_a_challenger_that_is_late_is_answered_for_and_its_time_is_on_record(canary: Canary) -> None:
    world = canary(serving={"challenger_timeout": "0.05s"})
    async with world.worker() as worker:
        (unit, *_) = await challenged(worker)
        with hanging() as model:
            worker.replace_model("challenger", model)
            answer = await worker.ask(unit)
        assert (answer.arm, answer.error, answer.score) == ("challenger", True, score_of(worker, "champion"))
    assert logged(world, answer)["latency_ms"] >= 50


async def test_a_hung_challenger_takes_its_own_threads_and_nothing_of_the_champion(canary: Canary) -> None:
    world = canary(serving={"challenger_timeout": "0.05s"})
    async with world.worker() as worker:
        inside = await challenged(worker)
        outside = [unit for unit in units(40) if unit not in inside]
        with hanging() as model:
            worker.replace_model("challenger", model)
            answers = await asyncio.gather(*[worker.ask(unit) for unit in units(40) * 3])
            assert all(one.error == (one.arm == "challenger") for one in answers)
            await until(lambda: worker.models.state().stuck_threads == {(MODEL, "2"): THREADS})
            assert model.begun == THREADS, "once its threads hang, nothing more is given to it"
            assert (await worker.ask(inside[0])).error
            assert model.begun == THREADS
            assert not any(one.error for one in await worker.predict(*map(row, outside)))
            assert f"{THREADS} threads hang in version 2" in " ".join(worker.models.warnings())
            assert worker.models.problems() == []
        await until(lambda: worker.models.state().stuck_threads == {})
        async with asyncio.timeout(30):
            while (await worker.ask(inside[0])).error:  # threads that come back serve again
                await asyncio.sleep(0.01)


async def test_what_waits_behind_a_hanging_call_is_not_begun_after_its_deadline(canary: Canary) -> None:
    world = canary(serving={"challenger_timeout": "0.05s"})
    async with world.worker() as worker:
        inside = (await challenged(worker))[0]
        with hanging() as model:
            worker.replace_model("challenger", model)
            await asyncio.gather(*[worker.ask(inside) for _ in range(20)])
        await until(lambda: model.inside == 0)
        assert model.begun == THREADS


async def test_a_late_challenger_is_not_asked_row_by_row_what_nobody_waits_for(canary: Canary) -> None:
    world = canary(serving={"challenger_timeout": "0.05s"})
    async with world.worker() as worker:
        inside = await challenged(worker, 400)
        assert len(inside) > 64
        with hanging() as model:
            model.raises = True
            worker.replace_model("challenger", model)
            answers = await worker.predict(*map(row, inside))
            assert all(one.error for one in answers)
        await until(lambda: worker.models.state().stuck_threads == {})
        assert model.begun < 20


async def test_a_challenger_that_is_not_loaded_is_answered_for(canary: Canary) -> None:
    world = canary()
    world.registry.versions.pop((MODEL, "2"))
    async with world.worker() as worker:
        answers = await worker.predict(*map(row, units(40)))
        inside = [one for one in answers if one.arm == "challenger"]
        assert inside
        assert all(one.error == (one.arm == "challenger") for one in answers)
        assert {one.score for one in answers} == {score_of(worker, "champion")}
        assert worker.models.problems() == []
        assert "the challenger cannot answer, its units get the champion: flight_delay has no version 2" in " ".join(
            worker.models.warnings()
        )
    assert world.exposures()["error"].sum() == len(inside)


async def test_a_feature_only_the_challenger_reads_is_its_own_failure_when_it_is_missing(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        (unit, *_) = await challenged(worker)
        seat = worker.models.current(MODEL).seats["challenger"]
        seat.bundle.__dict__["rows"] = type(seat.bundle.rows)(_with_wind(seat.bundle.encoding))
        answer = await worker.ask(unit)
        assert (answer.error, answer.score) == (True, score_of(worker, "champion"))


async def test_where_the_champion_fails_the_request_fails_and_the_failed_row_is_on_record(canary: Canary) -> None:
    world = canary(None)
    async with world.worker() as worker:
        worker.replace_model("champion", Raises())
        good, bad = row("N1"), row("N2", distance=BAD)
        with pytest.raises(ModelFailed, match="flight_delay, row 1: the champion gave no score") as caught:
            await worker.predict(good, bad)
        assert not isinstance(caught.value, ModelLate)
        assert worker.meter.refusals == ["model_failed"]
        assert worker.meter.answers == [("champion", 2, 1)]
        assert (await worker.ask("N1")).score == 0.12
    (failed,) = world.exposures().filter("error").iter_rows(named=True)
    assert (failed["request_id"], failed["arm"], failed["score"], failed["decision"]) == (bad.request_id, "champion", None, None)
    assert good.request_id not in world.exposures()["request_id"]


async def test_where_both_arms_fail_the_failure_is_the_challengers(canary: Canary) -> None:
    world = canary()
    async with world.worker() as worker:
        (unit, *_) = await challenged(worker)
        for arm in ("champion", "challenger"):
            worker.replace_model(arm, GivesNan())
        with pytest.raises(ModelFailed):
            await worker.ask(unit, distance=BAD)
    (failed,) = world.exposures().filter("error").iter_rows(named=True)
    assert (failed["arm"], failed["version"], failed["score"]) == ("challenger", "2", None)


async def test_a_champion_that_hangs_is_a_deadline_and_is_tried_again_when_it_comes_back(canary: Canary) -> None:
    world = canary(None, serving={"champion_timeout": "0.05s"})
    async with world.worker() as worker:
        usual = worker.models.current(MODEL).champion
        assert usual is not None
        predictor = usual.predictor
        assert isinstance(predictor, LightGBMPredictor)
        with hanging() as model:
            worker.replace_model("champion", model)
            found = await asyncio.gather(*[worker.ask("N1") for _ in range(10)], return_exceptions=True)
            assert all(isinstance(one, ModelLate) for one in found)
            assert model.begun == THREADS
            assert worker.meter.refusals == ["model_late"] * 10
        await until(lambda: worker.models.state().stuck_threads == {})
        worker.replace_model("champion", predictor)
        async with asyncio.timeout(30):
            while not await _answers(worker):
                await asyncio.sleep(0.01)
    assert world.exposures()["error"].sum() >= 10


async def test_a_champion_that_is_not_loaded_is_said_with_its_reason(canary: Canary) -> None:
    world = canary(None)
    world.registry.is_away = True
    async with world.worker() as worker:
        with pytest.raises(NotReady, match="the champion cannot answer: nobody answers"):
            await worker.ask("N1")
        assert worker.models.problems() == [f"{MODEL}: the champion cannot answer: nobody answers"]
        assert worker.meter.refusals == ["not_ready"]
        world.registry.is_away = False
        await until(lambda: not worker.models.problems())
        assert not (await worker.ask("N1")).error


async def _answers(worker: Worker) -> bool:
    try:
        await worker.ask("N1")
    except ModelLate:
        return False
    return True


def _with_wind(encoding: Any) -> Any:
    names = (*encoding.names, "wind")
    return type(encoding)(names, {**encoding.kinds, "wind": "numeric"}, encoding.categories)
