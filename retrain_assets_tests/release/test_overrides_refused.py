"""What can never be overridden, of a canary and before it; and how far an override of a canary or of data reaches."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from retrain_assets.contract import CustodyError, Gate, Outcome, Refused, digest_of
from retrain_assets.ledger import SYSTEM, EventKind
from retrain_assets.release import ToggleStatus
from retrain_assets.release.continuing import assets_to_make, next_of
from retrain_assets.release.overriding import NO_HARM

from .overridden import KEY, WHY, both, in_force, judge, override, signings, stopped
from .world import MODEL, PAUL, RUTH, World, contract, manifest, verdict


class TestWhatIsNeverOverridden:
    def test_an_error(self, world: World) -> None:
        world.bootstrap()
        world.candidate(KEY)
        judge(world, Gate.OFFLINE, "slices_hold", Outcome.ERROR)
        with pytest.raises(Refused, match="an error is no verdict and cannot be overridden"):
            override(world, RUTH)

    def test_the_gate_promotion(self, world: World) -> None:
        world.awaiting(KEY)
        with pytest.raises(Refused, match="gate promotion cannot be overridden: it is the approval itself"):
            override(world, RUTH, "promotion.approved_by_enough")

    @pytest.mark.parametrize(
        ("check", "refused"),
        [
            ("offline.holds", "it passed"),
            (
                "offline.beats_everybody",
                "no verdict of offline.beats_everybody is recorded; checks that did not pass: offline.slices_hold",
            ),
            ("slices_hold", "names no check; write GATE.CHECK"),
        ],
    )
    def test_what_passed_or_was_never_judged(self, world: World, check: str, refused: str) -> None:
        with pytest.raises(Refused, match=refused):
            override(stopped(world), RUTH, check)

    def test_a_verdict_about_something_else(self, world: World) -> None:
        world.bootstrap()
        world.candidate(KEY)
        judge(world, Gate.OFFLINE, "slices_hold", bundle=digest_of("another"))
        with pytest.raises(Refused, match="gate offline is stale: slices_hold judged bundle"):
            override(world, RUTH)

    def test_a_retrain_that_a_person_rejected(self, world: World) -> None:
        world.bootstrap()
        world.candidate(KEY)
        judge(world, Gate.OFFLINE, "slices_hold")
        world.controller.reject(MODEL, KEY, RUTH, "not wanted")
        with pytest.raises(Refused, match="it ended \\(rejected"):
            override(world, RUTH)

    def test_a_retrain_that_failed(self, world: World) -> None:
        world.bootstrap()
        world.launch(KEY)
        judge(world, Gate.DATA, "fresh_enough", dataset=digest_of("rows"), features=digest_of("features"))
        both(world, "data.fresh_enough")
        world.controller.record_stage_failure(MODEL, KEY, "training", "out of memory")
        assert world.controller.decide(MODEL, KEY).decision == "reject"
        with pytest.raises(Refused, match="it ended \\(failed"):
            world.controller.override(MODEL, KEY, "data.fresh_enough", RUTH, WHY)

    def test_evidence_that_is_not_what_was_recorded(self, world: World) -> None:
        stopped(world)
        path = world.evidence.path(world.state.retrains[KEY].verdicts[Gate.OFFLINE].checks["slices_hold"].evidence)
        path.write_bytes(path.read_bytes().replace(b"fail", b"pass"))
        with pytest.raises(CustodyError):
            override(world, RUTH)
        assert signings(world) == []

    def test_a_bundle_that_is_not_what_was_recorded(self, world: World) -> None:
        both(stopped(world))
        (world.registry.versions[MODEL, "2"] / "manifest.json").write_text("{}")
        with pytest.raises(CustodyError):
            world.controller.register_and_arm(world.contract, KEY)

    def test_evidence_that_was_changed_after_it_was_overridden(self, world: World) -> None:
        both(stopped(world))
        world.evidence.path(world.state.retrains[KEY].verdicts[Gate.OFFLINE].checks["slices_hold"].evidence).write_text("{}")
        with pytest.raises(CustodyError):
            world.controller.register_and_arm(world.contract, KEY)
        assert world.state.active_toggle is None


class TestOfACanary:
    CANARY = "canary.wins_cost"

    def holds(self, world: World, outcome: Outcome = Outcome.INCONCLUSIVE, check: str = "wins_cost", **changes: Any) -> World:
        """A challenger in its last stage whose last look holds because of one check."""
        world.ramp(KEY)
        return self.looked(world, outcome, check, **changes)

    def looked(self, world: World, outcome: Outcome, check: str, **changes: Any) -> World:
        toggle = world.toggle(KEY)
        world.clock.forward(hours=1)
        look = {
            "at": world.clock.now().isoformat(),
            "action": "hold",
            "reason": "not shown yet",
            "stage": toggle.stage,
            "revision": toggle.stage_revision,
            **changes,
        }
        digest = world.evidence.put(look)
        verdicts = [verdict(Gate.CANARY, check, outcome), verdict(Gate.CANARY, "wins"), verdict(Gate.CANARY, "keeps_error_rate")]
        subjects = {"bundle": toggle.challenger.bundle, "report": digest}
        world.controller.record_gate(MODEL, KEY, Gate.CANARY, verdicts, subjects)
        world.controller.follow(MODEL, KEY, look, digest)
        return world

    def test_two_approvers_have_approval_asked_for_and_it_can_be_given(self, world: World) -> None:
        self.holds(world)
        override(world, RUTH, self.CANARY)
        assert world.toggle(KEY).state is ToggleStatus.RAMPING
        override(world, PAUL, self.CANARY)
        assert world.toggle(KEY).state is ToggleStatus.AWAITING_APPROVAL
        asked = next(event for event in world.ledger.events() if event.kind is EventKind.APPROVAL_REQUESTED)
        assert asked.payload["overridden"][0]["check"] == self.CANARY
        world.controller.approve(MODEL, KEY, RUTH, "cheap enough to try")
        decision = world.controller.decide(MODEL, KEY)
        assert decision.decision == "promote"
        assert f"overridden: {self.CANARY} by {RUTH.name} and {PAUL.name}: {WHY}" in decision.verdicts[0].message

    def test_another_check_that_does_not_pass_keeps_approval_from_being_asked_for(self, world: World) -> None:
        self.holds(world)
        subjects = {"bundle": world.toggle(KEY).challenger.bundle, "report": world.toggle(KEY).last_look.evidence}
        other = verdict(Gate.CANARY, "enough_units", Outcome.INCONCLUSIVE)
        world.controller.record_gate(MODEL, KEY, Gate.CANARY, [other], subjects)
        both(world, self.CANARY)
        assert world.toggle(KEY).state is ToggleStatus.RAMPING
        both(world, "canary.enough_units")
        assert world.toggle(KEY).state is ToggleStatus.AWAITING_APPROVAL

    def test_the_next_look_voids_it_and_what_was_approved_on_it(self, world: World) -> None:
        both(self.holds(world), self.CANARY)
        world.controller.approve(MODEL, KEY, RUTH, "cheap enough to try")
        self.looked(world, Outcome.INCONCLUSIVE, "wins_cost", reason="still not shown")
        assert in_force(world) == []
        assert world.controller.decide(MODEL, KEY).decision == "wait"
        with pytest.raises(Refused, match=r"does not ask for approval|did not pass"):
            world.controller.approve(MODEL, KEY, PAUL, "cheap enough to try")

    def test_withdrawn_it_cannot_be_approved(self, world: World) -> None:
        both(self.holds(world), self.CANARY)
        world.controller.withdraw_override(MODEL, KEY, self.CANARY, RUTH, "I was wrong")
        with pytest.raises(Refused, match=r"does not ask for approval|did not pass"):
            world.controller.approve(MODEL, KEY, RUTH, "cheap enough to try")

    def test_harm_that_a_measure_shows_is_not_overridden(self, world: World) -> None:
        self.holds(world, Outcome.FAIL)
        with pytest.raises(Refused, match="harm that was shown cannot be overridden"):
            override(world, RUTH, self.CANARY)

    def test_harm_that_a_look_shows_elsewhere_is_not_overridden(self, world: World) -> None:
        self.holds(world, harm_looks=1, reason="harm is shown at 1 of 2 looks")
        with pytest.raises(Refused, match=r"harm that was shown cannot be overridden \(harm is shown at 1 of 2 looks\)"):
            override(world, RUTH, self.CANARY)

    @pytest.mark.parametrize("check", sorted(NO_HARM))
    def test_a_failure_that_shows_no_harm_is(self, world: World, check: str) -> None:
        both(self.holds(world, Outcome.FAIL, check), f"canary.{check}")
        assert world.toggle(KEY).state is ToggleStatus.AWAITING_APPROVAL

    def test_an_expired_toggle_is_not(self, world: World) -> None:
        self.holds(world)
        world.clock.forward(days=31)
        with pytest.raises(Refused, match=r"the toggle expired on .*, and expiry cannot be overridden"):
            override(world, RUTH, self.CANARY)

    def test_one_that_was_rolled_back_is_not(self, world: World) -> None:
        self.holds(world)
        world.controller.rollback(f"{MODEL}-{KEY}", SYSTEM, "guardrail")
        with pytest.raises(Refused, match="its toggle is rolled back; a canary is overridden while it runs"):
            override(world, RUTH, self.CANARY)

    def test_one_that_has_stages_before_it_is_not(self, world: World) -> None:
        name = world.arm(KEY)
        world.controller.step(name, SYSTEM, "enter the ramp")
        self.looked(world, Outcome.INCONCLUSIVE, "wins_cost")
        with pytest.raises(Refused, match="the ramp goes on to stage 5 first"):
            override(world, RUTH, self.CANARY)

    def test_one_that_is_held_is_resumed_first(self, world: World) -> None:
        self.holds(world)
        world.controller.hold(f"{MODEL}-{KEY}", RUTH, "wait")
        with pytest.raises(Refused, match="its toggle is held; resume it first"):
            override(world, RUTH, self.CANARY)

    def test_a_gate_before_traffic_is_not_overridden_any_more(self, world: World) -> None:
        self.holds(world)
        judge(world, Gate.OFFLINE, "slices_hold")
        with pytest.raises(Refused, match="gate offline is judged before traffic"):
            override(world, RUTH)

    def test_every_check_of_the_canary_gate_that_judges_a_measure_is_known_as_one(self) -> None:
        """What is named as harmless is a check of the gate, and none that a measure's loss makes fail."""
        from retrain_assets.assets.gate_rules import canary_rules

        rules = contract(experiment={"full_weeks": 1})
        named = {name for name in canary_rules(rules) if not name.startswith(("wins_", "keeps_", "not_worse_", "a_success"))}
        assert named | {"worth_its_cost"} == NO_HARM


class TestOfDataBeforeTraining:
    SUBJECTS: ClassVar = {"dataset": digest_of("rows until 2013-07-01")}

    def test_it_names_what_was_judged_instead_of_a_bundle_and_says_what_is_still_to_be_made(self, world: World) -> None:
        world.bootstrap()
        world.launch(KEY)
        judge(world, Gate.DATA, "fresh_enough", **self.SUBJECTS)
        assert world.controller.decide(MODEL, KEY).decision == "reject"
        both(world, "data.fresh_enough")
        retrain = world.state.retrains[KEY]
        assert (retrain.ended, in_force(world)) == (None, ["data.fresh_enough"])
        payload = signings(world)[-1].payload
        assert (payload["bundle"], payload["dataset"]) == (None, self.SUBJECTS["dataset"])
        assert assets_to_make(retrain, world.clock.now()) == ("feature_snapshot", "candidate_model", "evaluation_report")
        assert "override_sensor has feature_snapshot" in next_of(world.state, retrain, world.clock.now())

    def test_the_candidate_trained_from_that_very_data_is_armed(self, world: World) -> None:
        world.bootstrap()
        world.launch(KEY)
        made = manifest(KEY)
        judge(world, Gate.DATA, "fresh_enough", dataset=made.dataset, features=made.feature_pipeline)
        both(world, "data.fresh_enough")
        subjects = {"dataset": made.dataset, "features": made.feature_pipeline, "bundle": made.digest}
        world.controller.register_candidate(MODEL, KEY, world.registry.register(MODEL, made), subjects)
        for gate in (Gate.TRAINING, Gate.OFFLINE):
            world.judge(KEY, gate)
        assert world.controller.register_and_arm(world.contract, KEY).active

    def test_one_trained_from_other_data_is_not(self, world: World) -> None:
        world.bootstrap()
        world.launch(KEY)
        made = manifest(KEY)
        judge(world, Gate.DATA, "fresh_enough", dataset=digest_of("other rows"), features=made.feature_pipeline)
        both(world, "data.fresh_enough")
        subjects = {"dataset": made.dataset, "features": made.feature_pipeline, "bundle": made.digest}
        world.controller.register_candidate(MODEL, KEY, world.registry.register(MODEL, made), subjects)
        for gate in (Gate.TRAINING, Gate.OFFLINE):
            world.judge(KEY, gate)
        with pytest.raises(Refused, match="gate data is stale"):
            world.controller.register_and_arm(world.contract, KEY)
