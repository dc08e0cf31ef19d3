"""Change freezes, the contract's and declared ones: nothing goes forward, looks are recorded, and the way back stays open."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from retrain_assets.contract import Refused
from retrain_assets.ledger import EVERY_MODEL, SYSTEM, EventKind
from retrain_assets.release import ToggleStatus

from .world import MODEL, PAUL, RUTH, World, contract

KEY = "2013-07-01"
NAME = f"{MODEL}-{KEY}"

Freeze = Callable[[World], None]


def declared_for_all(world: World) -> None:
    world.controller.declare_freeze(world.clock.now().date(), date(2013, 7, 25), RUTH, "holidays")


def declared_for_the_model(world: World) -> None:
    world.controller.declare_freeze(world.clock.now().date(), date(2013, 7, 25), RUTH, "holidays", model=MODEL)


def of_the_contract(world: World) -> None:
    world.clock.at = world.clock.at.replace(day=20)


FREEZES = pytest.mark.parametrize("freeze", [declared_for_all, declared_for_the_model, of_the_contract])


@pytest.fixture
def frozen(tmp_path: Path) -> World:
    """A world whose contract has a freeze from the 20th on; it begins on the 1st."""
    terms = contract(cadence={"freeze": [{"start": "2013-07-20", "end": "2013-07-25", "reason": "holidays"}]})
    return World(tmp_path / "home", contract=terms)


@FREEZES
def test_nothing_is_launched_nor_armed(frozen: World, freeze: Freeze) -> None:
    frozen.bootstrap()
    frozen.candidate(KEY)
    freeze(frozen)
    with pytest.raises(Refused, match=r"2013-07-\d\d is in a change freeze \(holidays\); wait until 2013-07-25 is over"):
        frozen.launch("2013-07-22")
    with pytest.raises(Refused, match=r"arm is stopped: .* is in a change freeze \(holidays\); wait until 2013-07-25 is over"):
        frozen.controller.register_and_arm(frozen.contract, KEY)
    frozen.clock.at = frozen.clock.at.replace(day=26)
    assert frozen.controller.register_and_arm(frozen.contract, KEY).state is ToggleStatus.ARMED


@FREEZES
@pytest.mark.parametrize("actor", [SYSTEM, RUTH], ids=["system", "person"])
def test_nobody_steps(frozen: World, freeze: Freeze, actor: object) -> None:
    frozen.arm(KEY)
    freeze(frozen)
    with pytest.raises(Refused, match=r"step is stopped: .* is in a change freeze"):
        frozen.controller.step(NAME, actor, "on")  # type: ignore[arg-type]


@FREEZES
def test_nobody_resumes_or_extends(frozen: World, freeze: Freeze) -> None:
    frozen.arm(KEY)
    frozen.controller.hold(NAME, SYSTEM, "sample ratio")
    freeze(frozen)
    with pytest.raises(Refused, match=r"resume is stopped: .* is in a change freeze"):
        frozen.controller.resume(NAME, RUTH, "explained")
    with pytest.raises(Refused, match=r"extend is stopped: .* is in a change freeze"):
        frozen.controller.extend(NAME, timedelta(days=1), RUTH, "longer")


@FREEZES
def test_an_approval_waits_until_it_is_over(frozen: World, freeze: Freeze) -> None:
    frozen.awaiting(KEY)
    freeze(frozen)
    frozen.controller.approve(MODEL, KEY, RUTH, "clear win")
    decision = frozen.controller.decide(MODEL, KEY)
    assert (decision.decision, frozen.state.champion.version) == ("wait", "1")
    assert "change freeze: holidays" in decision.reason
    found = {verdict.check: verdict.passed for verdict in frozen.controller.promotion_verdicts(MODEL, KEY)}
    assert found["not_in_change_freeze"] is False


@FREEZES
def test_holding_and_rolling_back_go_on(frozen: World, freeze: Freeze) -> None:
    frozen.promoted("2013-06-01")
    frozen.arm(KEY)
    freeze(frozen)
    frozen.controller.hold(NAME, SYSTEM, "sample ratio")
    assert frozen.controller.rollback(NAME, SYSTEM, "guardrail").state is ToggleStatus.ROLLED_BACK
    assert frozen.controller.rollback(f"{MODEL}-2013-06-01", PAUL, "complaints").state is ToggleStatus.ROLLED_BACK
    assert frozen.state.champion.version == "1"


@FREEZES
def test_a_look_that_calls_for_a_step_holds_and_says_why_and_the_next_one_after_it_steps(frozen: World, freeze: Freeze) -> None:
    frozen.arm(KEY)
    frozen.controller.step(NAME, SYSTEM, "enter the ramp")
    freeze(frozen)
    toggle = frozen.look(KEY, "step", "enough units")
    assert (toggle.state, toggle.stage) == (ToggleStatus.SHADOW, "shadow")
    assert toggle.last_look.action == "hold"
    assert "in a change freeze (holidays); the look calls for step: enough units" in toggle.last_look.reason
    (event,) = frozen.ledger.events(kinds=[EventKind.CANARY_LOOKED])
    assert event.payload["called_for"] == "step"
    assert frozen.evidence.get(event.payload["evidence"])["action"] == "step"
    for one in frozen.controller.platform().freezes:
        frozen.controller.lift_freeze(one.number, RUTH, "back early")
    frozen.clock.at = frozen.clock.at.replace(day=16) if freeze is not of_the_contract else frozen.clock.at.replace(day=26)
    assert frozen.look(KEY, "step", "enough units").stage == "5"


@FREEZES
def test_a_look_that_shows_harm_rolls_back(frozen: World, freeze: Freeze) -> None:
    frozen.arm(KEY)
    frozen.controller.step(NAME, SYSTEM, "enter the ramp")
    freeze(frozen)
    assert frozen.look(KEY, "roll_back", "costs rise").state is ToggleStatus.ROLLED_BACK


@FREEZES
def test_a_look_may_ask_for_approval(frozen: World, freeze: Freeze) -> None:
    frozen.ramp(KEY)
    freeze(frozen)
    assert frozen.look(KEY, "ask_approval", "better").state is ToggleStatus.AWAITING_APPROVAL


class TestDeclaring:
    def test_it_binds_on_its_days_only_the_last_included(self, world: World) -> None:
        world.arm(KEY)
        world.controller.declare_freeze(date(2013, 7, 3), date(2013, 7, 4), RUTH, "fireworks")
        world.controller.step(NAME, SYSTEM, "on")
        for day, hour in ((3, 0), (4, 23)):
            world.clock.at = world.clock.at.replace(day=day, hour=hour)
            with pytest.raises(Refused, match="fireworks"):
                world.controller.step(NAME, SYSTEM, "on")
        world.clock.at = world.clock.at.replace(day=5, hour=0)
        world.controller.step(NAME, SYSTEM, "on")

    def test_one_models_freeze_leaves_the_others_alone(self, world: World) -> None:
        world.controller.declare_freeze(world.clock.now().date(), date(2013, 7, 31), RUTH, "holidays", model="other_model")
        world.arm(KEY)
        assert world.controller.step(NAME, SYSTEM, "on").state is ToggleStatus.SHADOW

    def test_overlapping_freezes_are_all_named_and_the_last_end_counts(self, world: World) -> None:
        world.arm(KEY)
        today = world.clock.now().date()
        world.controller.declare_freeze(today, date(2013, 7, 5), RUTH, "fireworks")
        world.controller.declare_freeze(today, date(2013, 7, 9), RUTH, "audit", model=MODEL)
        with pytest.raises(Refused, match=r"\(fireworks; audit\); wait until 2013-07-09 is over"):
            world.controller.step(NAME, SYSTEM, "on")

    def test_lifting_one_ends_it_and_is_recorded(self, world: World) -> None:
        world.arm(KEY)
        freeze = world.controller.declare_freeze(world.clock.now().date(), date(2013, 7, 31), RUTH, "holidays")
        with pytest.raises(Refused, match=rf"no declared freeze 99; declared: {freeze.number}"):
            world.controller.lift_freeze(99, RUTH, "back early")
        world.controller.lift_freeze(freeze.number, PAUL, "back early")
        world.controller.step(NAME, SYSTEM, "on")
        lifted = world.ledger.events(kinds=[EventKind.FREEZE_LIFTED])
        assert [(event.model, event.actor, event.payload) for event in lifted] == [(EVERY_MODEL, PAUL, {"number": freeze.number})]
        with pytest.raises(Refused, match="no declared freeze"):
            world.controller.lift_freeze(freeze.number, PAUL, "again")

    def test_the_same_days_declared_again_are_one_freeze(self, world: World) -> None:
        first = world.controller.declare_freeze(date(2013, 7, 1), date(2013, 7, 4), RUTH, "fireworks")
        assert world.controller.declare_freeze(date(2013, 7, 1), date(2013, 7, 4), PAUL, "fireworks again") == first
        world.controller.declare_freeze(date(2013, 7, 1), date(2013, 7, 4), PAUL, "of one", model=MODEL)
        world.controller.declare_freeze(date(2013, 7, 1), date(2013, 7, 5), PAUL, "longer")
        assert [one.reason for one in world.controller.platform().freezes] == ["fireworks", "of one", "longer"]
        world.controller.lift_freeze(first.number, RUTH, "over")
        again = world.controller.declare_freeze(date(2013, 7, 1), date(2013, 7, 4), RUTH, "after all")
        assert again.number > first.number

    def test_what_ends_it_sooner_is_named_where_nothing_of_the_contract_stops_as_well(self, frozen: World) -> None:
        frozen.bootstrap()
        declared = [frozen.controller.declare_freeze(date(2013, 7, 1), date(2013, 7, day), RUTH, "audit") for day in (21, 24)]
        lift = " && ".join(f'retrain freeze lift {one.number} --reason "why"' for one in declared)
        with pytest.raises(Refused) as caught:
            frozen.launch("2013-07-02")
        assert caught.value.remedy == f"wait until 2013-07-24 is over, or: {lift}"
        frozen.clock.at = frozen.clock.at.replace(day=21)
        with pytest.raises(Refused) as caught:
            frozen.launch("2013-07-02")
        assert caught.value.remedy == "wait until 2013-07-25 is over"

    def test_it_is_for_a_person_and_for_days_that_can_still_come(self, world: World) -> None:
        today = world.clock.now().date()
        with pytest.raises(Refused, match="declaring a freeze is for a person"):
            world.controller.declare_freeze(today, today, SYSTEM, "holidays")
        with pytest.raises(Refused, match="it ends before it begins"):
            world.controller.declare_freeze(today, today - timedelta(days=1), RUTH, "holidays")
        with pytest.raises(Refused, match="it is over already"):
            world.controller.declare_freeze(today - timedelta(days=9), today - timedelta(days=1), RUTH, "holidays")
        assert world.ledger.head()[0] == 0
