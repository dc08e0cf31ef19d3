"""The routed arm answers, and every answer is on record before it is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain_assets.routing import compile_rule

from .world import FEATURES, MODEL, Served, row, units

pytestmark = pytest.mark.anyio


async def test_the_routed_arm_answers_and_every_exposure_is_on_record(tmp_path: Path) -> None:
    world = Served.at(tmp_path)
    world.canary()
    async with world.worker() as worker:
        rows = [row(unit) for unit in units()]
        answers = await worker.predict(*rows)
        live = worker.models.current(MODEL)
        assign = compile_rule(live.rule)
        assert [one.arm for one in answers] == [assign(one.unit, {"origin": "JFK"}, world.clock.now()).arm for one in rows]
        alone = {"champion": live.champion.score_rows([FEATURES])[0], "challenger": live.challenger.score_rows([FEATURES])[0]}
        assert {one.arm: one.score for one in answers} == alone
        assert all(one.decision == (one.score >= 0.5) and not one.error for one in answers)
    logged = {one["request_id"]: one for one in world.exposures().iter_rows(named=True)}
    for answer in answers:
        exposure = logged[answer.request_id]
        assert (exposure["arm"], exposure["score"], exposure["revision"]) == (answer.arm, answer.score, answer.revision)
        assert (exposure["version"], exposure["stage"], exposure["origin"]) == (answer.version, "25", "JFK")
        assert exposure["exposed_at"] == world.clock.now()
