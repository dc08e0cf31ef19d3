"""Signing at the command line: which key is taken, what is told before it signs, and signing elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.contract import Contract, canonical_json, digest_of
from retrain_assets.ledger import SYSTEM, Actor, EventKind, Namespace, sign
from retrain_assets.release.signing import Signed
from retrain_assets_tests.pages import blocks
from retrain_assets_tests.release.people import key_of, line_of
from retrain_assets_tests.ssh_agent import running_agent

from .conftest import Run, parsed
from .world import ATTRIBUTES, FIRST, MODEL, RUTH, SECOND, World, write_project

PAUL, EVE = Actor("person", "paul@example.org"), Actor("person", "eve@elsewhere.example")
SIGNERS = "".join(line_of(person.name) + "\n" for person in (RUTH, PAUL))
SIGNED = {**ATTRIBUTES, "approval": {**ATTRIBUTES["approval"], "allowed_signers": SIGNERS}}
WHY = ("--reason", "because of the test")
AS_RUTH = (*WHY, "--as", RUTH.name)


class SignedWorld(World):
    """The shop, whose people sign."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.contract = Contract.model_validate(SIGNED)

    def bootstrap(self) -> None:
        controller = self.controller
        case, _ = controller.bootstrap_case(self.contract, FIRST, RUTH, "first champion")
        statement = case.statement()
        signed = Signed(statement, sign(statement.bytes, key_of(RUTH.name), Namespace.APPROVE))
        champion = controller.bootstrap(self.contract, FIRST, RUTH, "first champion", signed=signed).champion
        assert champion is not None
        self.compared_with(champion.bundle)

    def approvals(self) -> list[dict[str, Any]]:
        return [dict(event.payload) for event in self.controller.ledger.events(kinds=[EventKind.APPROVED])]


@pytest.fixture(scope="session")
def signed_base(candidates_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("signed") / "home"
    world = SignedWorld.copied(candidates_base, root)
    world.bootstrap()
    world.ramp()
    assert world.look().action == "ask_approval"
    return root


@pytest.fixture
def signed(signed_base: Path, retrain_home: Path, person: Path) -> SignedWorld:
    """A challenger that awaits approval by people who sign; nobody's key is at hand."""
    write_project(retrain_home.parent, SIGNED)
    world = SignedWorld.copied(signed_base, retrain_home)
    assert isinstance(world, SignedWorld)
    return world


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ~/.ssh of somebody without keys and without an agent, who is not asked for passphrases."""
    folder = tmp_path / "person" / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "never")
    for name in ("SSH_AUTH_SOCK", "RETRAIN_SSH_KEY"):
        monkeypatch.delenv(name, raising=False)
    return folder


def key_file(folder: Path, who: Actor, name: str = "id_ed25519") -> Path:
    file = folder / name
    key_of(who.name).write_private_key(file)
    file.chmod(0o600)
    key_of(who.name).write_public_key(file.with_name(f"{name}.pub"))
    return file


def fingerprint(who: Actor) -> str:
    return str(key_of(who.name).get_fingerprint())


class TestTheKeyThatIsTaken:
    def test_one_of_the_home_directory_that_the_contract_names(self, run: Run, signed: SignedWorld, person: Path) -> None:
        key_file(person, EVE, "id_rsa")
        key_file(person, RUTH)
        text = run("approve", MODEL, SECOND, *AS_RUTH).stdout
        assert f"signing as {RUTH.name} with key {fingerprint(RUTH)} ({person / 'id_ed25519.pub'})" in text
        assert [one["signed"]["key"] for one in signed.approvals()] == [fingerprint(RUTH)]

    def test_whatever_stands_behind_it_in_its_file(self, run: Run, signed: SignedWorld, person: Path) -> None:
        public = key_file(person, RUTH).with_name("id_ed25519.pub")
        public.write_text(f"{' '.join(public.read_text().split()[:2])} Ruth\u00a0at\u2028home\n")
        run("approve", MODEL, SECOND, *AS_RUTH)
        assert [one["signed"]["key"] for one in signed.approvals()] == [fingerprint(RUTH)]

    def test_one_that_only_the_agent_has(
        self, run: Run, signed: SignedWorld, person: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with running_agent(monkeypatch):
            for who in (EVE, RUTH):
                file = key_file(person, who)
                subprocess.run(["ssh-add", "-q", str(file)], check=True, capture_output=True)
                file.unlink()
                file.with_name("id_ed25519.pub").unlink()
            text = run("approve", MODEL, SECOND, *AS_RUTH).stdout
        assert f"with key {fingerprint(RUTH)} (ssh-agent)" in text
        assert "1 of 1 approvals" in text

    def test_the_one_that_is_given(self, run: Run, signed: SignedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = key_file(tmp_path, RUTH, "release-key")
        run("approve", MODEL, SECOND, *AS_RUTH, "--key", str(file))
        monkeypatch.setenv("RETRAIN_SSH_KEY", str(file))
        run("withdraw", MODEL, SECOND, *AS_RUTH)
        assert signed.toggle.approvals == ()

    def test_none_is_told_with_the_fingerprints_that_would_count(self, run: Run, signed: SignedWorld, person: Path) -> None:
        key_file(person, EVE)
        refused = run("approve", MODEL, SECOND, *AS_RUTH, code=1).stderr
        assert f"no key of {RUTH.name} is at hand, neither in ssh-agent nor in {person}" in refused
        assert f"keys that count: {fingerprint(RUTH)}" in refused
        assert signed.approvals() == []

    def test_a_wrong_one_is_refused_before_it_signs(self, run: Run, signed: SignedWorld, tmp_path: Path) -> None:
        file = key_file(tmp_path, PAUL, "pauls")
        refused = run("approve", MODEL, SECOND, *AS_RUTH, "--key", str(file), code=1).stderr
        assert f"key {fingerprint(PAUL)} is not one of {RUTH.name}'s that count; keys of theirs: {fingerprint(RUTH)}" in refused
        file.with_name("pauls.pub").unlink()
        refused = run("approve", MODEL, SECOND, *AS_RUTH, "--key", str(file), code=1).stderr
        assert f"given with key {fingerprint(PAUL)}, which is not theirs" in refused
        missing = run("approve", MODEL, SECOND, *AS_RUTH, "--key", str(tmp_path / "nowhere"), code=3).stderr
        assert "there is no such key file" in missing
        assert signed.approvals() == []

    def test_a_passphrase_is_ssh_keygens_business(self, run: Run, signed: SignedWorld, person: Path, tmp_path: Path) -> None:
        file = key_file(person, RUTH)
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", "open sesame", "-f", str(file)], check=True, stdout=subprocess.DEVNULL)
        refused = run("approve", MODEL, SECOND, *AS_RUTH, code=3).stderr
        assert f"{file}: ssh-keygen does not sign" in refused
        ask = tmp_path / "ask"
        ask.write_text("#!/bin/sh\necho 'open sesame'\n")
        ask.chmod(0o755)
        run("approve", MODEL, SECOND, *AS_RUTH, SSH_ASKPASS=str(ask), SSH_ASKPASS_REQUIRE="force")
        assert len(signed.approvals()) == 1

    def test_somebody_who_may_not_approve_is_not_asked_to_sign(self, run: Run, signed: SignedWorld, person: Path) -> None:
        key_file(person, EVE)
        refused = run("approve", MODEL, SECOND, *WHY, "--as", EVE.name, code=1)
        assert "not an approver" in refused.stderr
        assert "signing" not in refused.stdout


class TestWhatIsTold:
    def test_what_is_signed_before_it_is_signed_and_then_what_it_changed(
        self, run: Run, signed: SignedWorld, person: Path
    ) -> None:
        key_file(person, RUTH)
        text = run("approve", MODEL, SECOND, *AS_RUTH).stdout
        (payload,) = signed.approvals()
        lines = text.splitlines()
        assert f"  act: approve {MODEL} {SECOND}" in lines
        assert f"  statement: {digest_of(payload['signed']['statement'])}" in lines
        for name in ("version", "bundle", "evidence"):
            assert f"  {name}: {payload[name]}" in lines
        assert f"  valid until: {payload['valid_until']}" in lines
        assert text.index("  act: approve") < text.index("1 of 1 approvals")

    def test_json_has_key_and_statement(self, run: Run, signed: SignedWorld, person: Path) -> None:
        key_file(person, RUTH)
        done = run("approve", MODEL, SECOND, *AS_RUTH, "--json")
        (payload,) = signed.approvals()
        statement = digest_of(payload["signed"]["statement"])
        assert parsed(done)["signature"] == {"key": fingerprint(RUTH), "statement": statement, "source": "ssh"}
        assert "retrain: note: signing as" in done.stderr

    def test_where_the_contract_names_no_keys_nothing_is_signed(self, run: Run, act: Run, awaiting: World) -> None:
        assert parsed(act("approve", MODEL, SECOND, "--json"))["signature"] is None
        refused = act("withdraw", MODEL, SECOND, "--print-statement", code=1)
        assert "the contract names no keys" in refused.stderr
        assert refused.stdout == ""

    def test_an_approval_can_be_shorter_and_not_longer_than_the_contracts(
        self, run: Run, signed: SignedWorld, person: Path
    ) -> None:
        key_file(person, RUTH)
        refused = run("approve", MODEL, SECOND, *AS_RUTH, "--valid-for", "3d", code=1).stderr
        assert "an approval cannot hold for 3d; write a period up to 2d" in refused
        assert "write such as 12h or 2d" in run("approve", MODEL, SECOND, *AS_RUTH, "--valid-for", "long", code=3).stderr
        run("approve", MODEL, SECOND, *AS_RUTH, "--valid-for", "6h")
        assert (signed.toggle.approvals[0].valid_until - signed.clock.now()).total_seconds() == 6 * 3600


class TestElsewhere:
    def elsewhere(self, run: Run, folder: Path, *command: str) -> list[str]:
        """The printed statement, signed by ssh-keygen on another machine; the options that hand it in."""
        statement, key = folder / "statement.json", key_file(folder, RUTH)
        done = run(*command, *AS_RUTH, "--print-statement")
        statement.write_bytes(done.stdout_bytes)
        namespace = done.stderr.partition("-n ")[2].split()[0]
        subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace, str(statement)], check=True)
        return ["--statement", str(statement), "--signature", f"{statement}.sig"]

    def test_the_printed_statement_is_signed_and_handed_in(self, run: Run, signed: SignedWorld, tmp_path: Path) -> None:
        handed = self.elsewhere(run, tmp_path, "approve", MODEL, SECOND)
        assert signed.approvals() == [], "printing changes nothing"
        text = run("approve", MODEL, SECOND, *handed).stdout
        assert "because of the test" in text
        (payload,) = signed.approvals()
        assert canonical_json(payload["signed"]["statement"]) == (tmp_path / "statement.json").read_bytes()
        assert signed.controller.decide(MODEL, SECOND, SYSTEM).decision == "promote"

    def test_a_service_without_a_key_asks_for_the_statement_and_hands_in_what_was_signed(
        self, signed: SignedWorld, tmp_path: Path
    ) -> None:
        """The commands of docs/own-approvals.md, as they stand there, in a shell."""
        ask, sign_it, hand_in = blocks("own-approvals.md", "console")
        words = {
            "MODEL": MODEL,
            "RETRAIN": SECOND,
            "APPROVER": RUTH.name,
            "REASON": "the ticket says so",
            "TICKET": str(tmp_path),
        }
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

        def shell(command: str, **more: str) -> None:
            subprocess.run(
                ["bash", "-ec", command], env={**os.environ, "PATH": path, **words, **more}, check=True, capture_output=True
            )

        shell(ask)
        assert signed.approvals() == []
        (tmp_path / "laptop").mkdir()
        shell(sign_it, KEY=str(key_file(tmp_path / "laptop", RUTH)))
        shell(hand_in)
        (payload,) = signed.approvals()
        assert payload["signed"]["statement"]["reason"] == "the ticket says so"
        assert signed.controller.decide(MODEL, SECOND, SYSTEM).decision == "promote"

    def test_every_word_can_be(self, run: Run, signed: SignedWorld, tmp_path: Path) -> None:
        for number, command in enumerate(("approve", "withdraw", "reject")):
            folder = tmp_path / str(number)
            folder.mkdir()
            run(command, MODEL, SECOND, *self.elsewhere(run, folder, command, MODEL, SECOND))
        assert signed.controller.state(MODEL).retrains[SECOND].ended == "rejected"

    def test_a_first_champion_can_be(self, run: Run, candidates: World, person: Path, tmp_path: Path) -> None:
        for folder in tmp_path.glob("shop"):
            shutil.rmtree(folder)
        write_project(tmp_path, SIGNED)
        handed = self.elsewhere(run, tmp_path, "bootstrap", MODEL, FIRST)
        run("bootstrap", MODEL, FIRST, *handed)
        assert candidates.champion == "1"

    def test_it_counts_for_what_it_says_and_nothing_else(self, run: Run, signed: SignedWorld, tmp_path: Path) -> None:
        handed = self.elsewhere(run, tmp_path, "approve", MODEL, SECOND)
        for arguments, words in (
            (("approve", MODEL, SECOND, "--reason", "another"), "its reason is"),
            (("approve", MODEL, SECOND, "--as", PAUL.name), "its principal is"),
            (("reject", MODEL, SECOND), "its act is"),
        ):
            assert words in run(*arguments, *handed, code=1).stderr
        assert signed.approvals() == []

    def test_what_is_wrong_with_the_files_is_told(self, run: Run, signed: SignedWorld, tmp_path: Path) -> None:
        handed = self.elsewhere(run, tmp_path, "approve", MODEL, SECOND)
        assert "--statement and --signature go together" in run("approve", MODEL, SECOND, *handed[:2], code=2).stderr
        nowhere = ["--statement", str(tmp_path / "nowhere"), *handed[2:]]
        assert "cannot be read (No such file" in run("approve", MODEL, SECOND, *nowhere, code=3).stderr
        statement = tmp_path / "statement.json"
        value = json.loads(statement.read_bytes())
        statement.write_text(json.dumps({**value, "reason": "better"}))
        assert "not of what it is said to be of" in run("approve", MODEL, SECOND, *handed, code=1).stderr
        statement.write_text("approved")
        assert "it is not a statement" in run("approve", MODEL, SECOND, *handed, code=1).stderr

    def test_without_a_reason_it_says_so(self, run: Run, signed: SignedWorld) -> None:
        assert "approve: a reason is missing" in run("approve", MODEL, SECOND, "--as", RUTH.name, code=2).stderr


class TestFromGit:
    def test_a_signed_commit_that_brought_the_statement_approves(
        self, run: Run, signed: SignedWorld, tmp_path: Path, person: Path
    ) -> None:
        clone, key = tmp_path / "clone", key_file(person, RUTH)
        file = clone / "approvals" / MODEL / f"{SECOND}.json"
        file.parent.mkdir(parents=True)
        file.write_bytes(run("approve", MODEL, SECOND, *AS_RUTH, "--print-statement").stdout_bytes)
        for command in (
            ["init", "-q", "-b", "main"],
            ["add", "-A"],
            ["-c", "gpg.format=ssh", "-c", "user.name=r", "-c", "user.email=r@x", "commit", "-q", f"-S{key}", "-m", "approve"],
        ):
            subprocess.run(["git", "-C", str(clone), *command], check=True, env={**os.environ, "GIT_CONFIG_NOSYSTEM": "1"})
        done = run("approve", MODEL, SECOND, "--from-git", str(clone), "--json")
        assert parsed(done)["signature"]["source"] == "git"
        assert parsed(done)["actor"] == str(RUTH)
        assert signed.toggle.approvals[0].source == "git"
        again = run("approve", MODEL, SECOND, "--from-git", str(clone), code=1)
        assert "has approved this very evidence already" in again.stderr

    def test_it_is_one_way_of_several(self, run: Run, signed: SignedWorld, tmp_path: Path) -> None:
        refused = run("approve", MODEL, SECOND, *AS_RUTH, "--from-git", str(tmp_path), "--print-statement", code=2).stderr
        assert "give one" in refused
