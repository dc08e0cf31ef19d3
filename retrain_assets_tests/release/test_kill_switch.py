"""Kill switches: traffic goes to the champion at once and stays there, whatever is decided meanwhile and whatever fails."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from retrain_assets.contract import Refused, RegistryUnavailable, StaleRevision
from retrain_assets.ledger import EVERY_MODEL, SYSTEM, Actor, Event, EventDraft, EventKind
from retrain_assets.release import ReleaseController, ToggleStatus
from retrain_assets.release.door import Door

from .world import MODEL, OTHER, PAUL, RUTH, World

KEY = "2013-07-01"
NAME = f"{MODEL}-{KEY}"

Scope = str | None
SCOPES = pytest.mark.parametrize("scope", [MODEL, None], ids=["model", "all"])


def metadata(world: World, model: str = MODEL) -> dict[str, object]:
    return world.flags()["flags"][model]["metadata"]


class TestEngaging:
    @SCOPES
    def test_active_toggles_are_rolled_back_and_serving_reads_the_champion(self, world: World, scope: Scope) -> None:
        world.ramp(KEY)
        done = world.controller.engage_kill_switch(scope, PAUL, "prices are wrong")
        assert [toggle.name for toggle in done.rolled_back] == [NAME]
        assert (done.newly, done.faults) == (True, ())
        toggle = world.toggle(KEY)
        whose = MODEL if scope else "all models"
        assert (toggle.state, toggle.ended_because) == (
            ToggleStatus.ROLLED_BACK,
            f"kill switch of {whose}: prices are wrong",
        )
        (event,) = world.ledger.events(kinds=[EventKind.ROLLED_BACK])
        assert (event.actor, event.payload["cause"]) == (PAUL, "kill_switch")
        assert (metadata(world)["state"], metadata(world)["share"]) == ("rolled_back", 0.0)
        assert world.registry.aliases == {(MODEL, "champion"): "1"}

    @SCOPES
    def test_again_it_changes_nothing(self, world: World, scope: Scope) -> None:
        world.ramp(KEY)
        first = world.controller.engage_kill_switch(scope, PAUL, "prices are wrong").switch
        head = world.ledger.head()
        again = world.controller.engage_kill_switch(scope, RUTH, "me too")
        assert (again.switch, again.newly, again.rolled_back) == (first, False, ())
        assert world.ledger.head() == head

    def test_the_switch_of_one_model_leaves_the_others_alone(self, world: World) -> None:
        world.ramp(KEY)
        other = world.second_model(KEY)
        world.controller.engage_kill_switch(MODEL, PAUL, "prices are wrong")
        states = world.controller.states()
        assert states[MODEL].active_toggle is None
        assert states[OTHER].active_toggle.name == other
        assert world.controller.hold(other, SYSTEM, "wait").state is ToggleStatus.HELD
        assert metadata(world, OTHER)["share"] == 0.5
        world.controller.release_kill_switch(MODEL, RUTH, "prices are right")
        assert world.controller.states()[OTHER].active_toggle is not None

    def test_the_flag_document_names_the_switch_it_shows(self, world: World) -> None:
        world.promoted(KEY)
        switch = world.controller.engage_kill_switch(None, PAUL, "prices are wrong").switch
        assert world.flags()["metadata"]["ledger_sequence"] == switch.sequence

    def test_a_promoted_champion_stays(self, world: World) -> None:
        world.promoted(KEY)
        assert world.controller.engage_kill_switch(None, PAUL, "prices are wrong").rolled_back == ()
        assert world.state.champion.version == "2"

    def test_the_system_may_engage_and_only_a_person_may_release(self, world: World) -> None:
        world.ramp(KEY)
        world.controller.engage_kill_switch(None, SYSTEM, "error budget is spent")
        with pytest.raises(Refused, match="releasing a kill switch is for a person, not for system"):
            world.controller.release_kill_switch(None, SYSTEM, "over")

    @pytest.mark.parametrize("scope", ["", "*", "Flight Delay"])
    def test_what_is_no_models_name_is_refused(self, world: World, scope: str) -> None:
        with pytest.raises(Refused, match="is not a model's name"):
            world.controller.engage_kill_switch(scope, PAUL, "prices are wrong")

    def test_it_takes_a_reason(self, world: World) -> None:
        with pytest.raises(Refused, match="a reason is missing"):
            world.controller.engage_kill_switch(None, PAUL, " ")


class TestWhileEngaged:
    @SCOPES
    def test_nothing_is_armed_until_it_is_released(self, world: World, scope: Scope) -> None:
        world.bootstrap()
        world.candidate(KEY)
        world.controller.engage_kill_switch(scope, PAUL, "prices are wrong")
        with pytest.raises(Refused, match=r"arm is stopped: the kill switch .* engaged since .*\(prices are wrong\)") as caught:
            world.controller.register_and_arm(world.contract, KEY)
        assert "retrain kill --release" in caught.value.remedy
        world.controller.release_kill_switch(scope, RUTH, "prices are right")
        assert world.controller.register_and_arm(world.contract, KEY).state is ToggleStatus.ARMED

    def test_the_switch_of_all_models_is_in_the_way_of_models_that_come_later(self, world: World) -> None:
        world.controller.engage_kill_switch(None, PAUL, "prices are wrong")
        world.candidate("2013-04-01")
        with pytest.raises(Refused, match="promote is stopped: the kill switch of all models"):
            world.controller.bootstrap(world.contract, "2013-04-01", RUTH, "first model")
        world.controller.release_kill_switch(None, RUTH, "prices are right")
        world.controller.bootstrap(world.contract, "2013-04-01", RUTH, "first model")

    def test_the_switch_of_a_model_nothing_is_known_of_waits_for_it(self, world: World) -> None:
        world.controller.engage_kill_switch(MODEL, PAUL, "not before the audit")
        world.candidate("2013-04-01")
        with pytest.raises(Refused, match=f"the kill switch of {MODEL} is engaged"):
            world.controller.bootstrap(world.contract, "2013-04-01", RUTH, "first model")

    def test_a_champion_can_be_rolled_back(self, world: World) -> None:
        name = world.promoted(KEY)
        world.controller.engage_kill_switch(None, PAUL, "prices are wrong")
        world.controller.rollback(name, PAUL, "it is the new one")
        assert world.state.champion.version == "1"

    @pytest.mark.parametrize("move", ["step", "resume", "ask_approval"])
    def test_a_toggle_whose_rollback_failed_goes_nowhere_and_can_be_held(
        self, world: World, monkeypatch: pytest.MonkeyPatch, move: str
    ) -> None:
        world.arm(KEY)
        if move != "step":
            for _ in range(3):
                world.controller.step(NAME, SYSTEM, "on")
        if move == "resume":
            world.controller.hold(NAME, SYSTEM, "sample ratio")
        fail_to_roll_back(monkeypatch, MODEL)
        done = world.controller.engage_kill_switch(MODEL, PAUL, "prices are wrong")
        assert done.rolled_back == ()
        assert done.faults == (f"rollback of {NAME}: disk is full",)
        with pytest.raises(Refused, match=f"{move.replace('_', ' ')} is stopped: the kill switch of {MODEL} is engaged"):
            getattr(world.controller, move)(NAME, RUTH, "on")
        if move != "resume":
            assert world.controller.hold(NAME, SYSTEM, "wait").state is ToggleStatus.HELD

    def test_an_approved_challenger_whose_rollback_failed_is_not_promoted(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.awaiting(KEY)
        world.controller.approve(MODEL, KEY, RUTH, "clear win")
        fail_to_roll_back(monkeypatch, MODEL)
        world.controller.engage_kill_switch(None, PAUL, "prices are wrong")
        decision = world.controller.decide(MODEL, KEY)
        assert (decision.decision, world.state.champion.version) == ("wait", "1")
        assert "the kill switch of all models is engaged" in decision.reason


class TestFaults:
    def test_one_model_that_cannot_be_rolled_back_keeps_neither_the_others_nor_the_champion_from_their_traffic(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.ramp(KEY)
        other = world.second_model(KEY)
        fail_to_roll_back(monkeypatch, MODEL)
        done = world.controller.engage_kill_switch(None, PAUL, "prices are wrong")
        assert [toggle.name for toggle in done.rolled_back] == [other]
        assert done.faults == (f"rollback of {NAME}: disk is full",)
        assert {metadata(world, model)["share"] for model in (MODEL, OTHER)} == {0.0}
        with pytest.raises(Refused, match=f"{NAME} could not be rolled back and would get traffic again"):
            world.controller.release_kill_switch(None, RUTH, "over")
        monkeypatch.undo()
        world.controller.release_kill_switch(None, RUTH, "over")
        assert world.toggle(KEY).state is ToggleStatus.ROLLED_BACK

    def test_a_registry_that_does_not_answer_is_said_and_keeps_nobody(self, world: World) -> None:
        world.ramp(KEY)
        world.second_model(KEY)

        def gone() -> World:
            raise RegistryUnavailable("the tracking server does not answer")

        controller = ReleaseController(world.home, world.ledger, world.evidence, gone, world.clock)  # type: ignore[arg-type]
        done = controller.engage_kill_switch(None, PAUL, "prices are wrong")
        assert len(done.rolled_back) == 2
        assert (done.undone, done.registry_behind) == ((), "the tracking server does not answer")
        assert done.faults == ("registry: the tracking server does not answer",)
        assert {metadata(world, model)["state"] for model in (MODEL, OTHER)} == {"rolled_back"}
        world.controller.reconcile()
        assert (MODEL, "challenger") not in world.registry.aliases

    def test_a_flag_document_that_cannot_be_written_is_said_and_the_rollbacks_are_recorded(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.ramp(KEY)

        def full(*_: object) -> bool:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("retrain_assets.release.door.write_flags", full)
        done = world.controller.engage_kill_switch(None, PAUL, "prices are wrong")
        assert done.faults == ("flag document: [Errno 28] No space left on device",)
        assert world.toggle(KEY).state is ToggleStatus.ROLLED_BACK
        monkeypatch.undo()
        world.another_controller().catch_up()
        assert metadata(world)["state"] == "rolled_back"

    def test_a_process_killed_after_the_switch_was_recorded_is_finished_by_the_next(self, world: World) -> None:
        world.ramp(KEY)
        code = f"""
import os, sys
from pathlib import Path
from datetime import datetime
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from retrain_assets.home import FixedClock, Home
from retrain_assets.ledger import Actor, EvidenceStore, Ledger
from retrain_assets.release import ReleaseController
class Dies(ReleaseController):
    def _project_flags(self):
        os._exit(9)
home = Home(Path({str(world.root)!r}))
clock = FixedClock(datetime.fromisoformat({world.clock.now().isoformat()!r}))
controller = Dies(home, Ledger(home.ledger_url), EvidenceStore(home.evidence_dir), lambda: None, clock)
controller.engage_kill_switch(None, Actor("person", "paul@flights.example"), "prices are wrong")
"""
        assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 9
        assert metadata(world)["state"] == "ramping"
        assert world.another_controller().reconcile().rolled_back == (NAME,)
        assert metadata(world)["state"] == "rolled_back"
        (event,) = world.ledger.events(kinds=[EventKind.ROLLED_BACK])
        assert (event.actor, event.reason) == (SYSTEM, "kill switch of all models: prices are wrong")


class TestReleasing:
    def test_what_was_rolled_back_stays_so(self, world: World) -> None:
        world.ramp(KEY)
        world.controller.engage_kill_switch(None, PAUL, "prices are wrong")
        world.controller.release_kill_switch(None, RUTH, "over")
        assert world.controller.platform().kill_switches == {}
        assert world.toggle(KEY).state is ToggleStatus.ROLLED_BACK
        (event,) = world.ledger.events(kinds=[EventKind.KILL_SWITCH_RELEASED])
        assert (event.model, event.actor, event.reason) == (EVERY_MODEL, RUTH, "over")

    def test_that_of_all_models_leaves_a_models_own_engaged(self, world: World) -> None:
        world.bootstrap()
        world.candidate(KEY)
        for scope in (MODEL, None):
            world.controller.engage_kill_switch(scope, PAUL, "prices are wrong")
        world.controller.release_kill_switch(None, RUTH, "over")
        with pytest.raises(Refused, match=f"the kill switch of {MODEL} is engaged"):
            world.controller.register_and_arm(world.contract, KEY)

    def test_one_that_is_not_engaged_is_refused_naming_those_that_are(self, world: World) -> None:
        with pytest.raises(Refused, match="the kill switch of all models is not engaged"):
            world.controller.release_kill_switch(None, RUTH, "over")
        world.controller.engage_kill_switch(None, PAUL, "prices are wrong")
        with pytest.raises(Refused, match=f"that of {MODEL} is not engaged|{MODEL} is not engaged; that of all models is"):
            world.controller.release_kill_switch(MODEL, RUTH, "over")


class TestRaces:
    """A change that was decided before a switch was engaged and comes to the ledger after it."""

    @SCOPES
    @pytest.mark.parametrize("act", ["arm", "promote", "step"])
    def test_a_change_decided_before_the_switch_and_recorded_after_it_does_not_happen(
        self, world: World, scope: Scope, act: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        acts: dict[str, Callable[[ReleaseController], object]] = {
            "arm": lambda controller: controller.register_and_arm(world.contract, KEY),
            "promote": lambda controller: controller.decide(MODEL, KEY),
            "step": lambda controller: controller.step(NAME, SYSTEM, "on"),
        }
        if act == "arm":
            world.bootstrap()
            world.candidate(KEY)
        elif act == "promote":
            world.awaiting(KEY)
            world.controller.approve(MODEL, KEY, RUTH, "clear win")
        else:
            world.arm(KEY)
        slow, quick = world.another_controller(), world.another_controller()
        append, engaged = world.ledger.append_all, threading.Event()

        def append_after_the_switch(drafts: list[EventDraft], **expected: object) -> list[Event]:
            if not engaged.is_set():
                engaged.set()
                other = threading.Thread(target=quick.engage_kill_switch, args=(scope, PAUL, "prices are wrong"))
                other.start()
                other.join()
            return append(drafts, **expected)  # type: ignore[arg-type]

        monkeypatch.setattr(world.ledger, "append_all", append_after_the_switch)
        refused: list[Refused] = []
        try:
            acts[act](slow)
        except Refused as error:
            refused.append(error)
        assert engaged.is_set()
        assert world.state.champion.version == "1"
        assert world.state.active_toggle is None
        if act == "arm":
            assert "arm is stopped" in refused[0].line
        if act == "step":
            assert isinstance(refused[0], StaleRevision)

    def test_whoever_wins_nothing_is_active_once_the_switch_is_engaged(self, world: World) -> None:
        """Four hands step, hold, resume and roll back while one engages; the last word is the champion's."""
        world.arm(KEY)
        start = threading.Barrier(5)
        moves = {"step": RUTH, "hold": SYSTEM, "resume": RUTH, "rollback": PAUL}

        def move(name: str, actor: Actor) -> None:
            controller = world.another_controller()
            start.wait()
            for _ in range(4):
                try:
                    getattr(controller, name)(NAME, actor, "in a hurry")
                except Refused:
                    continue

        def engage() -> None:
            controller = world.another_controller()
            start.wait()
            controller.engage_kill_switch(None, PAUL, "prices are wrong")

        threads = [threading.Thread(target=move, args=item) for item in moves.items()] + [threading.Thread(target=engage)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert world.state.active_toggle is None
        assert metadata(world)["share"] == 0.0
        (engaged,) = world.ledger.events(kinds=[EventKind.KILL_SWITCH_ENGAGED])
        after = {event.kind for event in world.ledger.events(model=MODEL, after=engaged.sequence)}
        assert not after & {EventKind.TOGGLE_STEPPED, EventKind.TOGGLE_RESUMED, EventKind.TOGGLE_ARMED}
        assert world.ledger.verify() == []

    def test_two_who_engage_at_once_record_it_once(self, world: World) -> None:
        world.ramp(KEY)
        start = threading.Barrier(3)

        def engage() -> None:
            controller = world.another_controller()
            start.wait()
            controller.engage_kill_switch(None, PAUL, "prices are wrong")

        threads = [threading.Thread(target=engage) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kinds = [event.kind for event in world.ledger.events()]
        assert (kinds.count(EventKind.KILL_SWITCH_ENGAGED), kinds.count(EventKind.ROLLED_BACK)) == (1, 1)


def fail_to_roll_back(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """Rolling back this model's toggle cannot be recorded; everything else can."""
    record = Door._record

    def failing(self: Door, about: str, actor: Actor, reason: str, plan: Callable[..., object], **more: object) -> object:
        if about == model and reason.startswith("kill switch"):
            raise OSError("disk is full")
        return record(self, about, actor, reason, plan, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Door, "_record", failing)
