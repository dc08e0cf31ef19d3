"""The toggle's states are those of the design: every other move is refused, naming the state and what is possible."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from retrain_assets.contract import Refused
from retrain_assets.ledger import SYSTEM
from retrain_assets.release import ToggleStatus

from .world import MODEL, RUTH, World

KEY = "2013-07-01"
NAME = f"{MODEL}-{KEY}"

MOVES: dict[str, Callable[[World], object]] = {
    "step": lambda world: world.controller.step(NAME, RUTH, "on"),
    "hold": lambda world: world.controller.hold(NAME, RUTH, "wait"),
    "resume": lambda world: world.controller.resume(NAME, RUTH, "go on"),
    "rollback": lambda world: world.controller.rollback(NAME, RUTH, "back"),
    "extend": lambda world: world.controller.extend(NAME, timedelta(days=7), RUTH, "longer"),
    "transfer": lambda world: world.controller.offer_transfer(NAME, "team:growth", RUTH, "new owner"),
    "accept": lambda world: world.controller.accept_transfer(NAME, RUTH, "ours"),
    "review": lambda world: world.controller.review(NAME, RUTH, "still needed"),
    "ask_approval": lambda world: world.controller.ask_approval(NAME, RUTH, "ready"),
    "retire": lambda world: world.controller.retire(NAME, RUTH, "over"),
}


def to_armed(world: World) -> None:
    world.arm(KEY)


def to_shadow(world: World) -> None:
    world.arm(KEY)
    world.controller.step(NAME, SYSTEM, "enter the ramp")


def to_first_stage(world: World) -> None:
    to_shadow(world)
    world.look(KEY, "step")


def to_last_stage(world: World) -> None:
    world.ramp(KEY)
    world.look(KEY, "hold")


def to_held(world: World) -> None:
    to_first_stage(world)
    world.controller.hold(NAME, SYSTEM, "sample ratio is off")


def to_awaiting(world: World) -> None:
    world.awaiting(KEY)


def to_promoted(world: World) -> None:
    world.promoted(KEY)


def to_rolled_back(world: World) -> None:
    to_first_stage(world)
    world.look(KEY, "roll_back")


def to_rejected(world: World) -> None:
    to_rolled_back(world)
    world.controller.decide(MODEL, KEY)


def to_retired(world: World) -> None:
    to_rejected(world)
    world.controller.retire(NAME, SYSTEM, "over")


ROADS: dict[Callable[[World], None], tuple[str, set[str]]] = {
    to_armed: ("armed", {"step", "hold", "rollback", "extend", "transfer", "review"}),
    to_shadow: ("shadow", {"step", "hold", "rollback", "extend", "transfer", "review"}),
    to_first_stage: ("ramping", {"step", "hold", "rollback", "extend", "transfer", "review"}),
    to_last_stage: ("ramping", {"ask_approval", "hold", "rollback", "extend", "transfer", "review"}),
    to_held: ("held", {"resume", "rollback", "extend", "transfer", "review"}),
    to_awaiting: ("awaiting_approval", {"hold", "rollback", "extend", "transfer", "review"}),
    to_promoted: ("promoted", {"rollback", "retire", "transfer", "review"}),
    to_rolled_back: ("rolled_back", set()),
    to_rejected: ("rejected", {"retire"}),
    to_retired: ("retired", set()),
}


@pytest.mark.parametrize("road", ROADS, ids=lambda road: road.__name__)
def test_exactly_the_moves_of_the_design_are_possible(world: World, road: Callable[[World], None]) -> None:
    """Each refused move leaves the ledger as it was; the possible ones are each tried on a world of their own below."""
    road(world)
    state, allowed = ROADS[road]
    assert world.toggle(KEY).state == state
    head = world.ledger.head()
    for name in sorted(set(MOVES) - allowed):
        with pytest.raises(Refused, match=rf"while the toggle is {state}.*possible now: ") as caught:
            MOVES[name](world)
        assert caught.value.where == NAME
    assert world.ledger.head() == head


@pytest.mark.parametrize(
    ("road", "move"),
    [(road, move) for road, (_, allowed) in ROADS.items() for move in sorted(allowed)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_each_possible_move_is_one_event_with_both_revisions(world: World, road: Callable[[World], None], move: str) -> None:
    road(world)
    before, (sequence, _) = world.toggle(KEY).revision, world.ledger.head()
    MOVES[move](world)
    (event,) = world.ledger.events(after=sequence)
    assert (event.revision_before, event.revision_after) == (before, before + 1)
    assert world.toggle(KEY).revision == before + 1
    assert event.actor == RUTH
    assert event.toggle == NAME
    assert event.reason


def test_the_ramp_goes_stage_by_stage_and_not_to_a_hundred(world: World) -> None:
    name = world.arm(KEY)
    seen = []
    for _ in range(3):
        toggle = world.controller.step(name, SYSTEM, "on")
        seen.append((toggle.state, toggle.stage, toggle.share))
    assert seen == [
        (ToggleStatus.SHADOW, "shadow", 0.0),
        (ToggleStatus.RAMPING, "5", 0.05),
        (ToggleStatus.RAMPING, "50", 0.5),
    ]
    with pytest.raises(Refused, match="last stage below 100, and 100 is the promotion"):
        world.controller.step(name, RUTH, "on")


def test_each_split_has_its_own_revision_and_start(world: World) -> None:
    name = world.arm(KEY)
    world.controller.step(name, SYSTEM, "on")
    shadow = world.toggle(KEY)
    world.clock.forward(days=1)
    world.controller.step(name, SYSTEM, "on")
    ramping = world.toggle(KEY)
    assert ramping.stage_started == {shadow.revision: shadow.stage_started_at, ramping.revision: world.clock.now()}
    assert ramping.shares == {shadow.revision: 0.0, ramping.revision: 0.05}


def test_a_hold_keeps_the_split_and_its_revision(world: World) -> None:
    to_first_stage(world)
    before = world.toggle(KEY)
    held = world.controller.hold(NAME, SYSTEM, "sample ratio is off")
    assert (held.stage_revision, held.share, held.stage) == (before.stage_revision, before.share, before.stage)
    resumed = world.controller.resume(NAME, RUTH, "explained")
    assert resumed.state is ToggleStatus.RAMPING
    assert (resumed.stage_revision, resumed.stage_started_at) == (before.stage_revision, before.stage_started_at)
    assert resumed.revision == before.revision + 2


def test_a_hold_of_an_awaiting_toggle_resumes_to_awaiting(world: World) -> None:
    to_awaiting(world)
    world.controller.hold(NAME, RUTH, "holiday")
    assert world.controller.resume(NAME, RUTH, "back").state is ToggleStatus.AWAITING_APPROVAL


def test_an_extension_ends_at_the_removal_date(world: World) -> None:
    to_armed(world)
    before = world.toggle(KEY)
    later = world.controller.extend(NAME, timedelta(days=20), RUTH, "few flights")
    assert later.expires_at == before.expires_at + timedelta(days=20)
    with pytest.raises(Refused, match="extend by at most 10d"):
        world.controller.extend(NAME, timedelta(days=11), RUTH, "few flights")
    with pytest.raises(Refused, match="no extension"):
        world.controller.extend(NAME, timedelta(days=-1), RUTH, "less")


def test_an_unknown_toggle_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="no such toggle"):
        world.controller.hold("nothing", RUTH, "wait")


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_change_needs_a_reason(world: World, reason: str) -> None:
    to_armed(world)
    with pytest.raises(Refused, match="a reason is missing"):
        world.controller.hold(NAME, RUTH, reason)
