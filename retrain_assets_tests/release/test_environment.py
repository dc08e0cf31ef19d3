"""A home is of one environment, and its record says which."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain_assets.contract import Refused
from retrain_assets.home import Home
from retrain_assets.ledger import SYSTEM, EventKind, EvidenceStore, Ledger
from retrain_assets.release import ReleaseController
from retrain_assets.release.environment import environment_of_home

from .world import World


def test_the_first_named_environment_that_changes_something_has_the_home(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.launch("2013-06-01")
    assert environment_of_home(world.home) is None
    monkeypatch.setenv("RETRAIN_ENVIRONMENT", "staging")
    world.another_controller()
    assert environment_of_home(world.home) is None, "a look claims nothing"
    world.launch("2013-07-01")
    assert environment_of_home(world.home) == "staging"


@pytest.mark.parametrize("other", ["production", None])
def test_another_environment_is_refused_afterwards_also_one_without_a_name(
    world: World, monkeypatch: pytest.MonkeyPatch, other: str | None
) -> None:
    monkeypatch.setenv("RETRAIN_ENVIRONMENT", "staging")
    world.launch("2013-07-01")
    monkeypatch.setenv("RETRAIN_ENVIRONMENT", other) if other else monkeypatch.delenv("RETRAIN_ENVIRONMENT")
    with pytest.raises(Refused, match=r"this home is of environment staging and .*; set RETRAIN_ENVIRONMENT=staging"):
        world.another_controller()
    with pytest.raises(Refused, match="this home is of environment staging"):
        world.launch("2013-08-01")
    assert list(world.state.retrains) == ["2013-07-01"]


def test_a_ledger_that_two_homes_share_is_refused_to_the_second_environment(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRAIN_ENVIRONMENT", "staging")
    world.launch("2013-07-01")
    monkeypatch.setenv("RETRAIN_ENVIRONMENT", "production")
    home = Home(tmp_path / "another")
    controller = ReleaseController(
        home, Ledger(world.home.ledger_url), EvidenceStore(home.evidence_dir), world.registry, world.clock
    )
    with pytest.raises(Refused, match="this ledger is of environment staging and this process is production"):
        controller.launch_retrain(world.contract, "2013-08-01", {"kind": "drift"}, SYSTEM)


def test_launches_armings_and_promotions_say_where(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRAIN_ENVIRONMENT", "production")
    world.promoted()
    said = {event.kind for event in world.controller.ledger.events() if event.payload.get("environment") == "production"}
    assert said == {
        EventKind.RETRAIN_LAUNCHED,
        EventKind.CHAMPION_BOOTSTRAPPED,
        EventKind.TOGGLE_ARMED,
        EventKind.PROMOTED,
    }
    assert world.state.retrains["2013-07-01"].environment == "production"
