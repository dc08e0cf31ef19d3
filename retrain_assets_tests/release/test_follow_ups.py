"""Follow-ups: what an emergency leaves open, who closes it, and where it shows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from retrain_assets.contract import Refused
from retrain_assets.ledger import SYSTEM, EventKind
from retrain_assets.release import DebtKind, FollowUp, follow_ups, status, toggle_debt

from .world import EVE, MODEL, PAUL, RUTH, World

KEY = "2013-07-01"


def opened(world: World) -> list[FollowUp]:
    return list(follow_ups(world.state, world.controller.platform()))


def numbers(world: World, kind: EventKind) -> list[int]:
    return [event.sequence for event in world.ledger.events() if event.kind is kind]


class TestWhatOpensOne:
    def test_a_persons_rollback(self, world: World) -> None:
        name = world.ramp(KEY)
        world.controller.rollback(name, RUTH, "complaints")
        (one,) = opened(world)
        assert [one.number] == numbers(world, EventKind.ROLLED_BACK)
        assert (one.kind, one.toggle, one.retrain, one.by) == ("rollback", name, KEY, (str(RUTH),))
        assert one.sentence == f"{name} rolled back by ruth@flights.example: complaints"

    def test_a_persons_rollback_of_a_promotion_is_one_though_two_toggles_end(self, world: World) -> None:
        name = world.promoted(KEY)
        world.arm("2013-08-01")
        world.controller.rollback(name, RUTH, "complaints")
        (one,) = opened(world)
        assert "after its promotion, version 1 restored" in one.what
        assert one.toggle == name

    def test_a_kill_switch_alone_not_each_rollback_under_it(self, world: World) -> None:
        world.ramp(KEY)
        world.controller.engage_kill_switch(None, RUTH, "fire")
        (one,) = opened(world)
        assert [one.number] == numbers(world, EventKind.KILL_SWITCH_ENGAGED)
        assert one.what == "kill switch of all models engaged"

    def test_nothing_that_the_system_does_by_itself_and_no_rejection(self, world: World) -> None:
        world.controller.rollback(world.ramp(KEY), SYSTEM, "guardrail")
        world.ramp("2013-08-01")
        world.controller.reject(MODEL, "2013-08-01", RUTH, "not wanted")
        world.controller.hold(world.ramp("2013-09-01"), RUTH, "wait")
        assert opened(world) == []


class TestClosing:
    def test_whoever_opened_it_may_close_it_with_what_was_found(self, world: World) -> None:
        world.controller.rollback(world.ramp(KEY), RUTH, "complaints")
        (one,) = opened(world)
        closed = world.controller.close_follow_up(one.number, RUTH, "a join was wrong; mended in 4f1c")
        assert closed.closed is not None
        assert (closed.closed.by, closed.closed.finding) == (str(RUTH), "a join was wrong; mended in 4f1c")
        assert opened(world) == []
        event = world.ledger.events()[-1]
        assert (event.kind, event.payload["number"], event.retrain) == (EventKind.FOLLOW_UP_CLOSED, one.number, KEY)
        assert world.another_controller().platform().follow_ups[one.number] == closed

    def test_closing_changes_nothing_about_what_serves(self, world: World) -> None:
        world.controller.engage_kill_switch(None, RUTH, "fire")
        world.controller.close_follow_up(opened(world)[0].number, PAUL, "a false alarm")
        assert list(world.controller.platform().kill_switches) == ["*"]

    def test_the_system_closes_none(self, world: World) -> None:
        world.controller.engage_kill_switch(None, RUTH, "fire")
        with pytest.raises(Refused, match="for a person, not for the system"):
            world.controller.close_follow_up(opened(world)[0].number, SYSTEM, "done")

    def test_one_that_is_closed_or_was_never_there_is_refused(self, world: World) -> None:
        world.controller.engage_kill_switch(None, RUTH, "fire")
        number = opened(world)[0].number
        with pytest.raises(Refused, match=rf"there is no follow-up 99; open: {number}"):
            world.controller.close_follow_up(99, RUTH, "found")
        world.controller.close_follow_up(number, EVE, "a false alarm")
        with pytest.raises(Refused, match=r"closed already by eve@elsewhere.example on 2013-07-01: a false alarm"):
            world.controller.close_follow_up(number, RUTH, "found")

    def test_a_finding_is_needed(self, world: World) -> None:
        world.controller.engage_kill_switch(None, RUTH, "fire")
        with pytest.raises(Refused, match="a reason is missing"):
            world.controller.close_follow_up(opened(world)[0].number, RUTH, " ")


class TestWhereItShows:
    def test_the_status_of_a_model_shows_its_own_and_those_of_all_models_from_the_first_minute(self, world: World) -> None:
        world.ramp(KEY)
        world.second_model(KEY)
        world.controller.rollback(f"{MODEL}-{KEY}", RUTH, "complaints")
        world.controller.engage_kill_switch(None, RUTH, "fire")
        seen = {
            name: [one["kind"] for one in status(state, world.clock.now(), world.controller.platform())["follow_ups"]]
            for name, state in world.controller.states().items()
        }
        assert seen == {MODEL: ["rollback", "kill_switch"], "arrival_delay": ["kill_switch"]}

    def test_after_a_week_it_is_debt_until_it_is_closed(self, world: World) -> None:
        world.controller.rollback(world.ramp(KEY), RUTH, "complaints")
        (one,) = opened(world)

        def owed() -> list[str]:
            found = toggle_debt(world.state, world.controller.platform(), world.clock.now())
            return [debt.remedy for debt in found if debt.kind is DebtKind.FOLLOW_UP_OPEN]

        world.clock.forward(days=7, seconds=-1)
        assert owed() == []
        world.clock.forward(seconds=1)
        assert owed() == [f'retrain follow-up close {one.number} --reason "what the cause was, and what was changed"']
        world.controller.close_follow_up(one.number, RUTH, "a join was wrong")
        assert owed() == []

    def test_the_age_is_counted_by_the_homes_clock(self, world: World) -> None:
        world.controller.engage_kill_switch(None, RUTH, "fire")
        (view,) = status(world.state, world.clock.now() + timedelta(days=3), world.controller.platform())["follow_ups"]
        assert (view["days"], view["model"]) == (3, None)
