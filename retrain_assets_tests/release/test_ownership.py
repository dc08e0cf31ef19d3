"""Who answers for a toggle: a transfer needs both sides, an owner who left is in the way, and the review is regular."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from retrain_assets.contract import Refused, StaleRevision
from retrain_assets.ledger import SYSTEM, Actor, EventKind
from retrain_assets.release import ToggleStatus
from retrain_assets.release.debt import review_due

from .world import EVE, MODEL, PAUL, RUTH, World, contract

KEY = "2013-07-01"
NAME = f"{MODEL}-{KEY}"
MIA = Actor("person", "mia@flights.example")


def owned_by(tmp_path: Path, owner: str) -> World:
    world = World(tmp_path / "owned", contract=contract(toggle={"owner": owner}))
    world.arm(KEY)
    return world


class TestTransfer:
    def test_the_owner_is_another_once_the_receiving_person_accepts(self, world: World) -> None:
        world.arm(KEY)
        offered = world.controller.offer_transfer(NAME, MIA.name, PAUL, "mia knows the model")
        assert (offered.owner, offered.offer.owner, offered.offer.by) == ("team:product", MIA.name, PAUL.name)
        accepted = world.controller.accept_transfer(NAME, MIA, "I do")
        assert (accepted.owner, accepted.offer) == (MIA.name, None)
        offer, transfer = world.ledger.events(kinds=[EventKind.TRANSFER_OFFERED, EventKind.TOGGLE_TRANSFERRED])
        assert transfer.payload == {
            "owner": MIA.name,
            "from": "team:product",
            "offered_by": PAUL.name,
            "offer": offer.sequence,
        }

    def test_of_a_team_somebody_else_than_the_offerer_accepts(self, world: World) -> None:
        world.arm(KEY)
        world.controller.offer_transfer(NAME, "team:growth", PAUL, "they own it now")
        with pytest.raises(Refused, match="offered it; a transfer needs both sides"):
            world.controller.accept_transfer(NAME, Actor("person", PAUL.name.upper()), "me too")
        assert world.controller.accept_transfer(NAME, EVE, "we take it").owner == "team:growth"

    def test_nobody_but_that_person_accepts(self, world: World) -> None:
        world.arm(KEY)
        world.controller.offer_transfer(NAME, MIA.name, PAUL, "mia knows the model")
        with pytest.raises(Refused, match=f"it is offered to {MIA.name}, not to {EVE.name}"):
            world.controller.accept_transfer(NAME, EVE, "mine")
        with pytest.raises(Refused, match="accept is for a person"):
            world.controller.accept_transfer(NAME, Actor("system", MIA.name), "mine")

    def test_nobody_takes_a_teams_toggle_over_alone(self, world: World) -> None:
        world.arm(KEY)
        with pytest.raises(Refused, match="nobody takes a toggle over alone"):
            world.controller.offer_transfer(NAME, EVE.name, EVE, "mine")

    def test_a_persons_toggle_is_offered_by_that_person_only(self, tmp_path: Path) -> None:
        world = owned_by(tmp_path, MIA.name)
        with pytest.raises(Refused, match=f"it is {MIA.name}'s, not {RUTH.name}'s"):
            world.controller.offer_transfer(NAME, "team:growth", RUTH, "they own it now")
        assert world.controller.offer_transfer(NAME, "team:growth", MIA, "they own it now").offer is not None

    def test_nothing_is_accepted_that_is_not_offered(self, world: World) -> None:
        world.arm(KEY)
        with pytest.raises(Refused, match="accept is not possible while the toggle is armed: it is offered to nobody"):
            world.controller.accept_transfer(NAME, MIA, "mine")

    def test_a_new_offer_replaces_the_one_before_and_offering_it_back_withdraws_it(self, world: World) -> None:
        world.arm(KEY)
        world.controller.offer_transfer(NAME, MIA.name, PAUL, "mia knows the model")
        assert world.controller.offer_transfer(NAME, "team:growth", PAUL, "rather them").offer.owner == "team:growth"
        with pytest.raises(Refused, match="a transfer needs both sides"):
            world.controller.accept_transfer(NAME, PAUL, "mine")
        assert world.controller.offer_transfer(NAME, "team:product", RUTH, "we keep it").offer is None
        with pytest.raises(Refused, match="it is team:product's already"):
            world.controller.offer_transfer(NAME, "team:product", RUTH, "we keep it")

    def test_the_very_offer_made_again_has_been_waiting_since_it_was_made(self, world: World) -> None:
        world.arm(KEY)
        first = world.controller.offer_transfer(NAME, MIA.name, PAUL, "mia knows the model")
        world.clock.forward(days=2)
        assert world.controller.offer_transfer(NAME, MIA.name.upper(), PAUL, "please") == first
        assert world.controller.offer_transfer(NAME, MIA.name, RUTH, "please").offer.by == RUTH.name

    @pytest.mark.parametrize("end", ["rolled_back", "retired"])
    def test_an_offer_lapses_with_what_it_offers(self, world: World, end: str) -> None:
        world.promoted(KEY)
        world.controller.offer_transfer(NAME, MIA.name, PAUL, "mia knows the model")
        action = world.controller.rollback if end == "rolled_back" else world.controller.retire
        assert action(NAME, RUTH, "over").offer is None
        with pytest.raises(Refused, match=f"accept is not possible while the toggle is {end}"):
            world.controller.accept_transfer(NAME, MIA, "mine")

    def test_an_acceptance_of_an_offer_that_was_replaced_loses_the_race(self, world: World) -> None:
        world.arm(KEY)
        seen = world.controller.offer_transfer(NAME, "team:growth", PAUL, "they own it now").revision
        world.controller.offer_transfer(NAME, "team:sales", PAUL, "rather them")
        with pytest.raises(StaleRevision):
            world.controller.accept_transfer(NAME, EVE, "we take it", revision=seen)

    def test_an_owner_has_the_form_of_an_owner(self, world: World) -> None:
        world.arm(KEY)
        for act in (
            lambda: world.controller.offer_transfer(NAME, "somebody", RUTH, "moved"),
            lambda: world.controller.mark_owner_left("somebody", RUTH, "moved"),
        ):
            with pytest.raises(Refused, match="'somebody' is not an owner; write team:NAME or an e-mail address"):
                act()

    def test_a_promoted_toggle_gets_another_owner_too(self, world: World) -> None:
        world.promoted(KEY)
        world.controller.offer_transfer(NAME, MIA.name, PAUL, "mia knows the model")
        assert world.controller.accept_transfer(NAME, MIA, "I do").owner == MIA.name


class TestAnOwnerWhoLeft:
    def test_the_contracts_owner_is_in_the_way_of_arming(self, world: World) -> None:
        world.bootstrap()
        world.candidate(KEY)
        world.controller.mark_owner_left("team:product", RUTH, "dissolved")
        with pytest.raises(Refused, match=r"its owner team:product left on 2013-07-01 \(dissolved\)") as caught:
            world.controller.register_and_arm(world.contract, KEY)
        assert caught.value.remedy == "name another toggle.owner in the contract"
        world.controller.mark_owner_back("team:product", RUTH, "founded again")
        assert world.controller.register_and_arm(world.contract, KEY).state is ToggleStatus.ARMED

    @pytest.mark.parametrize("move", ["step", "ask_approval"])
    def test_the_toggles_owner_is_in_the_way_of_stepping_and_asking_until_another_accepts(self, world: World, move: str) -> None:
        world.ramp(KEY) if move == "ask_approval" else world.arm(KEY)
        if move == "ask_approval":
            world.look(KEY, "hold")
        world.controller.mark_owner_left("team:PRODUCT", RUTH, "dissolved")
        with pytest.raises(Refused, match=f"{move.replace('_', ' ')} is stopped: its owner team:product left") as caught:
            getattr(world.controller, move)(NAME, SYSTEM, "on")
        assert f"retrain toggle transfer {NAME} --to OWNER" in caught.value.remedy
        world.controller.offer_transfer(NAME, "team:growth", PAUL, "they own it now")
        world.controller.accept_transfer(NAME, EVE, "we take it")
        getattr(world.controller, move)(NAME, SYSTEM, "on")

    def test_nothing_is_promoted_until_somebody_answers_for_it(self, world: World) -> None:
        world.awaiting(KEY)
        world.controller.approve(MODEL, KEY, RUTH, "clear win")
        world.controller.mark_owner_left("team:product", RUTH, "dissolved")
        decision = world.controller.decide(MODEL, KEY)
        assert (decision.decision, world.state.champion.version) == ("wait", "1")
        assert "its owner team:product left" in decision.reason
        world.controller.mark_owner_back("team:product", RUTH, "founded again")
        assert world.controller.decide(MODEL, KEY).decision == "promote"

    def test_holding_and_rolling_back_are_always_possible(self, world: World) -> None:
        world.ramp(KEY)
        world.controller.mark_owner_left("team:product", RUTH, "dissolved")
        world.controller.hold(NAME, SYSTEM, "sample ratio")
        assert world.controller.rollback(NAME, SYSTEM, "guardrail").state is ToggleStatus.ROLLED_BACK

    def test_a_look_that_calls_for_a_step_is_recorded_as_a_hold_with_the_reason(self, world: World) -> None:
        world.arm(KEY)
        world.controller.step(NAME, SYSTEM, "on")
        world.controller.mark_owner_left("team:product", RUTH, "dissolved")
        toggle = world.look(KEY, "step", "enough units")
        assert (toggle.state, toggle.last_look.action) == (ToggleStatus.SHADOW, "hold")
        assert "its owner team:product left" in toggle.last_look.reason
        assert "the look calls for step: enough units" in toggle.last_look.reason

    def test_only_an_approver_offers_what_is_orphaned(self, tmp_path: Path) -> None:
        world = owned_by(tmp_path, MIA.name)
        world.controller.mark_owner_left(MIA.name, PAUL, "new job")
        with pytest.raises(Refused, match=f"{EVE.name} is not an approver; {RUTH.name} or {PAUL.name} offers it"):
            world.controller.offer_transfer(NAME, "team:growth", EVE, "we want it")
        world.controller.offer_transfer(NAME, "team:growth", PAUL, "they know it")
        assert world.controller.accept_transfer(NAME, EVE, "we take it").owner == "team:growth"

    def test_nothing_is_offered_to_or_accepted_by_who_left(self, world: World) -> None:
        world.arm(KEY)
        world.controller.offer_transfer(NAME, MIA.name, PAUL, "mia knows the model")
        world.controller.mark_owner_left(MIA.name, PAUL, "new job")
        with pytest.raises(Refused, match=f"{MIA.name} left on"):
            world.controller.accept_transfer(NAME, MIA, "I do")
        with pytest.raises(Refused, match=f"{MIA.name} left on"):
            world.controller.offer_transfer(NAME, MIA.name, PAUL, "again")

    def test_it_is_said_once_by_a_person_and_taken_back_by_one(self, world: World) -> None:
        with pytest.raises(Refused, match="for a person"):
            world.controller.mark_owner_left("team:product", SYSTEM, "dissolved")
        with pytest.raises(Refused, match="team:product has not left; who left: nobody"):
            world.controller.mark_owner_back("team:product", RUTH, "founded again")
        for _ in range(2):
            world.controller.mark_owner_left("team:product", RUTH, "dissolved")
        assert [event.kind for event in world.ledger.events()] == [EventKind.OWNER_LEFT]
        with pytest.raises(Refused, match="for a person"):
            world.controller.mark_owner_back("team:product", SYSTEM, "founded again")


class TestReview:
    def test_it_is_due_again_a_review_period_after_arming_or_the_last_one(self, world: World) -> None:
        world.arm(KEY)
        every, began = timedelta(days=14), world.clock.now()
        assert review_due(world.toggle(KEY)) == began + every
        world.clock.forward(days=10)
        toggle = world.controller.review(NAME, RUTH, "still comparing")
        assert (toggle.reviewed_at, toggle.reviewed_by) == (began + timedelta(days=10), RUTH.name)
        assert review_due(toggle) == began + timedelta(days=10) + every
        (event,) = world.ledger.events(kinds=[EventKind.TOGGLE_REVIEWED])
        assert (event.reason, event.toggle) == ("still comparing", NAME)

    def test_it_is_for_a_person(self, world: World) -> None:
        world.arm(KEY)
        with pytest.raises(Refused, match="review is for a person"):
            world.controller.review(NAME, SYSTEM, "still comparing")

    def test_what_has_ended_is_not_reviewed(self, world: World) -> None:
        world.arm(KEY)
        world.controller.rollback(NAME, SYSTEM, "guardrail")
        with pytest.raises(Refused, match="review is not possible while the toggle is rolled_back"):
            world.controller.review(NAME, RUTH, "still comparing")
        assert review_due(world.toggle(KEY)) is None
