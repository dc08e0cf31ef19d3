"""Which toggle a model's name means where it matters most: when somebody rolls back, and somebody else just did."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain_assets.cli.targets import to_roll_back
from retrain_assets.contract import Refused
from retrain_assets_tests.release.world import MODEL, PAUL, RUTH, World

FIRST, SECOND = "2013-07-01", "2013-08-01"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "home")


def meant(world: World) -> str:
    return to_roll_back(world.controller.states(), MODEL).toggle.name


def refused(world: World) -> Refused:
    with pytest.raises(Refused) as caught:
        meant(world)
    return caught.value


def test_without_an_active_toggle_it_is_the_promotion_that_was_last(world: World) -> None:
    world.promoted(FIRST)
    world.clock.forward(days=20)
    name = world.promoted(SECOND)
    assert meant(world) == name


def test_who_comes_second_does_not_take_a_promotion_more_back(world: World) -> None:
    world.promoted(FIRST)
    world.clock.forward(days=20)
    world.controller.rollback(world.promoted(SECOND), PAUL, "complaints")
    late = refused(world)
    assert "version 2 is champion again since a rollback on 2013-07-21 " in late.line
    assert late.remedy.endswith(f'version 2, is to go as well: retrain toggle rollback {MODEL}-{FIRST} --reason "why"')
    assert to_roll_back(world.controller.states(), f"{MODEL}-{FIRST}").toggle.name == f"{MODEL}-{FIRST}"


def test_who_comes_second_does_not_take_the_champion_away_that_the_first_one_left(world: World) -> None:
    name = world.promoted(FIRST)
    world.clock.forward(days=20)
    world.controller.rollback(world.ramp(SECOND), PAUL, "complaints")
    late = refused(world)
    assert f"{MODEL}-{SECOND} was rolled back already (complaints); no challenger gets traffic" in late.line
    assert late.remedy.endswith(f'retrain toggle rollback {name} --reason "why"')


def test_what_was_rolled_back_before_the_promotion_and_closed_after_it_is_in_nobodys_way(world: World) -> None:
    world.controller.rollback(world.ramp(FIRST), PAUL, "complaints")
    world.clock.forward(days=20)
    name = world.promoted(SECOND)
    world.controller.reject(MODEL, FIRST, RUTH, "over")
    world.controller.retire(f"{MODEL}-{FIRST}", RUTH, "over")
    assert meant(world) == name
