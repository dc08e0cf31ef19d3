"""From a candidate to a champion and back: the road when everything goes well."""

from __future__ import annotations

import json

from retrain_assets.contract import Gate, Outcome
from retrain_assets.ledger import EventKind
from retrain_assets.release import ToggleStatus
from retrain_assets_tests.scenarios.story import BETTER, FIRST, MODEL, RETRAIN, RUTH, Story


def test_a_better_challenger_goes_through_every_stage_and_becomes_champion_everywhere(road: Story) -> None:
    """Gates, arming, shadow, 50 per cent, approval, promotion; ledger, flag document, registry and audit record then agree."""
    first = road.state.champion

    assert road.retrain()
    assert {gate: record.outcome for gate, record in road.retrain_state().verdicts.items()} == dict.fromkeys(
        (Gate.DATA, Gate.TRAINING, Gate.OFFLINE), Outcome.PASS
    )
    assert road.look() == [f"{MODEL}:{RETRAIN}:arm"]
    assert (road.toggle().state, road.toggle().stage, road.rule.share) == (ToggleStatus.SHADOW, "shadow", 0)
    road.serve_days(1, BETTER)
    assert (road.toggle().state, road.toggle().stage, road.rule.share) == (ToggleStatus.RAMPING, "50", 0.5)
    road.serve_days(1, BETTER)
    assert road.toggle().state is ToggleStatus.AWAITING_APPROVAL
    assert road.decide() == []

    road.approve()
    assert len(road.decide()) == 1

    retrain, champion = road.retrain_state(), road.state.champion
    assert champion == retrain.candidate != first
    assert road.toggle().state is ToggleStatus.PROMOTED
    assert (road.rule.champion, road.rule.share) == (champion, 0)
    assert road.registry.aliases(MODEL) == {"champion": champion.version}
    assert retrain.ended == "promoted"
    pack = json.loads((road.home.reports_dir(MODEL) / f"{RETRAIN}.json").read_text())
    assert road.evidence.get(retrain.audit) == pack
    assert champion.bundle in json.dumps(pack["custody"])
    assert [(word["by"], word["counted"]) for word in pack["approvals"]["words"]] == [(str(RUTH), True)]
    assert road.ledger.verify() == []


def test_the_first_champion_is_bootstrapped_by_a_person_and_has_its_audit_record(road: Story) -> None:
    """A bootstrap is recorded as one: nothing to compare with, who approved it, and an evidence pack."""
    (event,) = road.events(EventKind.CHAMPION_BOOTSTRAPPED)
    assert event.actor == RUTH
    assert event.payload["compared_with"] is None
    assert road.retrain_state(FIRST).ended == "bootstrapped"
    assert (road.home.reports_dir(MODEL) / f"{FIRST}.html").exists()
    assert road.registry.aliases(MODEL) == {"champion": event.payload["version"]}


def test_one_rollback_restores_the_previous_champion_everywhere(waiting: Story) -> None:
    """After a promotion one command by hand gives the traffic back: ledger, flag document and alias."""
    first = waiting.state.champion
    waiting.approve()
    waiting.decide()
    assert waiting.state.champion != first

    waiting.controller.rollback(waiting.toggle().name, RUTH, "Warns too little before the holidays.")

    assert waiting.state.champion == first
    assert waiting.rule.champion == first
    assert waiting.registry.aliases(MODEL) == {"champion": first.version}
    assert waiting.toggle().state is ToggleStatus.ROLLED_BACK
    assert waiting.serve(50)["version"].unique().to_list() == [first.version]


def test_running_the_retrain_again_changes_nothing_and_registers_no_second_version(road: Story) -> None:
    """Same inputs, same digests: a partition can be run again at any time."""
    assert road.retrain()
    before, versions = road.events(), road.registry.list_versions(MODEL)

    assert road.retrain()

    assert road.events() == before
    assert road.registry.list_versions(MODEL) == versions
    assert len(versions) == 2
