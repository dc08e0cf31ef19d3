"""The door to activation on a ledger in PostgreSQL, where writers do not stand in one file's queue."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from retrain_assets.contract import Refused
from retrain_assets.ledger import SYSTEM, EventKind
from retrain_assets.release import ReleaseController, ToggleStatus
from retrain_assets_tests.ledger.conftest import postgres, postgres_database  # noqa: F401 these are fixtures

from .world import MODEL, OTHER, PAUL, RUTH, World

KEY = "2013-07-01"
NAME = f"{MODEL}-{KEY}"


@pytest.fixture
def world(tmp_path: Path, postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> World:  # noqa: F811 the fixture above
    monkeypatch.setenv("RETRAIN_LEDGER_URL", postgres_database)
    return World(tmp_path / "home")


def test_a_switch_of_all_models_rolls_back_stops_and_is_released(world: World) -> None:
    world.ramp(KEY)
    other = world.second_model(KEY)
    done = world.controller.engage_kill_switch(None, PAUL, "prices are wrong")
    assert ({toggle.name for toggle in done.rolled_back}, done.faults) == ({NAME, other}, ())
    assert {one["metadata"]["state"] for one in world.flags()["flags"].values()} == {"rolled_back"}
    world.candidate("2013-07-02")
    with pytest.raises(Refused, match="the kill switch of all models is engaged"):
        world.controller.register_and_arm(world.contract, "2013-07-02")
    world.controller.release_kill_switch(None, RUTH, "found it")
    assert world.controller.register_and_arm(world.contract, "2013-07-02").state is ToggleStatus.ARMED
    assert world.ledger.verify() == []


def test_whoever_wins_nothing_is_active_once_the_switch_of_all_models_is_engaged(world: World) -> None:
    world.arm(KEY)
    world.second_model(KEY)
    start = threading.Barrier(5)

    def controller() -> ReleaseController:
        found = world.another_controller()
        start.wait()
        return found

    def move(name: str, toggle: str) -> None:
        door = controller()
        for _ in range(4):
            try:
                getattr(door, name)(toggle, RUTH, "in a hurry")
            except Refused:
                continue

    def engage() -> None:
        controller().engage_kill_switch(None, PAUL, "prices are wrong")

    moves = [("step", NAME), ("hold", NAME), ("step", f"{OTHER}-{KEY}"), ("resume", f"{OTHER}-{KEY}")]
    threads = [threading.Thread(target=move, args=one) for one in moves] + [threading.Thread(target=engage)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    world.controller.reconcile()
    assert [state.active_toggle for state in world.controller.states().values()] == [None, None]
    assert {one["metadata"]["share"] for one in world.flags()["flags"].values()} == {0.0}
    (engaged,) = world.ledger.events(kinds=[EventKind.KILL_SWITCH_ENGAGED])
    after = {event.kind for event in world.ledger.events(after=engaged.sequence)}
    assert not after & {EventKind.TOGGLE_STEPPED, EventKind.TOGGLE_RESUMED}
    assert world.ledger.verify() == []


def test_a_freeze_of_all_models_that_was_declared_while_a_step_was_decided_stops_it(world: World) -> None:
    world.arm(KEY)
    slow, quick = world.another_controller(), world.another_controller()
    slow.states()
    today = world.clock.now().date()
    quick.declare_freeze(today, today, RUTH, "holidays")
    with pytest.raises(Refused, match=r"step is stopped: 2013-07-01 is in a change freeze \(holidays\)"):
        slow.step(NAME, SYSTEM, "on")
