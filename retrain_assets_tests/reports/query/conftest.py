"""A record whose answers are known: one champion restored by hand, one retrain stopped offline, one rolled back for harm."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from retrain_assets.contract import Gate, Outcome
from retrain_assets.ledger import SYSTEM
from retrain_assets.reports.query import Database, Records, question
from retrain_assets_tests.release.world import MODEL, PAUL, RUTH, World, verdict

FIRST, PROMOTED, STOPPED, HARMFUL = "2013-04-01", "2013-07-01", "2013-07-10", "2013-07-20"
NOW = datetime(2013, 9, 1, tzinfo=UTC)

Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Read it only. Times are those of the world's clock, which begins at 2013-07-01."""
    world = World(tmp_path_factory.mktemp("asked") / "home")
    world.promoted(PROMOTED)
    world.clock.at = datetime(2013, 7, 2, 23, tzinfo=UTC)
    world.controller.rollback(f"{MODEL}-{PROMOTED}", RUTH, "misses late flights")
    world.clock.at = datetime(2013, 7, 10, 9, tzinfo=UTC)
    world.launch(STOPPED, PAUL)
    world.judge(STOPPED, Gate.DATA, dataset="sha256:" + "d" * 64, features="sha256:f")
    checks = [verdict(Gate.OFFLINE, "slices_hold", Outcome.FAIL), verdict(Gate.OFFLINE, "meets_auc")]
    world.controller.record_gate(MODEL, STOPPED, Gate.OFFLINE, checks, {"bundle": "sha256:b"})
    world.controller.decide(MODEL, STOPPED)
    world.clock.at = datetime(2013, 7, 20, 6, tzinfo=UTC)
    toggle = world.arm(HARMFUL)
    world.controller.step(toggle, SYSTEM, "enter the ramp")
    world.look(HARMFUL, "step", harm_looks=0)
    world.look(HARMFUL, "hold", harm_looks=1, results=[MEASURED])
    world.look(HARMFUL, "roll_back", "cost is worse", harm_looks=2, cause="harm")
    world.controller.decide(MODEL, HARMFUL)
    world.ledger.close()
    return world


MEASURED = {
    "spec": {"name": "cost_per_flight", "role": "success"},
    "state": "worse",
    "champion_mean": 7.0,
    "challenger_mean": 8.0,
    "estimate": 1.0,
    "lower": 0.5,
    "upper": 1.5,
    "relative_estimate": 0.14,
    "n_champion": 200,
    "n_challenger": 190,
}


@pytest.fixture
def database(recorded: World) -> Database:
    return Database(Records(recorded.home, recorded.ledger))


@pytest.fixture
def ask(database: Database) -> Ask:
    """The rows of a question, or of one SELECT, as dicts."""

    def asked(what: str, **given: str) -> list[dict[str, Any]]:
        named = question(what) if what.isidentifier() else None
        answer = named.answer(database, given, NOW) if named else database.ask(what, given)
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]

    return asked
