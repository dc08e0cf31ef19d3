"""When the decision job is asked again about a retrain that waits for its contract's policy."""

from __future__ import annotations

from pathlib import Path

from retrain_assets.automation.decision_sensor import decision_due
from retrain_assets.automation.moments import POLICY_EVERY
from retrain_assets_tests.release.world import MODEL, RUTH, World, contract

KEY = "2013-07-01"


def due(world: World) -> str | None:
    states, platform = world.controller.snapshot()
    return decision_due(states[MODEL], KEY, states[MODEL].retrains[KEY], platform, world.clock.now())


def test_a_policy_that_said_no_is_asked_again_every_quarter_of_an_hour(tmp_path: Path) -> None:
    world = World(tmp_path / "home", contract=contract(approval={"policy": {"command": ["false"]}}))
    world.awaiting(KEY)
    assert due(world) is None
    world.controller.approve(MODEL, KEY, RUTH, "clear win")
    first = due(world)
    world.clock.at += POLICY_EVERY / 2
    assert due(world) == first
    world.clock.at += POLICY_EVERY / 2
    assert due(world) not in (None, first)
    assert world.controller.decide(MODEL, KEY).decision == "wait"


def test_without_a_policy_the_same_approvals_are_decided_on_once(tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    world.awaiting(KEY)
    world.controller.approve(MODEL, KEY, RUTH, "clear win")
    first = due(world)
    world.clock.at += 3 * POLICY_EVERY
    assert due(world) == first is not None
