"""Emergencies as people type them: signed by themselves, unsigned with a word, overridden by two, and closed with a finding."""

from __future__ import annotations

import re
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.contract import Contract, Gate, Outcome, Verdict
from retrain_assets.ledger import SYSTEM, EventKind
from retrain_assets.release.signing import Signed

from .conftest import Run, parsed
from .world import ATTRIBUTES, MODEL, RUTH, SECOND, TOGGLE, World, write_project

PAUL = "paul@example.org"
CLOSE = ("follow-up", "close")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A key of each approver, and one of a stranger, made by ssh-keygen."""
    folder = tmp_path_factory.mktemp("keys")
    made = {name: folder / name.partition("@")[0] for name in (RUTH.name, PAUL, "eve@example.org")}
    for name, file in made.items():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(file)], check=True)
    return made


@pytest.fixture(autouse=True)
def no_key_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither agent nor ~/.ssh of whoever runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    for name in ("SSH_AUTH_SOCK", "RETRAIN_SSH_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def signing(candidates_base: Path, retrain_home: Path, keys: dict[str, Path]) -> World:
    """A challenger at 50 per cent under a contract that names keys."""
    values: dict[str, Any] = deepcopy(ATTRIBUTES)
    lines = [f"{name} {keys[name].with_suffix('.pub').read_text()}" for name in (RUTH.name, PAUL)]
    values["approval"]["allowed_signers"] = "".join(lines)
    write_project(retrain_home.parent, values)
    world = World.copied(candidates_base, retrain_home)
    world.bootstrap()
    world.contract = Contract.model_validate(values)
    world.controller.register_and_arm(world.contract, SECOND, SYSTEM, "gates passed")
    for _ in range(2):
        world.controller.step(TOGGLE, SYSTEM, "on")
    return world


@pytest.fixture
def stopped(candidates: World) -> World:
    """The second candidate was stopped by a check of gate offline."""
    candidates.bootstrap()
    controller = candidates.controller
    champion = controller.state(MODEL).champion
    subjects = {**controller.state(MODEL).retrains[SECOND].subjects, "champion": champion.bundle}
    verdict = Verdict(Gate.OFFLINE, "slices_hold", Outcome.FAIL, "slice north is worse by 0.04; 0.02 is allowed", 0.04, 0.02)
    controller.record_gate(MODEL, SECOND, Gate.OFFLINE, [verdict], subjects)
    controller.decide(MODEL, SECOND)
    return candidates


def last(world: World, kind: EventKind) -> Any:
    return [event for event in world.controller.ledger.events() if event.kind is kind][-1]


class TestOrders:
    def test_a_rollback_signs_by_itself_with_the_key_that_is_named(
        self, run: Run, act: Run, signing: World, keys: dict[str, Path]
    ) -> None:
        text = act("toggle", "rollback", MODEL, "--key", str(keys[RUTH.name])).stdout
        event = last(signing, EventKind.ROLLED_BACK)
        assert Signed.from_json(event.payload["signed"]).statement.principal == RUTH.name
        closing = (
            rf'FOLLOW-UP {event.sequence} is open until .*: retrain follow-up close {event.sequence} --reason "what the cause'
        )
        assert re.search(closing, text)
        assert "UNSIGNED" not in text
        key = event.payload["signed"]["key"]
        assert key in run("follow-up", "list").stdout
        assert f"signed with {key}" in run("audit", "show", MODEL, SECOND).stdout

    @pytest.mark.parametrize("command", [("toggle", "hold", MODEL), ("kill", MODEL), ("kill", "--all")])
    def test_hold_and_kill_sign_too(self, act: Run, signing: World, keys: dict[str, Path], command: tuple[str, ...]) -> None:
        act(*command, RETRAIN_SSH_KEY=str(keys[RUTH.name]))
        held = "hold" in command
        event = last(signing, EventKind.TOGGLE_HELD if held else EventKind.KILL_SWITCH_ENGAGED)
        assert event.payload["signed"]["statement"]["act"] == ("hold" if held else "kill")

    @pytest.mark.parametrize(
        "command", [("toggle", "rollback", MODEL), ("toggle", "hold", MODEL), ("kill", MODEL), ("kill", "--all")]
    )
    def test_without_a_key_the_way_out_is_named_and_works(self, act: Run, signing: World, command: tuple[str, ...]) -> None:
        refused = act(*command, code=1).stderr
        assert "no key of ruth@example.org is at hand" in refused
        assert "in an emergency add --unsigned" in refused
        text = act(*command, "--unsigned").stdout
        assert "UNSIGNED: ruth@example.org did not sign, though the contract names keys" in text
        assert text.count("FOLLOW-UP ") == 1

    def test_what_cannot_be_rolled_back_is_refused_before_anybody_is_asked_to_sign(
        self, act: Run, signing: World, keys: dict[str, Path]
    ) -> None:
        act("toggle", "rollback", TOGGLE, "--unsigned")
        refused = act("toggle", "rollback", TOGGLE, "--key", str(keys[RUTH.name]), code=1)
        assert "its challenger gets no traffic any more" in refused.stderr
        assert "signing as" not in refused.stdout + refused.stderr

    def test_a_strangers_key_is_refused_and_an_unsigned_order_of_a_stranger_is_done(
        self, run: Run, signing: World, keys: dict[str, Path]
    ) -> None:
        eve = ("--as", "eve@example.org", "--reason", "it burns")
        refused = run("toggle", "rollback", MODEL, *eve, "--key", str(keys["eve@example.org"]), code=1).stderr
        assert "eve@example.org is neither an approver nor an operator of churn" in refused
        run("toggle", "rollback", MODEL, *eve, "--unsigned")
        shown = run("status").stdout
        assert "UNSIGNED (eve@example.org is no operator of it, and did not sign): it burns" in shown
        assert "UNSIGNED: eve@example.org is no operator" in run("audit", "show", MODEL, SECOND).stdout

    def test_resuming_is_no_order(self, act: Run, signing: World, keys: dict[str, Path]) -> None:
        act("toggle", "hold", MODEL, "--key", str(keys[RUTH.name]))
        act("toggle", "resume", MODEL)
        assert last(signing, EventKind.TOGGLE_RESUMED).payload.keys() == {"to"}


class TestFollowUps:
    def test_listed_closed_with_a_finding_and_listed_with_it(self, run: Run, act: Run, ramping: World) -> None:
        assert run("follow-up", "list").stdout == "no follow-up is open\n"
        act("toggle", "rollback", MODEL)
        (one,) = parsed(run("follow-up", "list", "--json"))
        assert (one["kind"], one["toggle"], one["by"], one["closed"]) == ("rollback", TOGGLE, [str(RUTH)], None)
        listed = run("follow-up", "list", MODEL).stdout
        assert one["command"] in listed
        assert "named only" in listed
        assert f"FOLLOW-UP {one['number']}, open since today: {TOGGLE} rolled back by {RUTH.name}" in run("status").stdout
        assert f"{one['number']}: {TOGGLE} rolled back" in run("toggle", "show", TOGGLE).stdout
        text = run(*CLOSE, str(one["number"]), "--reason", "a join was wrong", "--as", PAUL).stdout
        assert f"follow-up {one['number']} ({TOGGLE} rolled back by {RUTH.name}: because of the test): open → closed" in text
        assert run("follow-up", "list").stdout == "no follow-up is open\n"
        assert "a join was wrong (paul@example.org" in run("follow-up", "list", "--all").stdout
        assert "FOLLOW-UP" not in run("status").stdout

    def test_one_of_a_kill_switch_of_all_models_shows_once_and_above_all_models(self, run: Run, act: Run, ramping: World) -> None:
        act("kill", "--all")
        text = run("status").stdout
        assert text.count("FOLLOW-UP ") == 1
        assert text.index("FOLLOW-UP ") < text.index(f"{MODEL}: champion")
        assert [one["model"] for one in parsed(run("status", "--json"))["follow_ups"]] == [None]

    def test_what_is_not_there_is_refused(self, run: Run, act: Run, ramping: World) -> None:
        assert "there is no follow-up 7; open: none" in act(*CLOSE, "7", code=1).stderr

    def test_a_home_without_a_record_has_none(self, run: Run, retrain_home: Path) -> None:
        assert run("follow-up", "list").stdout == "no follow-up is open\n"


class TestOverrides:
    COMMAND = ("override", MODEL, SECOND, "--check", "offline.slices_hold")

    def test_one_of_two_then_in_force_and_then_armed(self, run: Run, act: Run, stopped: World) -> None:
        first = act(*self.COMMAND).stdout
        assert "override of offline.slices_hold: 1 of 2 signed (ruth@example.org), until 2024-04-03 06:00 UTC" in first
        assert f"next: {PAUL} signs as well: retrain override {MODEL} {SECOND} --check offline.slices_hold" in first
        waiting = run("status").stdout
        assert (
            f"due: the override of offline.slices_hold of {SECOND}, which {RUTH.name} signed, waits for a second approver"
            in waiting
        )
        second = run(*self.COMMAND, "--as", PAUL, "--reason", "the north is closed").stdout
        assert f"OVERRIDDEN: offline.slices_hold by {RUTH.name} and {PAUL}" in second
        assert "It was: fail: slice north is worse by 0.04; 0.02 is allowed" in second
        assert f"next: retrain_canary_sensor arms it at its next tick, or now: retrain toggle arm {MODEL} {SECOND}" in second
        shown = run("status").stdout
        assert f"OVERRIDDEN: offline.slices_hold of {SECOND} by {RUTH.name} and {PAUL}" in shown
        assert "fail, OVERRIDDEN" in shown
        assert "  open  " in shown.splitlines()[-1]
        act("toggle", "arm", MODEL)
        assert "offline.slices_hold by ruth@example.org and paul@example.org" in run("toggle", "show", TOGGLE).stdout

    def test_it_is_withdrawn_by_who_signed_it(self, run: Run, act: Run, stopped: World) -> None:
        act(*self.COMMAND)
        assert "has not signed an override" in run(*self.COMMAND, "--withdraw", "--as", PAUL, "--reason", "no", code=1).stderr
        text = act(*self.COMMAND, "--withdraw").stdout
        assert "the override of offline.slices_hold is not in force; its gate is closed again" in text
        assert "signs as well" not in text, "nobody is asked to sign what was just taken back"
        assert "waits for a second approver" not in run("status").stdout

    @pytest.mark.parametrize(
        ("check", "refused"),
        [
            ("promotion.approved_by_enough", "gate promotion cannot be overridden"),
            ("offline.holds", "it passed"),
            ("offline", "names no check; write GATE.CHECK"),
        ],
    )
    def test_what_cannot_be_is_refused_in_one_line(self, act: Run, stopped: World, check: str, refused: str) -> None:
        assert refused in act(*self.COMMAND[:3], "--check", check, code=1).stderr

    def test_its_follow_up_is_closed_by_somebody_else(self, run: Run, act: Run, stopped: World) -> None:
        act(*self.COMMAND)
        run(*self.COMMAND, "--as", PAUL, "--reason", "the north is closed")
        (one,) = parsed(run("follow-up", "list", "--json"))
        assert one["closed_by"] == f"anybody but {RUTH.name} and {PAUL}"
        assert "signed this override" in act(*CLOSE, str(one["number"]), code=1).stderr
        run(*CLOSE, str(one["number"]), "--as", "dana@example.org", "--reason", "the slice left the contract")

    def test_both_sign_with_their_keys(self, run: Run, candidates_base: Path, retrain_home: Path, keys: dict[str, Path]) -> None:
        values: dict[str, Any] = deepcopy(ATTRIBUTES)
        values["approval"]["allowed_signers"] = "".join(
            f"{name} {keys[name].with_suffix('.pub').read_text()}" for name in (RUTH.name, PAUL)
        )
        write_project(retrain_home.parent, values)
        world, third = World.copied(candidates_base, retrain_home), "2024-05-01"
        world.bootstrap()
        world.contract = Contract.model_validate(values)
        world.candidate(third)
        controller = world.controller
        known = controller.state(MODEL)
        verdict = Verdict(Gate.OFFLINE, "slices_hold", Outcome.FAIL, "slice north is worse by 0.04", 0.04, 0.02)
        subjects = {**known.retrains[third].subjects, "champion": known.champion.bundle}
        controller.record_gate(MODEL, third, Gate.OFFLINE, [verdict], subjects)
        for name in (RUTH.name, PAUL):
            command = ("override", MODEL, third, "--check", "offline.slices_hold", "--as", name, "--reason", "it is closed")
            run(*command, "--key", str(keys[name]))
        assert world.controller.register_and_arm(world.contract, third).active
        assert "holds" in run("audit", "verify").stdout


def test_toggle_show_has_a_line_for_an_engaged_kill_switch(run: Run, act: Run, ramping: World) -> None:
    assert "kill switch:" not in run("toggle", "show", TOGGLE).stdout
    act("kill", "--all")
    shown = run("toggle", "show", TOGGLE).stdout
    assert re.search(r"kill switch: +of all models, engaged since .* by ruth@example.org: because of the test; it ends", shown)
    assert 'retrain kill --release --all --reason "why"' in shown
