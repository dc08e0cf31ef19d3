"""Retiring by policy: what ended is gone at its removal date, and what was never armed does not wait for ever."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from retrain_assets.contract import Gate, Outcome, Refused
from retrain_assets.ledger import SYSTEM, EventKind
from retrain_assets.release import Ending, ToggleStatus
from retrain_assets.routing import rules_from_document

from .world import MODEL, PAUL, RUTH, START, World, contract

KEY = "2013-07-01"
NAME = f"{MODEL}-{KEY}"
REMOVAL = START + timedelta(days=60)


def at_removal(world: World) -> None:
    world.clock.at = REMOVAL


def test_a_rolled_back_toggle_is_rejected_and_retired_and_its_retrain_decided_in_one_transaction(world: World) -> None:
    world.arm(KEY)
    world.controller.rollback(NAME, SYSTEM, "guardrail")
    world.clock.at = REMOVAL - timedelta(seconds=1)
    assert world.controller.retire_abandoned() == []
    at_removal(world)
    head = world.ledger.head()[0]
    (gone,) = world.controller.retire_abandoned()
    assert (gone.name, gone.state) == (NAME, ToggleStatus.RETIRED)
    events = world.ledger.events(after=head)
    assert [event.kind for event in events] == [
        EventKind.REJECTED,
        EventKind.DECISION_RECORDED,
        EventKind.RETRAIN_ENDED,
        EventKind.TOGGLE_RETIRED,
    ]
    assert {event.actor for event in events} == {SYSTEM}
    assert len({event.recorded_at for event in events}) == 1
    assert events[-1].reason == "its removal date 2013-08-30 passed"
    assert world.state.retrains[KEY].ended is Ending.ROLLED_BACK
    assert world.registry.status("2") == "rejected"


def test_a_rejected_toggle_is_retired(world: World) -> None:
    world.arm(KEY)
    world.controller.reject(MODEL, KEY, RUTH, "not wanted")
    at_removal(world)
    (gone,) = world.controller.retire_abandoned()
    assert gone.state is ToggleStatus.RETIRED


def test_a_promoted_toggle_is_retired_and_its_way_back_is_gone(world: World) -> None:
    world.promoted(KEY)
    at_removal(world)
    (gone,) = world.controller.retire_abandoned()
    assert gone.state is ToggleStatus.RETIRED
    assert world.state.champion.version == "2"
    assert world.registry.aliases == {(MODEL, "champion"): "2"}
    with pytest.raises(Refused, match="roll back is not possible while the toggle is retired"):
        world.controller.rollback(NAME, PAUL, "complaints")


@pytest.mark.parametrize("brake", ["kill switch", "freeze"])
def test_the_way_back_is_kept_while_a_kill_switch_or_a_freeze_is_in_force(world: World, brake: str) -> None:
    world.promoted(KEY)
    at_removal(world)
    if brake == "freeze":
        world.controller.declare_freeze(REMOVAL.date(), REMOVAL.date(), RUTH, "holidays")
    else:
        world.controller.engage_kill_switch(MODEL, PAUL, "prices are wrong")
    assert world.controller.retire_abandoned() == []
    if brake == "freeze":
        world.clock.forward(days=1)
    else:
        world.controller.release_kill_switch(MODEL, RUTH, "over")
    assert [toggle.name for toggle in world.controller.retire_abandoned()] == [NAME]


def test_a_promotion_that_was_rolled_back_keeps_its_decision_and_is_rejected_and_retired(world: World) -> None:
    world.promoted(KEY)
    world.controller.rollback(NAME, PAUL, "complaints")
    at_removal(world)
    world.controller.retire_abandoned()
    assert world.toggle(KEY).state is ToggleStatus.RETIRED
    assert world.state.retrains[KEY].decision.decision == "promote"


def test_an_active_toggle_is_left_to_its_expiry(world: World) -> None:
    world.arm(KEY)
    at_removal(world)
    assert world.controller.retire_abandoned() == []
    world.controller.expire_due()
    assert [toggle.name for toggle in world.controller.retire_abandoned()] == [NAME]


def test_a_candidate_that_was_never_armed_ends_as_rejected_because_abandoned(world: World) -> None:
    world.bootstrap()
    world.candidate(KEY)
    world.clock.at = REMOVAL - timedelta(seconds=1)
    head = world.ledger.head()
    assert world.controller.retire_abandoned() == []
    assert world.ledger.head() == head
    at_removal(world)
    assert world.controller.retire_abandoned() == []
    retrain = world.state.retrains[KEY]
    assert retrain.ended is Ending.REJECTED
    assert retrain.decision.reason == "abandoned: its gates passed on 2013-07-01, and it was not armed within 60d"
    assert world.registry.status("2") == "rejected"
    with pytest.raises(Refused, match="it was decided already"):
        world.controller.register_and_arm(world.contract, KEY)


def test_a_candidate_judged_against_an_earlier_champion_is_abandoned_all_the_same(world: World) -> None:
    world.bootstrap()
    world.candidate("2013-06-01")
    world.promoted(KEY)
    at_removal(world)
    world.controller.retire_abandoned()
    assert world.state.retrains["2013-06-01"].ended is Ending.REJECTED


def test_the_terms_are_those_the_retrain_was_launched_under(tmp_path: Path) -> None:
    world = World(tmp_path / "patient", contract=contract(toggle={"remove_after": "90d"}))
    world.bootstrap()
    world.candidate(KEY)
    at_removal(world)
    world.controller.retire_abandoned()
    assert world.state.retrains[KEY].ended is None


def test_what_is_on_its_way_to_the_gates_or_failed_them_is_not_abandoned(world: World) -> None:
    world.bootstrap()
    world.launch(KEY)
    world.candidate("2013-07-01.2")
    world.judge("2013-07-01.2", Gate.OFFLINE, Outcome.FAIL)
    at_removal(world)
    world.controller.retire_abandoned()
    assert [world.state.retrains[key].ended for key in (KEY, "2013-07-01.2")] == [None, None]


def test_again_it_records_nothing(world: World) -> None:
    world.promoted(KEY)
    world.candidate("2013-07-02")
    at_removal(world)
    world.controller.retire_abandoned()
    head = world.ledger.head()
    assert world.another_controller().retire_abandoned() == []
    assert world.ledger.head() == head


def test_a_contract_whose_evidence_is_gone_keeps_nobody_else_waiting(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.promoted(KEY)
    world.candidate("2013-07-02")
    world.evidence.path(world.contract.digest).unlink()
    at_removal(world)
    assert [toggle.name for toggle in world.controller.retire_abandoned()] == [NAME]
    assert world.state.retrains["2013-07-02"].ended is None
    assert f"{MODEL} 2013-07-02 stays open" in caplog.text


def test_retiring_an_old_toggle_leaves_what_serving_reads_of_the_newest(world: World) -> None:
    world.arm(KEY)
    world.controller.rollback(NAME, SYSTEM, "guardrail")
    world.clock.forward(days=50)
    world.promoted("2013-08-20")
    at_removal(world)
    world.controller.retire_abandoned()
    rule = rules_from_document(world.flags())[MODEL]
    assert (rule.toggle, rule.state) == (f"{MODEL}-2013-08-20", "promoted")
