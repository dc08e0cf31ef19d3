"""What an export holds, of every ending, and what never is in one."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import tarfile
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from unittest.mock import patch

import pytest

from retrain_assets.contract import CustodyError, RetrainError
from retrain_assets.ledger import SYSTEM, EventDraft, EventKind, Namespace, SystemKey, sign
from retrain_assets.release.git_approval import signed_in_git
from retrain_assets.release.signing import Case, Signed
from retrain_assets.reports.export import Export
from retrain_assets_tests.release.people import key_of
from retrain_assets_tests.reports import sample
from retrain_assets_tests.reports.export import world as files_of_the_bundle
from retrain_assets_tests.reports.sample_evidence import CONTRACT, MODEL, RUTH

from .world import (
    FIRST,
    KEY,
    SignedSample,
    begun,
    bootstrapped,
    document,
    exported,
    manifest_with_files,
    resign,
    run,
    signed_contract,
    unpacked,
)

STOPPED, ROLLED_BACK, OPEN = "2013-08-01", "2013-11-01", "2013-12-01"
SECRET = "json://robot:pa55w0rd@chat.example/hook"


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> SignedSample:
    """A first champion, a leak that was stopped, a challenger taken off by the system, one that is under way."""
    world = begun(tmp_path_factory.mktemp("lived") / "home")
    with patch.object(sample, "manifest_of", manifest_with_files):
        world.bootstrap()
        world.stopped_by_leak(STOPPED)
        world.rolled_back(ROLLED_BACK, "2")
        world.launch(OPEN, {"kind": "cadence", "cron": "0 6 1 * *"})
        world.until_candidate(OPEN, "3")
    return world


class TestEndings:
    @pytest.mark.parametrize("retrain", [FIRST, STOPPED, ROLLED_BACK, OPEN])
    def test_an_export_of_every_ending_holds(self, lived: SignedSample, tmp_path: Path, retrain: str) -> None:
        said = run(unpacked(exported(lived, retrain), tmp_path))
        assert (said.code, said.error) == (0, "")

    def test_of_an_open_retrain_there_is_no_decision_and_it_says_so(self, lived: SignedSample) -> None:
        files = exported(lived, OPEN).files
        assert not [name for name in files if name.startswith("decision")]
        assert "Nothing is decided yet" in files["README.md"].decode()
        assert "provenance.dsse.json" in files

    def test_one_that_was_stopped_before_training_has_no_bundle_and_is_attested_about_its_contract(
        self, lived: SignedSample, tmp_path: Path
    ) -> None:
        files = exported(lived, STOPPED).files
        assert not [name for name in files if name.startswith(("bundle/", "provenance", "mlbom"))]
        assert b'"subject":[{"digest"' in files["decision.dsse"]
        assert b'"name":"contract.json"' in files["decision.dsse"]
        assert "No person approved" in files["README.md"].decode()

    def test_a_bootstrap_is_the_signed_word_of_a_person(self, lived: SignedSample, tmp_path: Path) -> None:
        lines = run(unpacked(exported(lived, FIRST), tmp_path)).lines
        assert any(f"champion_bootstrapped by '{RUTH.name}': signed with SHA256:" in line for line in lines)

    def test_an_unknown_retrain_is_named(self, lived: SignedSample) -> None:
        with pytest.raises(RetrainError, match="no retrain 1999-01-01"):
            exported(lived, "1999-01-01")


class TestDeterminism:
    def test_the_same_record_gives_the_same_bytes_also_after_it_was_exported_and_others_went_on(self, tmp_path: Path) -> None:
        world = bootstrapped(tmp_path / "home")
        first = exported(world, FIRST)
        about = {"at": world.now + timedelta(days=1), "actor": RUTH, "model": MODEL, "reason": "for the auditor"}
        world.ledger.append(EventDraft(kind=EventKind.RECORD_EXPORTED, retrain=FIRST, **about))  # type: ignore[arg-type]
        world.launch("2013-09-01", {"kind": "person"})
        assert exported(world, FIRST).archive == first.archive

    def test_members_are_sorted_of_one_time_and_mode_and_below_one_folder(
        self, export: Export, signed_home: SignedSample
    ) -> None:
        with tarfile.open(fileobj=BytesIO(export.archive)) as archive:
            members = archive.getmembers()
        assert [one.name for one in members] == sorted(f"{MODEL}-{KEY}/{name}" for name in export.files)
        assert {(one.mode, one.uid, one.uname, one.isreg()) for one in members} == {(0o644, 0, "", True)}
        assert len({one.mtime for one in members}) == 1


class TestWhatIsRefused:
    def test_a_broken_chain(self, tmp_path: Path) -> None:
        world = begun(tmp_path / "home")
        world.launch(KEY, {"kind": "person"})
        with sqlite3.connect(world.home.root / "ledger.db") as database:
            for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                database.execute(f"DROP TRIGGER {trigger}")
            database.execute("UPDATE events SET reason = 'another one'")
        database.close()
        with pytest.raises(CustodyError, match="event 1"):
            exported(world)

    def test_evidence_that_was_changed(self, tmp_path: Path) -> None:
        world = begun(tmp_path / "home")
        world.stopped_by_leak(STOPPED)
        digest = world.event(EventKind.GATE_EVALUATED, STOPPED).payload["evidence"]
        world.evidence.path(digest).write_bytes(b"{}")
        with pytest.raises(CustodyError, match=digest[:19]):
            exported(world, STOPPED)

    def test_a_bundle_that_is_not_the_registered_one(self, signed_home: SignedSample) -> None:
        other = {**files_of_the_bundle.FILES, "model.txt": b"another model"}
        with patch.object(files_of_the_bundle, "FILES", other), pytest.raises(CustodyError, match="recorded is sha256:"):
            exported(signed_home)


class TestWhatIsNotInIt:
    def test_the_bundle_where_it_is_left_out(self, signed_home: SignedSample, tmp_path: Path) -> None:
        export = exported(signed_home, with_bundle=False)
        assert [name for name in export.files if name.startswith("bundle/")] == ["bundle/manifest.json"]
        assert "left out when this was exported" in export.files["README.md"].decode()
        assert run(unpacked(export, tmp_path)).code == 0

    def test_evidence_whose_retention_was_over(self, tmp_path: Path) -> None:
        world = begun(tmp_path / "home")
        world.stopped_by_leak(STOPPED)
        digest = world.event(EventKind.GATE_EVALUATED, STOPPED).payload["evidence"]
        file = {"path": f"evidence/{digest[7:9]}/{digest[7:]}.json", "kind": "evidence", "digest": digest}
        world.ledger.append(
            EventDraft(world.now, SYSTEM, EventKind.RETENTION_APPLIED, MODEL, "kept long enough", payload={"files": [file]})
        )
        world.evidence.path(digest).unlink()
        export = exported(world, STOPPED)
        number = world.ledger.head()[0] - 1
        assert f"evidence {digest[7:19]}…: event {number}: its retention was over" in export.files["README.md"].decode()
        assert b'"kind":"retention_applied"' in export.files["events.jsonl"]
        assert run(unpacked(export, tmp_path)).code == 0

    def test_addresses_and_passwords_that_the_contract_names(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CHAT_URL", "json://elsewhere.example/t0ken")
        world = bootstrapped(tmp_path / "home", contract=signed_contract(notify=[SECRET, "${CHAT_URL}"]))
        with patch.object(sample, "manifest_of", manifest_with_files):
            world.launch(KEY, {"kind": "person"})
            world.offline(KEY, world.until_candidate(KEY, "2"))
        world.arm(KEY)
        export = exported(world)
        for name, data in export.files.items():
            for secret in (SECRET, "pa55w0rd", "t0ken"):
                assert secret.encode() not in data, name
        folder = unpacked(export, tmp_path)
        registered = world.event(EventKind.TOGGLE_REGISTERED)
        assert registered.hash in document(folder, "withheld.json")["events"]
        assert document(folder, "contract.json")["notify"] == ["withheld", "${CHAT_URL}"]
        assert f"event {registered.sequence}: it names a service or a password" in (folder / "README.md").read_text()
        assert run(folder).code == 0

    def test_the_machines_own_paths_and_accounts(self, export: Export, signed_home: SignedSample) -> None:
        for name, data in export.files.items():
            assert str(signed_home.home.root).encode() not in data, name
            assert b"BEGIN OPENSSH PRIVATE KEY" not in data, name


@pytest.fixture(scope="module")
def by_commit(tmp_path_factory: pytest.TempPathFactory) -> SignedSample:
    """A first champion that Ruth accepted by a signed commit."""
    root = tmp_path_factory.mktemp("git")
    return bootstrapped(root / "home", sign=lambda case, actor: in_git(root / "repository", case))


class TestSources:
    def test_an_approval_without_a_key_is_stated_as_such(self, tmp_path: Path) -> None:
        world = bootstrapped(tmp_path / "home", contract=CONTRACT, sign=lambda case, actor: None)
        export = exported(world, FIRST)
        said, number = run(unpacked(export, tmp_path)), world.event(EventKind.CHAMPION_BOOTSTRAPPED, FIRST).sequence
        assert said.code == 0
        assert f"note   event {number}, champion_bootstrapped by '{RUTH.name}': NOT SIGNED" in said.lines
        assert "Not signed." in export.files["README.md"].decode()

    def test_the_command_in_the_readme_verifies_an_approval_alone(self, pristine: Path) -> None:
        lines = [line.strip() for line in (pristine / "README.md").read_text().splitlines() if "-Y verify" in line]
        assert lines
        for line in lines:
            said = subprocess.run(["sh", "-c", line], cwd=pristine, capture_output=True, text=True, check=True)
            assert said.stdout.startswith('Good "approve@retrain-assets" signature for ruth')

    def test_a_signed_commit_is_verified_down_to_the_statement_it_brought(self, by_commit: SignedSample, tmp_path: Path) -> None:
        folder, number = unpacked(exported(by_commit, FIRST), tmp_path), commit_of(by_commit)
        fingerprint = key_of(RUTH.name).get_fingerprint()
        said = run(folder)
        assert f"holds  event {number}, champion_bootstrapped by '{RUTH.name}': signed with {fingerprint}" in said.lines
        assert said.code == 0

    @pytest.mark.parametrize(("end", "old", "new"), [("git", "626c6f62", "626c7562"), ("json", "absolute", "relative")])
    def test_a_commit_that_brought_something_else_is_found(
        self, by_commit: SignedSample, tmp_path: Path, end: str, old: str, new: str
    ) -> None:
        folder, number = unpacked(exported(by_commit, FIRST), tmp_path), commit_of(by_commit)
        file = folder / f"approvals/{number:03}.{end}"
        file.write_text(file.read_text().replace(old, new))
        resign(folder, SystemKey.open(by_commit.home.system_key_path))
        assert f"event {number}, champion_bootstrapped" in run(folder).faults[0]

    @pytest.mark.parametrize("with_its_objects", [False, True])
    def test_another_commit_of_the_same_person_is_found(
        self, by_commit: SignedSample, tmp_path: Path, *, with_its_objects: bool
    ) -> None:
        folder, number = unpacked(exported(by_commit, FIRST), tmp_path), commit_of(by_commit)
        file = b"blob 5\0other"
        entry = b"100644 approval.json\0" + hashlib.sha1(file).digest()
        tree = b"tree %d\0%s" % (len(entry), entry)
        other = b"tree " + hashlib.sha1(tree).hexdigest().encode() + b"\nauthor Ruth\n\nsomething else\n"
        (folder / f"approvals/{number:03}.commit").write_bytes(other)
        (folder / f"approvals/{number:03}.commit.sig").write_text(sign(other, key_of(RUTH.name), Namespace.GIT))
        if with_its_objects:
            chain = [hashlib.sha1(tree).hexdigest(), tree.hex(), file.hex()]
            (folder / f"approvals/{number:03}.git").write_text(json.dumps(chain))
        resign(folder, SystemKey.open(by_commit.home.system_key_path))
        assert run(folder).faults == [
            f"event {number}, champion_bootstrapped by '{RUTH.name}': signed with {key_of(RUTH.name).get_fingerprint()}"
        ]


def commit_of(world: SignedSample) -> int:
    return world.event(EventKind.CHAMPION_BOOTSTRAPPED, FIRST).sequence


def in_git(repository: Path, case: Case) -> Signed:
    """The case in a file that a signed commit of Ruth's brings into a new repository."""
    repository.mkdir()
    key = repository / ".key"
    key_of(RUTH.name).write_private_key(str(key))
    key.chmod(0o600)
    told = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    moment = f"{case.now.timestamp():.0f} +0000"
    told |= {"GIT_AUTHOR_DATE": moment, "GIT_COMMITTER_DATE": moment}
    identity = ["-c", "user.name=Ruth", "-c", f"user.email={RUTH.name}", "-c", "gpg.format=ssh", "-c", f"user.signingkey={key}"]

    def git(*arguments: str) -> None:
        subprocess.run(["git", *identity, *arguments], cwd=repository, check=True, capture_output=True, env=told)

    git("init", "-q")
    file = repository / "approvals" / MODEL / "approval.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(case.statement().bytes)
    git("add", "approvals")
    git("commit", "-q", "-S", "-m", "approve")
    return signed_in_git(repository, f"approvals/{MODEL}/approval.json")
