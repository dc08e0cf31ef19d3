"""Overrides: two approvers, one named check, one candidate, one verdict; what follows, and what ends one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.contract import Gate, Outcome, Refused, SignatureError, digest_of
from retrain_assets.ledger import SYSTEM, Actor, EventKind
from retrain_assets.release import Ending, overrides_in_force, overrides_view
from retrain_assets.release.overrides import override_of
from retrain_assets.release.overriding import CheckName
from retrain_assets.release.signing import recorded_fault

from .overridden import KEY, OFFLINE, WHY, both, in_force, judge, override, signings, stopped
from .people import by, key_of, line_of, signed_world, signers
from .world import EVE, MODEL, PAUL, RUTH, World, contract, manifest, verdict


class TestOfARetrainThatAGateStopped:
    def test_the_first_of_two_changes_nothing_but_the_record(self, world: World) -> None:
        before = stopped(world).state.retrains[KEY].ended
        override(world, RUTH)
        (view,) = overrides_view(world.state.retrains[KEY], world.clock.now())
        assert (view["in_force"], [one["by"] for one in view["signed"]]) == (False, [RUTH.name])
        assert (world.state.retrains[KEY].ended, in_force(world)) == (before, [])
        assert world.controller.platform().follow_ups == {}

    def test_the_second_opens_it_again_and_it_is_armed_ramped_and_promoted(self, world: World) -> None:
        both(stopped(world))
        opened = world.state.retrains[KEY]
        assert (opened.decision, opened.ended, opened.ended_at, opened.rejected) == (None, None, None, None)
        assert in_force(world) == [OFFLINE]
        assert world.registry.status("2") == "candidate"
        world.controller.register_and_arm(world.contract, KEY)
        name = f"{MODEL}-{KEY}"
        world.controller.step(name, SYSTEM, "enter the ramp")
        for action in ("step", "step", "ask_approval"):
            world.look(KEY, action)
        world.controller.approve(MODEL, KEY, RUTH, "clear win")
        decision = world.controller.decide(MODEL, KEY)
        shout = f"overridden: {OFFLINE} by {RUTH.name} and {PAUL.name}: {WHY}"
        assert decision.decision == "promote"
        assert shout in decision.reason
        assert "all gates passed" not in decision.reason
        assert shout in decision.verdicts[0].message
        assert decision.verdicts[0].message.startswith("NOT EVERY CHECK PASSED")
        registered = next(event for event in world.ledger.events() if event.kind is EventKind.TOGGLE_REGISTERED)
        assert registered.payload["overridden"][0]["check"] == OFFLINE

    def test_what_had_ended_it_stays_in_the_trail(self, world: World) -> None:
        both(stopped(world))
        kinds = [event.kind for event in world.ledger.events(model=MODEL, retrain=KEY)]
        assert kinds[-5:] == [
            EventKind.REJECTED,
            EventKind.DECISION_RECORDED,
            EventKind.RETRAIN_ENDED,
            EventKind.OVERRIDE_SIGNED,
            EventKind.OVERRIDE_SIGNED,
        ]
        first, second = signings(world)
        assert (first.payload["in_force"], first.payload["reopens"]) == (False, False)
        assert (second.payload["in_force"], second.payload["reopens"]) == (True, True)
        assert second.payload["signers"] == [RUTH.name, PAUL.name]
        assert second.payload["bundle"] == world.state.retrains[KEY].candidate.bundle
        assert (second.payload["outcome"], second.payload["message"]) == ("fail", "slices_hold is fail")

    def test_two_checks_take_two_overrides(self, world: World) -> None:
        both(stopped(world, "slices_hold", "calibrated"))
        assert world.state.retrains[KEY].ended is Ending.STOPPED
        with pytest.raises(Refused, match="it was decided already"):
            world.controller.register_and_arm(world.contract, KEY)
        both(world, "offline.calibrated")
        assert world.state.retrains[KEY].ended is None
        assert world.controller.register_and_arm(world.contract, KEY).active

    def test_one_that_is_not_decided_yet_is_let_through_as_well(self, world: World) -> None:
        world.bootstrap()
        world.candidate(KEY)
        judge(world, Gate.OFFLINE, "slices_hold")
        both(world)
        assert world.controller.register_and_arm(world.contract, KEY).active

    def test_the_first_champion_can_be_made_of_it(self, world: World) -> None:
        world.candidate(KEY)
        judge(world, Gate.OFFLINE, "slices_hold")
        with pytest.raises(Refused, match="slices_hold fail"):
            world.controller.bootstrap(world.contract, KEY, RUTH, "first model")
        both(world)
        assert world.controller.bootstrap(world.contract, KEY, RUTH, "first model").champion is not None


class TestWhoAndHowMany:
    def test_one_person_is_not_two(self, world: World) -> None:
        override(stopped(world), RUTH)
        with pytest.raises(
            Refused, match=rf"ruth@flights.example has signed this override; have another approver sign: {PAUL.name}"
        ):
            override(world, RUTH)
        with pytest.raises(Refused, match=r"RUTH@flights\.example"):
            override(world, Actor("person", RUTH.name.replace("ruth", "RUTH")))
        assert in_force(world) == []

    @pytest.mark.parametrize("actor", [EVE, SYSTEM], ids=["a stranger", "the system"])
    def test_only_approvers_sign(self, world: World, actor: Actor) -> None:
        with pytest.raises(Refused, match="is not an approver"):
            override(stopped(world), actor)

    def test_a_contract_can_forbid_them(self, tmp_path: Path) -> None:
        world = stopped(World(tmp_path / "home", contract=contract(approval={"overrides": False})))
        with pytest.raises(Refused, match=r"allows no overrides \(approval.overrides is off\)"):
            override(world, RUTH)

    def test_a_contract_with_one_approver_has_none(self, tmp_path: Path) -> None:
        world = stopped(World(tmp_path / "home", contract=contract(approval={"approvers": [RUTH.name]})))
        with pytest.raises(Refused, match="takes 2 approvers, and the contract names one"):
            override(world, RUTH)

    def test_a_contract_that_forbids_them_since_arms_nothing_on_one(self, world: World) -> None:
        both(stopped(world))
        with pytest.raises(Refused, match="is overridden, and the contract allows no overrides"):
            world.controller.register_and_arm(contract(approval={"overrides": False}), KEY)
        with pytest.raises(Refused, match=r"paul@flights.example is no approver any more"):
            world.controller.register_and_arm(contract(approval={"approvers": [RUTH.name]}), KEY)

    def test_a_third_is_not_needed(self, world: World) -> None:
        world.contract = contract(approval={"approvers": [RUTH.name, PAUL.name, EVE.name]})
        both(stopped(world))
        with pytest.raises(Refused, match="it is in force already"):
            override(world, EVE)

    def test_words_of_one_person_or_of_one_key_never_add_up_whatever_the_record_holds(self, world: World) -> None:
        both(stopped(world))
        retrain, now = world.state.retrains[KEY], world.clock.now()
        first, second = retrain.overrides
        for pair in ((first, replace(first, sequence=99)), (replace(first, key="SHA256:k"), replace(second, key="SHA256:k"))):
            assert overrides_in_force(replace(retrain, overrides=pair), now) == ()

    def test_an_error_is_never_open_whatever_the_record_holds(self, world: World) -> None:
        both(stopped(world))
        retrain = world.state.retrains[KEY]
        record = retrain.verdicts[Gate.OFFLINE].checks["slices_hold"]
        assert override_of(retrain, record, world.clock.now()) is not None
        failed = replace(record, verdict=replace(record.verdict, outcome=Outcome.ERROR))
        assert override_of(retrain, failed, world.clock.now()) is None


class TestSignatures:
    @pytest.fixture
    def signing(self, tmp_path: Path) -> World:
        world = signed_world(tmp_path / "home")
        world.candidate(KEY)
        judge(world, Gate.OFFLINE, "slices_hold")
        world.controller.decide(MODEL, KEY)
        return world

    def sign(self, world: World, actor: Actor, **changes: Any) -> None:
        case, _ = world.controller.override_case(MODEL, KEY, OFFLINE, actor, WHY)
        override(world, actor, signed=by(actor, case, **changes))

    def test_both_sign_where_the_contract_names_keys(self, signing: World) -> None:
        with pytest.raises(SignatureError, match=r"wants ruth@flights.example to sign it"):
            override(signing, RUTH)
        for actor in (RUTH, PAUL):
            self.sign(signing, actor)
        assert in_force(signing) == [OFFLINE]
        keys = [word.key for one in overrides_in_force(signing.state.retrains[KEY], signing.clock.now()) for word in one.words]
        assert keys == [key_of(actor.name).get_fingerprint() for actor in (RUTH, PAUL)]
        for event in signings(signing):
            assert recorded_fault(event, signing.contract.approval, signing.ledger.identity) is None
        assert signing.controller.register_and_arm(signing.contract, KEY).active

    def test_a_signature_for_another_verdict_is_refused(self, signing: World) -> None:
        case, _ = signing.controller.override_case(MODEL, KEY, OFFLINE, RUTH, WHY)
        other = replace(case, subject={**case.subject, "evidence": digest_of("another")})
        with pytest.raises(SignatureError, match="its evidence is"):
            override(signing, RUTH, signed=by(RUTH, other))

    def test_a_signature_counts_once_also_after_a_withdrawal(self, signing: World) -> None:
        case, _ = signing.controller.override_case(MODEL, KEY, OFFLINE, RUTH, WHY)
        signed = by(RUTH, case)
        override(signing, RUTH, signed=signed)
        case, _ = signing.controller.override_case(MODEL, KEY, OFFLINE, RUTH, "no", withdraw=True)
        signing.controller.withdraw_override(MODEL, KEY, OFFLINE, RUTH, "no", signed=by(RUTH, case, lasting=False))
        assert recorded_fault(signings(signing)[-1], signing.contract.approval, signing.ledger.identity) is None
        with pytest.raises(SignatureError, match="recorded already"):
            override(signing, RUTH, signed=signed)

    def test_two_people_with_one_key_are_one(self, tmp_path: Path) -> None:
        shared = signers(line_of(RUTH.name), line_of(PAUL.name, key=RUTH.name))
        world = signed_world(tmp_path / "home", allowed_signers=shared)
        world.candidate(KEY)
        judge(world, Gate.OFFLINE, "slices_hold")
        self.sign(world, RUTH)
        with pytest.raises(SignatureError, match="may sign for both approvers"):
            self.sign(world, PAUL, key=RUTH.name)
        assert in_force(world) == []

    def test_a_shorter_period_is_kept(self, signing: World) -> None:
        self.sign(signing, RUTH, until=signing.clock.now().replace(hour=6))
        self.sign(signing, PAUL)
        assert in_force(signing) == [OFFLINE]
        signing.clock.forward(hours=7)
        assert in_force(signing) == []

    def test_a_key_that_counts_no_more_arms_nothing(self, signing: World) -> None:
        for actor in (RUTH, PAUL):
            self.sign(signing, actor)
        elsewhere = signing.contract.approval.model_copy(
            update={"allowed_signers": signers(line_of(RUTH.name), line_of(PAUL.name, key=EVE.name))}
        )
        with pytest.raises(SignatureError, match="which is not theirs"):
            signing.controller.register_and_arm(signing.contract.model_copy(update={"approval": elsewhere}), KEY)


class TestWhatEndsOne:
    def test_a_new_verdict_voids_it(self, world: World) -> None:
        both(stopped(world))
        subjects = dict(world.state.retrains[KEY].subjects) | {"champion": world.state.champion.bundle}
        again = replace(verdict(Gate.OFFLINE, "slices_hold", Outcome.FAIL), message="slices_hold fails worse")
        world.controller.record_gate(MODEL, KEY, Gate.OFFLINE, [again], subjects)
        assert in_force(world) == []
        with pytest.raises(Refused, match="slices_hold fail"):
            world.controller.register_and_arm(world.contract, KEY)
        assert world.controller.decide(MODEL, KEY).decision == "reject"

    def test_another_candidate_has_none(self, world: World) -> None:
        both(stopped(world))
        made = manifest(KEY, seed=8)
        subjects = {"dataset": made.dataset, "features": made.feature_pipeline, "bundle": made.digest}
        world.controller.register_candidate(MODEL, KEY, world.registry.register(MODEL, made), subjects)
        assert in_force(world) == []

    def test_unused_it_lapses_and_the_retrain_ends_again(self, world: World) -> None:
        both(stopped(world))
        world.clock.forward(days=3)
        assert in_force(world) == [OFFLINE]
        world.clock.forward(seconds=1)
        assert in_force(world) == []
        assert world.controller.decide(MODEL, KEY).decision == "reject"
        assert world.state.retrains[KEY].ended is Ending.STOPPED
        both(world)
        assert world.controller.register_and_arm(world.contract, KEY).active

    def test_what_was_armed_while_it_held_stays_armed(self, world: World) -> None:
        both(stopped(world))
        world.controller.register_and_arm(world.contract, KEY)
        world.clock.forward(days=20)
        assert in_force(world) == [OFFLINE]
        assert world.controller.decide(MODEL, KEY).decision == "wait"

    def test_withdrawn_before_arming_the_gate_is_closed_again(self, world: World) -> None:
        both(stopped(world))
        world.controller.withdraw_override(MODEL, KEY, OFFLINE, PAUL, "the slice matters after all")
        with pytest.raises(Refused, match="slices_hold fail"):
            world.controller.register_and_arm(world.contract, KEY)
        override(world, PAUL, reason="it does not")
        assert world.controller.register_and_arm(world.contract, KEY).active

    def test_withdrawn_while_in_traffic_the_challenger_is_taken_off(self, world: World) -> None:
        both(stopped(world))
        world.controller.register_and_arm(world.contract, KEY)
        world.controller.withdraw_override(MODEL, KEY, OFFLINE, RUTH, "the slice matters after all")
        assert world.controller.decide(MODEL, KEY).decision == "reject"
        assert not world.toggle(KEY).active

    def test_only_who_signed_withdraws_and_only_before_the_decision(self, world: World) -> None:
        override(stopped(world), RUTH)
        with pytest.raises(Refused, match=r"paul@flights.example has not signed an override of it"):
            world.controller.withdraw_override(MODEL, KEY, OFFLINE, PAUL, "no")
        world.controller.withdraw_override(MODEL, KEY, OFFLINE, RUTH, "a slip")
        both(world)
        world.controller.reject(MODEL, KEY, RUTH, "not this quarter")
        with pytest.raises(Refused, match="it was decided already"):
            world.controller.withdraw_override(MODEL, KEY, OFFLINE, RUTH, "no")


class TestTheFollowUp:
    def test_it_is_closed_by_somebody_who_did_not_sign(self, world: World) -> None:
        both(stopped(world))
        (one,) = world.controller.platform().follow_ups.values()
        assert (one.kind, one.number, one.by) == ("override", signings(world)[-1].sequence, (str(RUTH), str(PAUL)))
        for actor in (RUTH, PAUL, Actor("person", PAUL.name.upper())):
            with pytest.raises(Refused, match="signed this override; have somebody close it who did not sign"):
                world.controller.close_follow_up(one.number, actor, "it was right")
        assert world.controller.close_follow_up(one.number, EVE, "the slice is gone from the contract").closed is not None

    def test_a_withdrawal_leaves_it_open(self, world: World) -> None:
        both(stopped(world))
        world.controller.withdraw_override(MODEL, KEY, OFFLINE, PAUL, "no")
        assert [one.closed for one in world.controller.platform().follow_ups.values()] == [None]


def test_a_check_is_named_by_its_gate() -> None:
    assert str(CheckName.parse("offline.meets_roc.auc")) == "offline.meets_roc.auc"
