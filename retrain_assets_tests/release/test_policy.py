"""Who may do what on which verdicts: arming, approving, promoting, and what the system never does."""

from __future__ import annotations

import getpass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.contract import CustodyError, Gate, Outcome, Refused, StaleRevision, digest_of
from retrain_assets.ledger import SYSTEM, Actor, EventKind
from retrain_assets.release import Ending, ToggleStatus

from .world import EVE, MODEL, PAUL, RUTH, World, contract, manifest, verdict

KEY = "2013-07-01"


def asking(world: World) -> dict[str, Any]:
    """A look made now that asks for approval."""
    revision = world.toggle(KEY).stage_revision
    return {
        "at": world.clock.now().isoformat(),
        "action": "ask_approval",
        "reason": "better",
        "stage": "50",
        "revision": revision,
    }


class TestLaunch:
    def test_a_key_that_exists_is_refused_naming_a_free_one(self, world: World) -> None:
        world.launch(KEY)
        world.launch("2013-07-01.2")
        with pytest.raises(Refused, match=r"exists since .*use 2013-07-01\.3"):
            world.launch(KEY)
        assert list(world.state.retrains) == [KEY, "2013-07-01.2"]

    def test_without_a_key_the_next_free_one_of_today_is_taken(self, world: World) -> None:
        launched = [world.controller.launch_retrain(world.contract, None, {"kind": "cadence"}, SYSTEM).retrain for _ in range(3)]
        assert launched == ["2013-07-01", "2013-07-01.2", "2013-07-01.3"]

    @pytest.mark.parametrize(
        "key", ["", "july", "2013-7-1", "20130701", "2013-07-01.1", "2013-07-01.", "2013-07-01.02", "2013-07-32"]
    )
    def test_a_malformed_key_is_refused(self, world: World, key: str) -> None:
        with pytest.raises(Refused, match="not a retrain key"):
            world.launch(key)

    def test_a_change_freeze_holds_retrains_back(self, world: World) -> None:
        frozen = contract(cadence={"freeze": [{"start": "2013-06-30", "end": "2013-07-02", "reason": "holidays"}]})
        with pytest.raises(Refused, match=r"wait until 2013-07-02 is over"):
            world.controller.launch_retrain(frozen, KEY, {"kind": "drift"}, SYSTEM)

    def test_ensuring_a_launch_twice_records_it_once(self, world: World) -> None:
        for _ in range(2):
            world.controller.ensure_launched(world.contract, KEY, {"kind": "drift", "value": float("nan")}, RUTH)
        assert [event.kind for event in world.ledger.events()] == [EventKind.RETRAIN_LAUNCHED]
        assert world.state.retrains[KEY].launched_by == str(RUTH)


class TestArming:
    @pytest.mark.parametrize("gate", [Gate.DATA, Gate.TRAINING, Gate.OFFLINE])
    @pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.NO_DATA, Outcome.ERROR])
    def test_a_gate_that_did_not_pass_is_named(self, world: World, gate: Gate, outcome: Outcome) -> None:
        world.bootstrap()
        world.candidate(KEY)
        world.judge(KEY, gate, outcome)
        with pytest.raises(Refused, match=f"gate {gate} did not pass: holds {outcome}"):
            world.controller.register_and_arm(world.contract, KEY)
        assert world.state.active_toggle is None

    def test_a_decided_retrain_keeps_the_verdicts_it_was_decided_on(self, world: World) -> None:
        world.promoted(KEY)
        before = world.state.retrains[KEY]
        subjects = world.state.retrains[KEY].subjects
        with pytest.raises(Refused, match=r"decided already \(promote\)"):
            world.controller.record_gate(MODEL, KEY, Gate.DATA, [verdict(Gate.DATA, outcome=Outcome.FAIL)], subjects)
        world.judge(KEY, Gate.DATA)
        assert world.state.retrains[KEY] == before

    @pytest.mark.parametrize("gate", [Gate.DATA, Gate.TRAINING, Gate.OFFLINE])
    def test_a_gate_without_verdicts_is_named(self, world: World, gate: Gate) -> None:
        world.bootstrap()
        world.launch(KEY)
        made = manifest(KEY)
        subjects = {"dataset": made.dataset, "features": made.feature_pipeline, "bundle": made.digest}
        world.controller.register_candidate(MODEL, KEY, world.registry.register(MODEL, made), subjects)
        for other in {Gate.DATA, Gate.TRAINING, Gate.OFFLINE} - {gate}:
            world.judge(KEY, other)
        with pytest.raises(Refused, match=f"gate {gate} is missing"):
            world.controller.register_and_arm(world.contract, KEY)

    @pytest.mark.parametrize("subject", ["dataset", "features", "bundle"])
    def test_a_verdict_about_something_else_is_stale(self, world: World, subject: str) -> None:
        world.bootstrap()
        world.candidate(KEY)
        world.judge(KEY, Gate.OFFLINE, **{subject: digest_of("another")})
        with pytest.raises(Refused, match=f"gate offline is stale: holds judged {subject} sha256:"):
            world.controller.register_and_arm(world.contract, KEY)

    def test_a_comparison_without_a_champion_arms_nobody_against_the_first_one(self, world: World) -> None:
        world.candidate(KEY)
        world.bootstrap()
        with pytest.raises(Refused, match="gate offline is stale: it was judged without a champion"):
            world.controller.register_and_arm(world.contract, KEY)
        world.judge(KEY, Gate.OFFLINE)
        assert world.controller.register_and_arm(world.contract, KEY).active

    def test_a_comparison_with_an_earlier_champion_is_stale(self, world: World) -> None:
        world.bootstrap()
        world.candidate("2013-06-01")
        world.promoted(KEY)
        with pytest.raises(Refused, match="gate offline is stale: holds judged champion sha256:"):
            world.controller.register_and_arm(world.contract, "2013-06-01")
        assert "judged champion" in world.controller.decide(MODEL, "2013-06-01").reason

    def test_a_bundle_changed_after_its_gates_makes_them_stale(self, world: World) -> None:
        world.bootstrap()
        world.candidate(KEY)
        made = manifest(KEY, seed=8)
        subjects = {"dataset": made.dataset, "features": made.feature_pipeline, "bundle": made.digest}
        world.controller.register_candidate(MODEL, KEY, world.registry.register(MODEL, made), subjects)
        with pytest.raises(Refused, match=r"gate training is stale.*gate offline is stale"):
            world.controller.register_and_arm(world.contract, KEY)

    def test_a_data_gate_that_never_saw_the_features_is_missing(self, world: World) -> None:
        world.bootstrap()
        world.launch(KEY)
        made = manifest(KEY)
        world.controller.record_gate(MODEL, KEY, Gate.DATA, [verdict(Gate.DATA)], {"dataset": made.dataset})
        subjects = {"dataset": made.dataset, "features": made.feature_pipeline, "bundle": made.digest}
        world.controller.register_candidate(MODEL, KEY, world.registry.register(MODEL, made), subjects)
        world.judge(KEY, Gate.TRAINING)
        world.judge(KEY, Gate.OFFLINE)
        with pytest.raises(Refused, match="gate data is missing: nothing is recorded about the candidate's features"):
            world.controller.register_and_arm(world.contract, KEY)

    def test_one_failed_check_keeps_its_gate_closed_whatever_the_others_say_later(self, world: World) -> None:
        world.bootstrap()
        world.candidate(KEY)
        world.controller.record_gate(
            MODEL, KEY, Gate.DATA, [verdict(Gate.DATA, "no_leak", Outcome.FAIL)], world.state.retrains[KEY].subjects
        )
        world.judge(KEY, Gate.DATA)
        with pytest.raises(Refused, match="no_leak fail"):
            world.controller.register_and_arm(world.contract, KEY)

    def test_a_second_challenger_is_refused_naming_the_active_toggle(self, world: World) -> None:
        first = world.arm(KEY)
        world.candidate("2013-08-01")
        with pytest.raises(Refused, match=f"toggle {first} is armed; a model has one active challenger"):
            world.controller.register_and_arm(world.contract, "2013-08-01")
        world.controller.rollback(first, SYSTEM, "guardrail")
        assert world.controller.register_and_arm(world.contract, "2013-08-01").active

    def test_without_a_champion_nothing_is_armed(self, world: World) -> None:
        world.candidate(KEY)
        with pytest.raises(Refused, match="bootstrap"):
            world.controller.register_and_arm(world.contract, KEY)

    def test_a_retrain_is_armed_once(self, world: World) -> None:
        name = world.arm(KEY)
        world.controller.rollback(name, SYSTEM, "guardrail")
        with pytest.raises(Refused, match="rolled_back already"):
            world.controller.register_and_arm(world.contract, KEY)

    def test_a_registered_bundle_that_is_not_the_recorded_one_is_refused(self, world: World) -> None:
        world.bootstrap()
        found = world.candidate(KEY)
        path = world.registry.versions[MODEL, found.version] / "manifest.json"
        path.write_text(path.read_text().replace('"seed": 7', '"seed": 8'))
        with pytest.raises(CustodyError, match="recorded is"):
            world.controller.register_and_arm(world.contract, KEY)
        assert world.state.active_toggle is None

    def test_a_bundle_of_other_data_than_recorded_is_refused(self, world: World) -> None:
        world.bootstrap()
        world.launch(KEY)
        made = manifest(KEY)
        subjects = {"dataset": digest_of("better rows"), "features": made.feature_pipeline, "bundle": made.digest}
        world.controller.register_candidate(MODEL, KEY, world.registry.register(MODEL, made), subjects)
        for gate in (Gate.DATA, Gate.TRAINING, Gate.OFFLINE):
            world.judge(KEY, gate)
        with pytest.raises(CustodyError, match="names another dataset"):
            world.controller.register_and_arm(world.contract, KEY)

    def test_the_contract_is_frozen_into_the_toggle(self, world: World) -> None:
        name = world.arm(KEY)
        toggle = world.state.toggles[name]
        assert toggle.terms == world.contract
        assert toggle.expires_at == world.clock.now() + timedelta(days=30)
        assert toggle.remove_by == world.clock.now() + timedelta(days=60)
        assert toggle.previous_champion == world.state.champion

    def test_every_toggle_has_a_salt_of_its_own(self, world: World) -> None:
        world.controller.rollback(world.arm(KEY), SYSTEM, "guardrail")
        world.arm("2013-08-01")
        assert len({toggle.salt for toggle in world.state.toggles.values()}) == 2

    def test_the_candidate_under_test_cannot_be_exchanged(self, world: World) -> None:
        world.arm(KEY)
        with pytest.raises(Refused, match="candidate cannot change: its toggle is armed"):
            world.controller.register_candidate(MODEL, KEY, "9", dict.fromkeys(("dataset", "features", "bundle"), digest_of("x")))


class TestBootstrap:
    def test_the_record_says_there_was_nothing_to_compare_with(self, world: World) -> None:
        champion = world.bootstrap("2013-04-01")
        assert world.state.champion == champion
        (event,) = world.ledger.events(kinds=[EventKind.CHAMPION_BOOTSTRAPPED])
        assert event.payload["compared_with"] is None
        assert "no champion to compare with" in event.payload["note"]
        assert (event.actor, event.reason) == (RUTH, "first model")
        assert world.state.retrains["2013-04-01"].ended is Ending.BOOTSTRAPPED
        assert world.controller.decide(MODEL, "2013-04-01").decision == "promote"

    def test_it_is_for_the_first_champion_only(self, world: World) -> None:
        world.bootstrap()
        world.candidate(KEY)
        with pytest.raises(Refused, match="has a champion, version 1"):
            world.controller.bootstrap(world.contract, KEY, RUTH, "again")

    @pytest.mark.parametrize("actor", [SYSTEM, EVE, Actor("system", RUTH.name)], ids=str)
    def test_it_takes_an_approver(self, world: World, actor: Actor) -> None:
        world.candidate(KEY)
        with pytest.raises(Refused, match="not an approver"):
            world.controller.bootstrap(world.contract, KEY, actor, "first model")

    def test_it_takes_the_gates_before_traffic(self, world: World) -> None:
        world.candidate(KEY)
        world.judge(KEY, Gate.OFFLINE, Outcome.FAIL)
        with pytest.raises(Refused, match="gate offline did not pass"):
            world.controller.bootstrap(world.contract, KEY, RUTH, "first model")
        assert world.state.champion is None


class TestTheSystem:
    @pytest.mark.parametrize("stages", range(4))
    def test_it_may_always_hold_and_roll_back(self, world: World, stages: int) -> None:
        name = world.arm(KEY)
        for _ in range(stages):
            world.controller.step(name, SYSTEM, "on")
        world.controller.hold(name, SYSTEM, "sample ratio")
        assert world.controller.rollback(name, SYSTEM, "guardrail").state is ToggleStatus.ROLLED_BACK

    def test_an_expired_toggle_is_not_brought_back_by_an_extension(self, world: World) -> None:
        """Its traffic is the champion's since the moment it expired, also when nobody has rolled it back yet."""
        name = world.arm(KEY)
        world.clock.forward(days=30)
        with pytest.raises(Refused, match="the toggle expired on 2013-07-31 00:00 UTC; possible now: roll back"):
            world.controller.extend(name, timedelta(days=7), RUTH, "more time")

    def test_it_does_not_resume_extend_transfer_or_retire_a_champions_toggle(self, world: World) -> None:
        name = world.promoted(KEY)
        with pytest.raises(Refused, match="for a person"):
            world.controller.retire(name, SYSTEM, "over")
        other = world.arm("2013-08-01")
        with pytest.raises(Refused, match="for a person"):
            world.controller.extend(other, timedelta(days=1), SYSTEM, "longer")
        with pytest.raises(Refused, match="for a person"):
            world.controller.offer_transfer(other, "team:x", SYSTEM, "longer")
        world.controller.hold(other, SYSTEM, "wait")
        with pytest.raises(Refused, match="for a person"):
            world.controller.resume(other, SYSTEM, "go on")

    def test_it_never_approves_nor_rejects_for_a_person(self, world: World) -> None:
        world.awaiting(KEY)
        for act in (world.controller.approve, world.controller.reject):
            with pytest.raises(Refused, match="not an approver"):
                act(MODEL, KEY, SYSTEM, "looks fine")

    def test_it_never_promotes_without_an_approval(self, world: World) -> None:
        world.awaiting(KEY)
        head = world.ledger.head()
        decision = world.controller.decide(MODEL, KEY, SYSTEM)
        assert decision.decision == "wait"
        assert "approv" in decision.reason
        assert world.ledger.head() == head
        assert world.state.champion.version == "1"


class TestApproval:
    def test_it_binds_version_bundle_evidence_reason_and_account(self, world: World) -> None:
        name = world.awaiting(KEY)
        given = world.controller.approve(MODEL, KEY, RUTH, "clear win")
        toggle = world.state.toggles[name]
        assert (given.approver, given.reason, given.typed_by) == (RUTH.name, "clear win", getpass.getuser())
        assert (given.version, given.bundle) == (toggle.challenger.version, toggle.challenger.bundle)
        assert given.evidence == toggle.last_look.evidence
        assert given.valid_until == world.clock.now() + timedelta(days=3)
        (event,) = world.ledger.events(kinds=[EventKind.APPROVED])
        assert event.payload["typed_by"] == getpass.getuser()

    def test_only_an_approver_of_the_contract_may(self, world: World) -> None:
        world.awaiting(KEY)
        with pytest.raises(Refused, match=f"{EVE} is not an approver.*{RUTH.name} or {PAUL.name}"):
            world.controller.approve(MODEL, KEY, EVE, "please")

    def test_a_version_that_failed_a_gate_is_refused_naming_it(self, world: World) -> None:
        world.bootstrap()
        world.candidate(KEY)
        world.judge(KEY, Gate.OFFLINE, Outcome.FAIL)
        with pytest.raises(Refused, match="gate offline did not pass"):
            world.controller.approve(MODEL, KEY, RUTH, "I like it")
        world.controller.decide(MODEL, KEY)
        with pytest.raises(Refused, match=r"decided already .*gate offline did not pass"):
            world.controller.approve(MODEL, KEY, RUTH, "I like it")

    def test_a_version_that_was_never_armed_is_refused(self, world: World) -> None:
        world.bootstrap()
        world.candidate(KEY)
        with pytest.raises(Refused, match="never armed"):
            world.controller.approve(MODEL, KEY, RUTH, "I like it")

    def test_before_the_end_of_the_ramp_there_is_nothing_to_approve(self, world: World) -> None:
        world.ramp(KEY)
        with pytest.raises(Refused, match="approve is not possible while the toggle is ramping"):
            world.controller.approve(MODEL, KEY, RUTH, "I like it")

    def test_evidence_other_than_the_last_look_is_refused(self, world: World) -> None:
        world.awaiting(KEY)
        read = world.toggle(KEY).last_look.evidence
        world.look(KEY, "ask_approval", "still better")
        with pytest.raises(StaleRevision, match="another look since"):
            world.controller.approve(MODEL, KEY, RUTH, "clear win", evidence=read)

    def test_a_last_look_that_does_not_ask_for_it_is_refused(self, world: World) -> None:
        world.awaiting(KEY)
        world.look(KEY, "hold", "not better any more")
        with pytest.raises(Refused, match="not better any more"):
            world.controller.approve(MODEL, KEY, RUTH, "clear win")

    def test_the_same_approval_twice_is_refused(self, world: World) -> None:
        world.awaiting(KEY)
        world.controller.approve(MODEL, KEY, RUTH, "clear win")
        with pytest.raises(Refused, match="already"):
            world.controller.approve(MODEL, KEY, RUTH, "clear win")

    def test_another_look_voids_it(self, world: World) -> None:
        world.awaiting(KEY)
        world.controller.approve(MODEL, KEY, RUTH, "clear win")
        world.look(KEY, "ask_approval", "still better")
        decision = world.controller.decide(MODEL, KEY)
        assert decision.decision == "wait"
        assert "given on other evidence" in decision.reason
        world.controller.approve(MODEL, KEY, RUTH, "still a win")
        assert world.controller.decide(MODEL, KEY).decision == "promote"

    def test_a_canary_gate_not_judged_on_the_last_look_closes_the_way(self, world: World) -> None:
        world.awaiting(KEY)
        look = asking(world)
        world.controller.follow(MODEL, KEY, look, digest_of(look))
        with pytest.raises(Refused, match="gate canary is stale"):
            world.controller.approve(MODEL, KEY, RUTH, "clear win")

    def test_a_look_that_was_overtaken_by_another_does_not_ask_for_it(self, world: World) -> None:
        """Two looks at once, the slower one made on less."""
        world.ramp(KEY)
        look = asking(world)
        world.look(KEY, "hold", "no longer shown")
        with pytest.raises(StaleRevision, match="another one was recorded"):
            world.controller.follow(MODEL, KEY, look, digest_of(look))
        assert world.toggle(KEY).state.value == "ramping"

    def test_it_lapses(self, world: World) -> None:
        world.awaiting(KEY)
        world.controller.approve(MODEL, KEY, RUTH, "clear win")
        world.clock.forward(days=3, seconds=1)
        assert world.controller.decide(MODEL, KEY).decision == "wait"

    def test_it_can_be_withdrawn(self, world: World) -> None:
        world.awaiting(KEY)
        world.controller.approve(MODEL, KEY, RUTH, "clear win")
        world.controller.withdraw(MODEL, KEY, RUTH, "a complaint came in")
        assert world.controller.decide(MODEL, KEY).decision == "wait"
        with pytest.raises(Refused, match="has not approved"):
            world.controller.withdraw(MODEL, KEY, PAUL, "me too")

    def test_two_required_approvals_come_from_two_people(self, tmp_path: Path) -> None:
        world = World(tmp_path / "other", contract=contract(approval={"required": 2}))
        world.awaiting(KEY)
        world.controller.approve(MODEL, KEY, RUTH, "clear win")
        assert world.controller.decide(MODEL, KEY).decision == "wait"
        world.controller.approve(MODEL, KEY, PAUL, "agreed")
        decision = world.controller.decide(MODEL, KEY)
        assert decision.decision == "promote"
        assert [item.approver for item in decision.approvals] == [RUTH.name, PAUL.name]

    def test_whoever_launched_the_retrain_is_not_its_only_approver(self, world: World) -> None:
        world.awaiting(KEY, RUTH)
        world.controller.approve(MODEL, KEY, RUTH, "my own work")
        decision = world.controller.decide(MODEL, KEY)
        assert decision.decision == "wait"
        assert "only approver" in decision.reason
        world.controller.approve(MODEL, KEY, PAUL, "checked")
        assert world.controller.decide(MODEL, KEY).decision == "promote"
