"""Toggle debt: what is owed since when, in one sentence, with the command that settles it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from retrain_assets.ledger import SYSTEM
from retrain_assets.release import Debt, toggle_debt

from .world import MODEL, PAUL, RUTH, START, World

KEY = "2013-07-01"
NAME = f"{MODEL}-{KEY}"


def debts(world: World) -> dict[str, Debt]:
    found = toggle_debt(world.state, world.controller.platform(), world.clock.now())
    return {str(debt.kind): debt for debt in found}


def at(world: World, moment: datetime) -> dict[str, Debt]:
    world.clock.at = moment
    return debts(world)


def expired(world: World) -> datetime:
    world.arm(KEY)
    world.controller.review(NAME, RUTH, "fine")
    return START + timedelta(days=30)


def past_removal(world: World) -> datetime:
    world.promoted(KEY)
    return START + timedelta(days=60)


def review_overdue(world: World) -> datetime:
    world.arm(KEY)
    world.clock.forward(days=3)
    world.controller.review(NAME, RUTH, "still comparing")
    return START + timedelta(days=17)


def held(world: World) -> datetime:
    world.arm(KEY)
    world.clock.forward(days=1)
    world.controller.hold(NAME, SYSTEM, "sample ratio")
    return START + timedelta(days=8)


def owner_left(world: World) -> datetime:
    world.arm(KEY)
    world.clock.forward(days=2)
    world.controller.mark_owner_left("team:product", RUTH, "dissolved")
    return world.clock.now()


def offer_pending(world: World) -> datetime:
    world.arm(KEY)
    world.controller.offer_transfer(NAME, "team:growth", PAUL, "they own it now")
    return START + timedelta(days=3)


def promoted_kept(world: World) -> datetime:
    world.promoted(KEY)
    return world.toggle(KEY).status_since + timedelta(days=14)


def ended_kept(world: World) -> datetime:
    world.arm(KEY)
    world.clock.forward(days=1)
    world.controller.rollback(NAME, SYSTEM, "guardrail")
    return START + timedelta(days=8)


KINDS: dict[Callable[[World], datetime], tuple[str, str]] = {
    expired: ("it expired on 2013-07-31 and is not rolled back yet", f"retrain toggle rollback {NAME}"),
    past_removal: ("it was to be gone by 2013-08-30 and is promoted", f"retrain toggle retire {NAME}"),
    review_overdue: (
        "nobody has said for more than 14d that it is still needed (the last time on 2013-07-04)",
        f"retrain toggle review {NAME}",
    ),
    held: ("it is held since 2013-07-02, longer than 7d", f"retrain toggle resume {NAME}"),
    owner_left: ("its owner team:product left on 2013-07-03 (dissolved)", f"retrain toggle transfer {NAME} --to OWNER"),
    offer_pending: (
        f"{PAUL.name} offered it to team:growth on 2013-07-01, and it is not accepted",
        f"retrain toggle accept {NAME}",
    ),
    promoted_kept: ("it was promoted on 2013-07-01 and keeps version 1, the way back", f"retrain toggle retire {NAME}"),
    ended_kept: ("it was rolled back on 2013-07-02 and is not retired", f"retrain reject {MODEL} {KEY}"),
}


@pytest.mark.parametrize("story", KINDS, ids=lambda story: story.__name__)
def test_each_debt_begins_at_its_moment_and_says_what_settles_it(world: World, story: Callable[[World], datetime]) -> None:
    since = story(world)
    message, remedy = KINDS[story]
    assert story.__name__ not in at(world, since - timedelta(microseconds=1))
    debt = at(world, since + timedelta(days=2, hours=3))[story.__name__]
    assert (debt.toggle, debt.since, debt.days, debt.message) == (NAME, since, 2, message)
    assert debt.remedy.startswith(remedy)


def test_a_toggle_in_good_order_owes_nothing(world: World) -> None:
    world.ramp(KEY)
    assert debts(world) == {}


def test_a_retired_toggle_owes_nothing(world: World) -> None:
    world.promoted(KEY)
    world.controller.mark_owner_left("team:product", RUTH, "dissolved")
    world.controller.retire(NAME, RUTH, "over")
    assert at(world, START + timedelta(days=300)) == {}


def test_of_the_dates_that_passed_the_gravest_counts(world: World) -> None:
    world.promoted(KEY)
    assert set(at(world, START + timedelta(days=61))) == {"past_removal"}


def test_a_review_settles_what_a_promotion_keeps(world: World) -> None:
    since = promoted_kept(world)
    assert set(at(world, since)) == {"promoted_kept"}
    world.controller.review(NAME, RUTH, "we want the way back a little longer")
    assert debts(world) == {}


def test_the_oldest_debt_comes_first(world: World) -> None:
    world.arm(KEY)
    world.controller.hold(NAME, SYSTEM, "sample ratio")
    world.clock.forward(days=20)
    world.controller.mark_owner_left("team:product", RUTH, "dissolved")
    found = toggle_debt(world.state, world.controller.platform(), world.clock.now())
    assert [str(debt.kind) for debt in found] == ["held", "review_overdue", "owner_left"]
