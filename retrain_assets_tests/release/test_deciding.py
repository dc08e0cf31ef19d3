"""Decisions: made once, on recorded verdicts of this very bundle, and everything a look or an expiry brings about."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from retrain_assets.contract import CustodyError, Gate, Outcome, Refused, RetrainError, StaleRevision, digest_of
from retrain_assets.ledger import SYSTEM, EventKind
from retrain_assets.release import Ending, ToggleStatus

from .world import EVE, MODEL, PAUL, RUTH, World, contract

KEY = "2013-07-01"


def test_an_approved_challenger_becomes_champion_and_nothing_changes_the_second_time(world: World) -> None:
    name = world.awaiting(KEY)
    world.controller.approve(MODEL, KEY, RUTH, "clear win")
    decision = world.controller.decide(MODEL, KEY)
    assert decision.decision == "promote"
    assert all(verdict.passed for verdict in decision.verdicts)
    assert [item.approver for item in decision.approvals] == [RUTH.name]
    state = world.state
    assert state.champion == state.toggles[name].challenger
    assert state.toggles[name].state is ToggleStatus.PROMOTED
    assert state.retrains[KEY].ended is Ending.PROMOTED
    assert [reign.how for reign in state.champion_history] == ["bootstrapped", "promoted"]
    head, calls = world.ledger.head(), len(world.registry.calls)
    assert world.another_controller().decide(MODEL, KEY) == decision
    assert world.ledger.head() == head
    assert len(world.registry.calls) == calls


def test_the_promotion_event_names_its_approvals_and_evidence(world: World) -> None:
    world.promoted(KEY)
    (event,) = world.ledger.events(kinds=[EventKind.PROMOTED])
    (approved,) = world.ledger.events(kinds=[EventKind.APPROVED])
    assert event.payload["approvals"] == [approved.sequence]
    assert event.payload["evidence"] == approved.payload["evidence"]


@pytest.mark.parametrize("gate", [Gate.DATA, Gate.TRAINING, Gate.OFFLINE])
def test_deciding_alone_about_a_retrain_whose_gate_failed_rejects_it(world: World, gate: Gate) -> None:
    champion = world.bootstrap()
    world.candidate(KEY)
    world.judge(KEY, gate, Outcome.FAIL)
    decision = world.controller.decide(MODEL, KEY)
    assert decision.decision == "reject"
    assert f"gate {gate} did not pass" in decision.reason
    assert world.state.champion == champion
    assert world.state.retrains[KEY].ended is Ending.STOPPED
    assert world.registry.status("2") == "stopped"
    head = world.ledger.head()
    assert world.controller.decide(MODEL, KEY) == decision
    assert world.ledger.head() == head


def test_verdicts_that_became_stale_after_the_approval_do_not_promote(world: World) -> None:
    world.awaiting(KEY)
    world.controller.approve(MODEL, KEY, RUTH, "clear win")
    world.judge(KEY, Gate.OFFLINE, bundle=digest_of("another bundle"))
    decision = world.controller.decide(MODEL, KEY)
    assert decision.decision == "wait"
    assert "something else than this bundle" in decision.reason
    assert world.state.champion.version == "1"


def test_a_canary_gate_closed_after_the_approval_does_not_promote(world: World) -> None:
    world.awaiting(KEY)
    world.controller.approve(MODEL, KEY, RUTH, "clear win")
    world.judge(KEY, Gate.CANARY, Outcome.FAIL, report=world.toggle(KEY).last_look.evidence)
    assert world.controller.decide(MODEL, KEY).decision == "wait"


def test_a_canary_gate_judged_on_an_earlier_look_is_named_by_the_promotion_gate(world: World) -> None:
    world.awaiting(KEY)
    look = {
        "at": world.clock.now().isoformat(),
        "action": "ask_approval",
        "reason": "better",
        "stage": "50",
        "revision": world.toggle(KEY).stage_revision,
    }
    world.controller.follow(MODEL, KEY, look, digest_of(look))
    found = {verdict.check: verdict for verdict in world.controller.decide(MODEL, KEY).verdicts}
    assert found["verdicts_match_bundle"].outcome is Outcome.FAIL
    assert "canary (look)" in found["verdicts_match_bundle"].message


def test_a_bundle_exchanged_in_the_registry_after_the_approval_is_refused(world: World) -> None:
    name = world.awaiting(KEY)
    world.controller.approve(MODEL, KEY, RUTH, "clear win")
    path = world.registry.versions[MODEL, world.state.toggles[name].challenger.version] / "manifest.json"
    path.write_text(path.read_text().replace('"seed": 7', '"seed": 8'))
    with pytest.raises(CustodyError):
        world.controller.decide(MODEL, KEY)
    assert world.state.champion.version == "1"


def test_nothing_is_promoted_in_a_change_freeze(tmp_path: Path) -> None:
    freeze = {"start": "2013-07-02", "end": "2013-07-03", "reason": "holidays"}
    world = World(tmp_path / "frozen", contract=contract(cadence={"freeze": [freeze]}))
    world.awaiting(KEY)
    world.clock.forward(days=1)
    world.controller.approve(MODEL, KEY, RUTH, "clear win")
    decision = world.controller.decide(MODEL, KEY)
    assert decision.decision == "wait"
    assert "holidays" in decision.reason
    world.clock.forward(days=2)
    assert world.controller.decide(MODEL, KEY).decision == "promote"


def test_an_expired_toggle_is_not_promoted(tmp_path: Path) -> None:
    world = World(tmp_path / "other", contract=contract(approval={"valid_for": "90d"}))
    name = world.awaiting(KEY)
    world.controller.approve(MODEL, KEY, RUTH, "clear win")
    world.clock.forward(days=31)
    assert world.controller.decide(MODEL, KEY).decision == "wait"
    (gone,) = world.controller.expire_due()
    assert (gone.name, gone.state, gone.ended_because) == (name, ToggleStatus.ROLLED_BACK, "expired")
    assert world.controller.decide(MODEL, KEY).decision == "reject"
    assert world.controller.expire_due() == []


def test_expiry_rolls_back_a_held_toggle_too_and_nothing_moves_on_after_it(world: World) -> None:
    name = world.ramp(KEY)
    world.controller.hold(name, SYSTEM, "sample ratio")
    world.clock.forward(days=30)
    with pytest.raises(Refused, match="expired on"):
        world.controller.resume(name, RUTH, "go on")
    world.controller.expire_due()
    (event,) = world.ledger.events(kinds=[EventKind.ROLLED_BACK])
    assert (event.actor, event.reason) == (SYSTEM, "expired")


def test_a_look_at_an_expired_toggle_rolls_it_back_whatever_it_asks_for(world: World) -> None:
    name = world.arm(KEY)
    world.controller.step(name, SYSTEM, "enter the ramp")
    world.clock.forward(days=30)
    assert world.look(KEY, "step").ended_because == "expired"


def test_the_same_look_again_changes_nothing(world: World) -> None:
    name = world.arm(KEY)
    world.controller.step(name, SYSTEM, "enter the ramp")
    look = {"action": "step", "reason": "enough units", "stage": "shadow", "revision": world.toggle(KEY).stage_revision}
    assert world.controller.follow(MODEL, KEY, look, digest_of(look)).stage == "5"
    head = world.ledger.head()
    assert world.controller.follow(MODEL, KEY, look, digest_of(look)).stage == "5"
    assert world.ledger.head() == head


def test_a_look_at_an_earlier_split_is_stale(world: World) -> None:
    world.ramp(KEY)
    with pytest.raises(StaleRevision, match="look again"):
        world.look(KEY, "step", revision=3, stage="shadow")


def test_a_look_whose_digest_is_another_is_refused(world: World) -> None:
    world.ramp(KEY)
    with pytest.raises(CustodyError, match="do not belong together"):
        world.controller.follow(MODEL, KEY, {"action": "hold"}, digest_of("other"))


def test_a_look_that_holds_is_recorded_and_moves_nothing(world: World) -> None:
    world.ramp(KEY)
    before = world.toggle(KEY)
    after = world.look(KEY, "hold", "too few units")
    assert (after.state, after.revision, after.last_look.reason) == (before.state, before.revision, "too few units")


@pytest.mark.parametrize("action", ["step", "ask_approval"])
def test_a_held_toggle_is_looked_at_but_does_not_move_on(world: World, action: str) -> None:
    name = world.ramp(KEY) if action == "ask_approval" else world.arm(KEY)
    if action == "step":
        world.controller.step(name, SYSTEM, "enter the ramp")
    world.controller.hold(name, RUTH, "a complaint came in")
    assert world.look(KEY, action).state is ToggleStatus.HELD
    assert world.look(KEY, "roll_back").state is ToggleStatus.ROLLED_BACK


def test_harm_shown_by_a_look_rolls_back_and_the_decision_says_so(world: World) -> None:
    world.ramp(KEY)
    assert world.look(KEY, "roll_back", "error_rate is worse").state is ToggleStatus.ROLLED_BACK
    decision = world.controller.decide(MODEL, KEY)
    assert (decision.decision, "error_rate is worse" in decision.reason) == ("reject", True)
    assert world.state.retrains[KEY].ended is Ending.ROLLED_BACK
    assert world.toggle(KEY).state is ToggleStatus.REJECTED


def test_an_experiment_that_stays_inconclusive_is_rejected(world: World) -> None:
    world.ramp(KEY)
    assert world.look(KEY, "reject", "inconclusive after 28 days").state is ToggleStatus.REJECTED
    assert world.controller.decide(MODEL, KEY).decision == "reject"
    assert world.state.retrains[KEY].ended is Ending.REJECTED


def test_a_person_may_reject_at_any_time_and_traffic_goes_back(world: World) -> None:
    world.ramp(KEY)
    with pytest.raises(Refused, match="not an approver"):
        world.controller.reject(MODEL, KEY, EVE, "no")
    ended = world.controller.reject(MODEL, KEY, PAUL, "passengers complain")
    assert ended.ended is Ending.REJECTED
    assert world.toggle(KEY).state is ToggleStatus.REJECTED
    assert world.flags()["flags"][MODEL]["metadata"]["state"] == "rejected"
    assert world.controller.decide(MODEL, KEY).decision == "reject"
    with pytest.raises(Refused, match="already"):
        world.controller.reject(MODEL, KEY, PAUL, "again")


def test_a_retrain_that_died_is_rejected_as_failed(world: World) -> None:
    world.launch(KEY)
    assert world.controller.decide(MODEL, KEY).decision == "wait"
    world.controller.record_stage_failure(MODEL, KEY, "training", "the trainer raised")
    decision = world.controller.decide(MODEL, KEY)
    assert (decision.decision, decision.reason) == ("reject", "failed in training: the trainer raised")
    assert world.state.retrains[KEY].ended is Ending.FAILED


def test_a_failure_that_was_mended_is_forgotten(world: World) -> None:
    world.bootstrap()
    world.candidate(KEY)
    world.controller.record_stage_failure(MODEL, KEY, "evaluation", "no memory")
    world.judge(KEY, Gate.OFFLINE, rerun=digest_of("again"))
    assert world.controller.decide(MODEL, KEY).decision == "wait"


def test_rolling_back_an_active_challenger_leaves_the_champion(world: World) -> None:
    name = world.ramp(KEY)
    champion = world.state.champion
    gone = world.controller.rollback(name, PAUL, "complaints")
    assert (gone.state, gone.share, gone.ended_because) == (ToggleStatus.ROLLED_BACK, 0.0, "complaints")
    assert world.state.champion == champion
    assert world.registry.aliases == {(MODEL, "champion"): "1"}


def test_rolling_back_a_promoted_toggle_restores_the_previous_champion(world: World) -> None:
    name = world.promoted(KEY)
    assert world.registry.aliases == {(MODEL, "champion"): "2"}
    world.controller.rollback(name, PAUL, "a partner complains")
    assert world.state.champion.version == "1"
    assert world.registry.aliases == {(MODEL, "champion"): "1"}
    assert world.flags()["flags"][MODEL]["metadata"]["champion_version"] == "1"
    assert (world.registry.status("1"), world.registry.status("2")) == ("champion", "rolled_back")
    assert [reign.how for reign in world.state.champion_history] == ["bootstrapped", "promoted", "restored"]
    world.controller.reject(MODEL, KEY, RUTH, "it stays away")
    assert world.controller.retire(name, RUTH, "over").state is ToggleStatus.RETIRED
    assert world.controller.decide(MODEL, KEY).decision == "promote"


def test_a_previous_champion_that_is_gone_cannot_be_restored(world: World) -> None:
    name = world.promoted(KEY)
    del world.registry.versions[MODEL, "1"]
    with pytest.raises(RetrainError, match="no version 1"):
        world.controller.rollback(name, PAUL, "a partner complains")
    assert world.state.champion.version == "2"


def test_an_older_promotion_is_not_rolled_back_under_a_newer_champion(world: World) -> None:
    first = world.promoted(KEY)
    world.promoted("2013-08-01")
    with pytest.raises(Refused, match="not champion any more; version 3 is"):
        world.controller.rollback(first, PAUL, "a partner complains")


def test_rolling_back_the_champion_takes_the_challenger_compared_with_it_along(world: World) -> None:
    first = world.promoted(KEY)
    second = world.ramp("2013-08-01")
    world.controller.rollback(first, PAUL, "a partner complains")
    state = world.state
    assert state.champion.version == "1"
    assert state.toggles[second].state is ToggleStatus.ROLLED_BACK
    assert "champion it is compared with" in state.toggles[second].ended_because


def test_the_same_evidence_pack_is_recorded_once(world: World) -> None:
    world.launch(KEY)
    for digest in (digest_of(1), digest_of(1), digest_of(2)):
        world.controller.record_audit(MODEL, KEY, digest)
    assert world.state.retrains[KEY].audits == (digest_of(1), digest_of(2))


def test_the_same_gate_record_is_kept_once(world: World) -> None:
    world.launch(KEY)
    world.judge(KEY, Gate.DATA)
    head = world.ledger.head()
    world.judge(KEY, Gate.DATA)
    assert world.ledger.head() == head
    world.judge(KEY, Gate.DATA, Outcome.FAIL)
    assert world.state.retrains[KEY].verdicts[Gate.DATA].outcome is Outcome.FAIL


def test_tables_of_a_verdict_are_in_the_evidence_and_not_in_the_ledger(world: World) -> None:
    world.launch(KEY)
    world.judge(KEY, Gate.DATA)
    record = world.state.retrains[KEY].verdicts[Gate.DATA]
    assert world.evidence.get(record.evidence)["verdicts"][0]["evidence"] == {"rows": [{"a": 1}]}
    (event,) = world.ledger.events(kinds=[EventKind.GATE_EVALUATED])
    assert "evidence" not in event.payload["verdicts"][0]


def test_a_retrain_that_was_never_launched_is_refused(world: World) -> None:
    for act in (
        lambda: world.controller.decide(MODEL, KEY),
        lambda: world.controller.record_stage_failure(MODEL, KEY, "dataset", "empty"),
        lambda: world.controller.approve(MODEL, KEY, RUTH, "fine"),
        lambda: world.controller.register_and_arm(world.contract, KEY),
        lambda: world.controller.reject(MODEL, KEY, RUTH, "no"),
    ):
        with pytest.raises(Refused, match="never launched"):
            act()


def test_approvals_lapse_with_the_contracts_term(world: World) -> None:
    world.awaiting(KEY)
    given = world.controller.approve(MODEL, KEY, RUTH, "clear win")
    world.clock.at = given.valid_until - timedelta(seconds=1)
    assert world.controller.decide(MODEL, KEY).decision == "promote"
