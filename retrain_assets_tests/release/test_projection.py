"""Flag document and registry follow the ledger: after every change, after a crash, and when somebody deletes or edits them."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from retrain_assets.contract import Refused, RegistryUnavailable, RetrainError, StaleRevision
from retrain_assets.ledger import SYSTEM
from retrain_assets.release import Reconciled, ReleaseController, ToggleStatus, fold
from retrain_assets.routing import compile_rule, rules_from_document

from .world import MODEL, PAUL, RUTH, World

KEY = "2013-07-01"


def test_serving_reads_back_what_was_released(world: World) -> None:
    name = world.ramp(KEY)
    rule = rules_from_document(world.flags())[MODEL]
    toggle = world.state.toggles[name]
    assert (rule.champion, rule.challenger) == (world.state.champion, toggle.challenger)
    assert (rule.toggle, rule.revision, rule.stage, rule.share) == (name, toggle.stage_revision, "50", 0.5)
    assert (rule.salt, rule.expires_at, rule.state) == (toggle.salt, toggle.expires_at, "ramping")
    route = compile_rule(rule)
    arms = [route(f"unit {number}", {"origin": "JFK"}, world.clock.now()).arm for number in range(400)]
    assert 150 < arms.count("challenger") < 250
    assert {route(f"unit {number}", {"origin": "LGA"}, world.clock.now()).arm for number in range(50)} == {"champion"}


@pytest.mark.parametrize("state", ["armed", "held", "rolled_back", "promoted", "retired"])
def test_every_state_of_a_toggle_gives_a_document_serving_can_read(world: World, state: str) -> None:
    if state == "promoted":
        world.promoted(KEY)
    else:
        name = world.arm(KEY)
        if state == "held":
            world.controller.hold(name, RUTH, "wait")
        elif state != "armed":
            world.controller.rollback(name, SYSTEM, "guardrail")
            world.controller.decide(MODEL, KEY)
        if state == "retired":
            world.controller.retire(name, SYSTEM, "over")
    rule = rules_from_document(world.flags())[MODEL]
    assert rule.state == {"rolled_back": "rejected", "retired": "none"}.get(state, state)
    assert compile_rule(rule)("unit", {"origin": "JFK"}, world.clock.now()).version == world.state.champion.version


def test_a_deleted_flag_document_is_rebuilt_byte_for_byte(world: World) -> None:
    world.ramp(KEY)
    before = world.home.flags_path.read_bytes()
    world.home.flags_path.unlink()
    assert world.another_controller().reconcile() == Reconciled(flags=True, registry=())
    assert world.home.flags_path.read_bytes() == before
    assert world.another_controller().reconcile() == Reconciled(flags=False, registry=())


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"\xff\xfe", b'{"flags": {}}'])
def test_a_flag_document_that_was_edited_is_written_again(world: World, content: bytes) -> None:
    world.ramp(KEY)
    before = world.home.flags_path.read_bytes()
    world.home.flags_path.write_bytes(content)
    assert world.controller.reconcile().flags
    assert world.home.flags_path.read_bytes() == before


def test_reconciling_when_nothing_is_due_does_not_touch_the_registry(world: World) -> None:
    world.ramp(KEY)
    calls = len(world.registry.calls)
    assert world.another_controller().reconcile() == Reconciled(flags=False, registry=())
    assert len(world.registry.calls) == calls


def test_reconciling_an_empty_home_writes_nothing(world: World) -> None:
    assert world.controller.reconcile() == Reconciled(flags=False, registry=())
    assert not world.home.flags_path.exists()


def test_aliases_and_status_follow_the_toggle(world: World) -> None:
    world.bootstrap()
    assert world.registry.aliases == {(MODEL, "champion"): "1"}
    world.candidate(KEY)
    assert world.registry.status("2") == "candidate"
    world.controller.register_and_arm(world.contract, KEY)
    assert world.registry.aliases == {(MODEL, "champion"): "1", (MODEL, "challenger"): "2"}
    assert world.registry.status("2") == "challenger"
    world.controller.rollback(f"{MODEL}-{KEY}", SYSTEM, "guardrail")
    assert world.registry.aliases == {(MODEL, "champion"): "1"}
    assert world.registry.status("2") == "rolled_back"
    world.promoted("2013-08-01")
    assert world.registry.aliases == {(MODEL, "champion"): "3"}
    assert [world.registry.status(version) for version in "123"] == ["previous_champion", "rolled_back", "champion"]


def test_a_step_sets_nothing_in_the_registry(world: World) -> None:
    name = world.arm(KEY)
    calls = list(world.registry.calls)
    world.controller.step(name, SYSTEM, "enter the ramp")
    world.controller.hold(name, SYSTEM, "wait")
    assert world.registry.calls == calls


def test_an_alias_moved_by_hand_is_set_right_when_everything_is_reconciled(world: World) -> None:
    world.promoted(KEY)
    world.registry.aliases[MODEL, "champion"] = "1"
    world.registry.aliases[MODEL, "challenger"] = "1"
    assert world.controller.reconcile().registry == ()
    world.controller.reconcile(everything=True)
    assert world.registry.aliases == {(MODEL, "champion"): "2"}


def test_a_registry_that_fails_does_not_keep_traffic_from_going_back(world: World) -> None:
    """The ledger and the flag document come first; the next reconciliation catches the registry up."""
    name = world.ramp(KEY)
    aliases = dict(world.registry.aliases)

    def gone() -> World:
        raise RetrainError("the tracking server does not answer")

    controller = ReleaseController(world.home, world.ledger, world.evidence, gone, world.clock)  # type: ignore[arg-type]
    with pytest.raises(RetrainError, match="does not answer"):
        controller.rollback(name, PAUL, "complaints")
    assert world.flags()["flags"][MODEL]["metadata"]["state"] == "rolled_back"
    assert world.registry.aliases == aliases
    world.controller.reconcile()
    assert world.registry.aliases == {(MODEL, "champion"): "1"}


def test_a_promoted_version_is_rolled_back_although_the_registry_does_not_answer(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """At three in the morning the flip matters; the previous bundle is verified again by whoever loads it."""
    name = world.promoted(KEY)

    def gone() -> World:
        raise RegistryUnavailable("the tracking server does not answer")

    controller = ReleaseController(world.home, world.ledger, world.evidence, gone, world.clock)  # type: ignore[arg-type]
    with pytest.raises(RegistryUnavailable):
        controller.rollback(name, PAUL, "complaints")
    assert "serves again unverified" in caplog.text
    assert world.flags()["flags"][MODEL]["metadata"]["champion_version"] == "1"
    world.controller.reconcile()
    assert world.registry.aliases == {(MODEL, "champion"): "1"}


def test_a_process_killed_between_append_and_projection_is_repaired_by_the_next(world: World) -> None:
    name = world.ramp(KEY)
    before = world.home.flags_path.read_bytes()
    code = f"""
import os, sys
from pathlib import Path
from datetime import datetime
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from retrain_assets.home import FixedClock, Home
from retrain_assets.ledger import Actor, EvidenceStore, Ledger
from retrain_assets.release import ReleaseController
class Dies(ReleaseController):
    def project(self):
        os._exit(9)
home = Home(Path({str(world.root)!r}))
clock = FixedClock(datetime.fromisoformat({world.clock.now().isoformat()!r}))
controller = Dies(home, Ledger(home.ledger_url), EvidenceStore(home.evidence_dir), lambda: None, clock)
controller.rollback({name!r}, Actor("person", "paul@flights.example"), "complaints")
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 9
    assert world.home.flags_path.read_bytes() == before
    assert world.registry.aliases[MODEL, "challenger"] == "2"
    repaired = world.another_controller().reconcile()
    assert repaired.flags
    anchored = f"{MODEL}/2 anchored at event {world.ledger.head()[0]}"
    assert repaired.registry == (f"{MODEL}/2 rolled_back", f"{MODEL}@challenger -> nothing", anchored)
    assert world.flags()["flags"][MODEL]["metadata"]["state"] == "rolled_back"
    assert world.registry.aliases == {(MODEL, "champion"): "1"}
    assert world.ledger.verify() == []


def test_the_next_command_repairs_a_home_by_itself(world: World) -> None:
    world.ramp(KEY)
    before = world.home.flags_path.read_bytes()
    world.home.flags_path.unlink()
    controller = ReleaseController.open(world.home)
    assert world.home.flags_path.read_bytes() == before
    assert controller.state(MODEL) == world.state


def test_of_two_flips_of_one_revision_exactly_one_wins(world: World) -> None:
    name = world.ramp(KEY)
    revision, head = world.toggle(KEY).revision, world.ledger.head()[0]
    outcomes: list[str] = []
    start = threading.Barrier(4)

    def flip(number: int) -> None:
        controller = world.another_controller()
        start.wait()
        try:
            act = controller.hold if number % 2 else controller.rollback
            act(name, PAUL, f"flip {number}", revision=revision)
            outcomes.append("won")
        except StaleRevision as error:
            outcomes.append("stale" if f"not {revision}" in error.line else error.line)

    threads = [threading.Thread(target=flip, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["stale", "stale", "stale", "won"]
    assert world.ledger.head()[0] == head + 1
    assert world.toggle(KEY).revision == revision + 1
    assert rules_from_document(world.flags())[MODEL].state == world.toggle(KEY).state


def test_two_challengers_armed_at_once_leave_one_active(world: World) -> None:
    world.bootstrap()
    keys = ["2013-07-01", "2013-08-01"]
    for key in keys:
        world.candidate(key)
    refused: list[str] = []
    start = threading.Barrier(2)

    def arm(key: str) -> None:
        controller = world.another_controller()
        start.wait()
        try:
            controller.register_and_arm(world.contract, key)
        except Refused as error:
            refused.append(error.line)

    threads = [threading.Thread(target=arm, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [toggle.state for toggle in world.state.toggles.values()] == [ToggleStatus.ARMED]
    assert "one active challenger at a time" in refused[0]


def test_recordings_at_once_all_come_in(world: World) -> None:
    """Recording does not compete for a revision, so a conflict is decided anew and not refused."""
    world.launch(KEY)
    threads = [
        threading.Thread(target=world.another_controller().record_stage_failure, args=(MODEL, KEY, f"stage {number}", "died"))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.ledger.head()[0] == 7
    assert world.ledger.verify() == []


def test_folding_in_parts_is_folding_at_once(world: World) -> None:
    world.promoted(KEY)
    world.ramp("2013-08-01")
    events = world.ledger.events()
    whole = fold(events)
    for cut in range(0, len(events), 5):
        assert fold(events[cut:], fold(events[:cut])) == whole
    assert whole[MODEL] == world.state


def test_states_do_not_change_under_their_reader(world: World) -> None:
    world.arm(KEY)
    before = world.state
    toggle = before.active_toggle
    world.controller.rollback(toggle.name, SYSTEM, "guardrail")
    assert before.active_toggle is toggle
    assert world.state.active_toggle is None


def test_the_document_names_the_event_it_shows(world: World) -> None:
    world.ramp(KEY)
    world.look(KEY, "hold")
    assert list(world.flags()["flags"]) == [MODEL]
    assert world.flags()["metadata"]["ledger_sequence"] == world.state.activation_sequence < world.state.sequence
