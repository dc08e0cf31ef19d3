"""Approval by pull request: a statement in a file that a signed commit brought, provable later without the repository."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.contract import RetrainError, SignatureError
from retrain_assets.ledger import EventKind, Statement
from retrain_assets.release.git_approval import _proof, default_path, signed_in_git
from retrain_assets.release.git_objects import brought, object_id, parsed_commit
from retrain_assets.release.signing import Signed, recorded_fault

from .people import KEY, copied, key_of, signed_world
from .world import EVE, MODEL, PAUL, RUTH, World

PATH = default_path(MODEL, KEY)


class Repository:
    """A real repository in which people sign their commits with their own keys."""

    def __init__(self, folder: Path, hash_name: str = "sha1") -> None:
        self.folder, self.keys = folder, folder.parent / f"{folder.name}-keys"
        folder.mkdir(parents=True)
        self.keys.mkdir()
        for person in (RUTH, PAUL, EVE):
            key_of(person.name).write_private_key(self.keys / person.name)
            (self.keys / person.name).chmod(0o600)
            key_of(person.name).write_public_key(self.keys / f"{person.name}.pub")
        self.git("init", "-q", "-b", "main", f"--object-format={hash_name}")
        self.commit({"README": "approvals"}, None)

    def git(self, *arguments: str, code: int = 0) -> str:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        config = ["-c", "user.name=somebody", "-c", "user.email=x@flights.example", "-c", "gpg.format=ssh"]
        command = ["git", *config, "-C", str(self.folder), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout.strip()

    def commit(self, files: dict[str, str], signer: str | None) -> str:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        signing = [f"-S{self.keys / signer}"] if signer else ["--no-gpg-sign"]
        self.git("commit", "-q", "-m", "a commit", *signing)
        return self.git("rev-parse", "HEAD")

    def git_verifies(self, commit: str, world: World) -> bool:
        """What git itself says about a commit, by the same keys."""
        signers = self.keys / "allowed_signers"
        signers.write_text(world.contract.approval.allowed_signers or "")
        done = subprocess.run(
            ["git", "-c", f"gpg.ssh.allowedSignersFile={signers}", "-C", str(self.folder), "verify-commit", commit],
            capture_output=True,
            check=False,
        )
        return done.returncode == 0


@pytest.fixture(scope="module")
def waiting_base(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = signed_world(tmp_path_factory.mktemp("pulled") / "home")
    world.awaiting(KEY)
    return world


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def statement(world: World, actor: Any = RUTH) -> str:
    case, _ = world.controller.approval_case(MODEL, KEY, actor, "clear win")
    return json.dumps(json.loads(case.statement(case.now + timedelta(days=2)).bytes), indent=2)


def hand_in(world: World, signed: Signed) -> Any:
    return world.controller.approve(MODEL, KEY, RUTH, "clear win", signed=signed)


@pytest.mark.parametrize("hash_name", ["sha1", "sha256"])
def test_a_file_that_the_approvers_signed_commit_brought_approves(waiting_base: World, tmp_path: Path, hash_name: str) -> None:
    world, repository = copied(waiting_base, tmp_path / "home"), Repository(tmp_path / "repository", hash_name)
    commit = repository.commit({PATH: statement(world)}, RUTH.name)
    assert repository.git_verifies(commit, world)
    given = hand_in(world, signed_in_git(repository.folder, PATH))
    assert (given.source, given.key) == ("git", key_of(RUTH.name).get_fingerprint())
    assert world.controller.decide(MODEL, KEY).decision == "promote"


def test_its_proof_needs_the_repository_no_more(waiting_base: World, tmp_path: Path, repository: Repository) -> None:
    world = copied(waiting_base, tmp_path / "home")
    commit = repository.commit({PATH: statement(world)}, RUTH.name)
    hand_in(world, signed_in_git(repository.folder, PATH))
    repository.folder.rename(tmp_path / "gone")
    (event,) = world.ledger.events(kinds=[EventKind.APPROVED])
    assert recorded_fault(event, world.contract.approval, world.ledger.identity) is None
    proof = event.payload["signed"]["proof"]
    assert object_id("commit", base64.b64decode(proof["commit"])) == commit == proof["id"]


def test_a_merge_is_looked_through_to_the_signed_commit(waiting_base: World, tmp_path: Path, repository: Repository) -> None:
    world = copied(waiting_base, tmp_path / "home")
    repository.git("checkout", "-q", "-b", "approve")
    mine = repository.commit({PATH: statement(world)}, RUTH.name)
    repository.git("checkout", "-q", "main")
    repository.commit({"other": "work"}, None)
    repository.git("merge", "-q", "--no-ff", "--no-gpg-sign", "-m", "merge", "approve")
    repository.commit({"more": "work"}, None)
    signed = signed_in_git(repository.folder, PATH)
    assert signed.proof["id"] == mine
    assert hand_in(world, signed).source == "git"


def test_an_earlier_commit_can_be_named(waiting_base: World, tmp_path: Path, repository: Repository) -> None:
    world = copied(waiting_base, tmp_path / "home")
    commit = repository.commit({PATH: statement(world)}, RUTH.name)
    repository.git("rm", "-q", PATH)
    repository.commit({}, None)
    with pytest.raises(RetrainError, match=f"there is no file {PATH} in it"):
        signed_in_git(repository.folder, PATH)
    assert hand_in(world, signed_in_git(repository.folder, PATH, commit)).source == "git"


def test_a_folder_within_the_clone_can_be_named(waiting_base: World, tmp_path: Path, repository: Repository) -> None:
    world = copied(waiting_base, tmp_path / "home")
    repository.commit({PATH: statement(world)}, RUTH.name)
    assert hand_in(world, signed_in_git(repository.folder / "approvals", PATH)).source == "git"


class TestRefused:
    def test_a_commit_that_is_not_signed(self, waiting_base: World, repository: Repository) -> None:
        repository.commit({PATH: statement(waiting_base)}, None)
        with pytest.raises(SignatureError, match=r"is not signed with an SSH key; set gpg\.format to ssh and commit with -S"):
            signed_in_git(repository.folder, PATH)

    def test_a_commit_signed_by_somebody_else(self, waiting_base: World, repository: Repository) -> None:
        commit = repository.commit({PATH: statement(waiting_base)}, PAUL.name)
        assert repository.git_verifies(commit, waiting_base), "a good signature, of the wrong person"
        with pytest.raises(SignatureError, match="which is not theirs"):
            hand_in(waiting_base, signed_in_git(repository.folder, PATH))

    def test_a_commit_signed_with_a_key_nobody_named(self, waiting_base: World, repository: Repository) -> None:
        commit = repository.commit({PATH: statement(waiting_base)}, EVE.name)
        assert not repository.git_verifies(commit, waiting_base)
        with pytest.raises(SignatureError, match="which is not theirs"):
            hand_in(waiting_base, signed_in_git(repository.folder, PATH))

    def test_a_later_signed_commit_over_a_file_somebody_else_brought(self, waiting_base: World, repository: Repository) -> None:
        """Ruth signs her daily work on a tree into which Eve put an approval in her name."""
        repository.commit({PATH: statement(waiting_base)}, None)
        later = repository.commit({"work": "of the day"}, RUTH.name)
        assert repository.git_verifies(later, waiting_base)
        with pytest.raises(SignatureError, match="is not signed"):
            signed_in_git(repository.folder, PATH)
        with pytest.raises(SignatureError, match="did not bring the file"):
            hand_in(waiting_base, forged_from(repository, later))

    def test_a_signed_merge_of_somebody_elses_branch(self, waiting_base: World, repository: Repository) -> None:
        repository.git("checkout", "-q", "-b", "eve")
        repository.commit({PATH: statement(waiting_base)}, None)
        repository.git("checkout", "-q", "main")
        repository.commit({"other": "work"}, None)
        repository.git("merge", "-q", "--no-ff", f"-S{repository.keys / RUTH.name}", "-m", "merge", "eve")
        merge = repository.git("rev-parse", "HEAD")
        with pytest.raises(SignatureError, match="is not signed"):
            signed_in_git(repository.folder, PATH)
        with pytest.raises(SignatureError, match="did not bring the file"):
            hand_in(waiting_base, forged_from(repository, merge))

    @pytest.mark.parametrize("how", ["rebase", "cherry-pick", "amend"])
    def test_a_commit_that_somebody_else_wrote(self, waiting_base: World, repository: Repository, how: str) -> None:
        """Ruth signs whatever she commits; Eve's commit, made again in passing, then carries Ruth's signature."""
        repository.git("checkout", "-q", "-b", "eve")
        environment = ("-c", "user.name=Eve", "-c", "user.email=eve@elsewhere.example")
        (repository.folder / PATH).parent.mkdir(parents=True)
        (repository.folder / PATH).write_text(statement(waiting_base))
        repository.git("add", "-A")
        repository.git(*environment, "commit", "-q", "-m", "tidy up", "--no-gpg-sign")
        signing = f"-S{repository.keys / RUTH.name}"
        if how == "amend":
            repository.git("commit", "-q", "--amend", "--no-edit", signing)
        else:
            repository.git("checkout", "-q", "main")
            repository.commit({"other": "work"}, None)
            if how == "rebase":
                repository.git("checkout", "-q", "eve")
                repository.git("rebase", "-q", signing, "main")
            else:
                repository.git("cherry-pick", signing, "eve")
        assert repository.git_verifies("HEAD", waiting_base), "with Ruth's key"
        with pytest.raises(SignatureError, match=r"was written by Eve <eve@elsewhere\.example> and made by somebody"):
            hand_in(waiting_base, signed_in_git(repository.folder, PATH))

    def test_a_file_too_long_for_a_statement(self, repository: Repository) -> None:
        repository.commit({PATH: "x" * 262145}, RUTH.name)
        with pytest.raises(SignatureError, match="is longer than 262144 bytes"):
            signed_in_git(repository.folder, PATH)

    @pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "approvals", "approvals/", ":(glob)**"])
    def test_a_path_that_is_no_file_of_it(self, waiting_base: World, repository: Repository, path: str) -> None:
        repository.commit({PATH: statement(waiting_base)}, RUTH.name)
        with pytest.raises(RetrainError):
            signed_in_git(repository.folder, path)

    def test_a_submodule_in_place_of_the_file(self, repository: Repository) -> None:
        head = repository.git("rev-parse", "HEAD")
        repository.git("update-index", "--add", "--cacheinfo", f"160000,{head},{PATH}")
        repository.git("commit", "-q", "-m", "a submodule", f"-S{repository.keys / RUTH.name}")
        with pytest.raises(RetrainError):
            signed_in_git(repository.folder, PATH)

    def test_a_statement_that_was_changed_in_the_file(self, waiting_base: World, repository: Repository) -> None:
        repository.commit({PATH: statement(waiting_base).replace("clear win", "whatever")}, RUTH.name)
        with pytest.raises(SignatureError, match="its reason is 'whatever'"):
            hand_in(waiting_base, signed_in_git(repository.folder, PATH))

    def test_a_file_that_is_no_statement(self, repository: Repository) -> None:
        repository.commit({PATH: '{"approve": true}'}, RUTH.name)
        with pytest.raises(SignatureError, match="it is not a statement"):
            signed_in_git(repository.folder, PATH)
        repository.commit({PATH: "approved!"}, RUTH.name)
        with pytest.raises(SignatureError, match="is not a statement"):
            signed_in_git(repository.folder, PATH)

    def test_a_link_in_place_of_the_file(self, repository: Repository) -> None:
        (repository.folder / PATH).parent.mkdir(parents=True)
        (repository.folder / PATH).symlink_to("/etc/hostname")
        repository.commit({}, RUTH.name)
        with pytest.raises(SignatureError, match="does not hold this file"):
            signed_in_git(repository.folder, PATH)

    def test_a_clone_without_its_history(self, waiting_base: World, tmp_path: Path, repository: Repository) -> None:
        repository.commit({PATH: statement(waiting_base)}, RUTH.name)
        shallow = tmp_path / "shallow"
        subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{repository.folder}", str(shallow)], check=True)
        with pytest.raises(RetrainError, match="fetch-depth: 0"):
            signed_in_git(shallow, PATH)

    def test_a_folder_that_is_no_repository_and_a_commit_that_is_not_there(self, tmp_path: Path, repository: Repository) -> None:
        with pytest.raises(RetrainError, match="git rev-parse fails"):
            signed_in_git(tmp_path / "nowhere", PATH)
        with pytest.raises(RetrainError, match="git rev-parse fails"):
            signed_in_git(repository.folder, PATH, "--all")

    @pytest.mark.parametrize("part", ["commit", "id", "trees", "blob", "parents", "path"])
    def test_a_proof_with_a_part_of_it_changed(self, waiting_base: World, repository: Repository, part: str) -> None:
        repository.commit({PATH: statement(waiting_base)}, RUTH.name)
        signed = signed_in_git(repository.folder, PATH)
        proof = {**signed.proof, part: SPOILT[part](signed.proof[part])}
        with pytest.raises(SignatureError):
            hand_in(waiting_base, replace(signed, proof=proof))

    def test_the_commits_signature_replaced_by_another(self, waiting_base: World, repository: Repository) -> None:
        repository.commit({PATH: statement(waiting_base)}, RUTH.name)
        signed = signed_in_git(repository.folder, PATH)
        with pytest.raises(SignatureError, match="the signature is not the commit's"):
            hand_in(waiting_base, replace(signed, signature=signed.signature.replace("A", "B")))

    def test_the_file_of_another_ledger(self, waiting_base: World, tmp_path: Path, repository: Repository) -> None:
        other = signed_world(tmp_path / "other")
        other.clock.forward(minutes=1)
        other.awaiting(KEY)
        repository.commit({PATH: statement(other)}, RUTH.name)
        with pytest.raises(SignatureError, match="its ledger is"):
            hand_in(waiting_base, signed_in_git(repository.folder, PATH))


def _flipped(text: str) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[len(raw) // 2] ^= 1
    return base64.b64encode(raw).decode()


SPOILT: dict[str, Callable[[Any], Any]] = {
    "commit": _flipped,
    "id": lambda value: "0" * len(value),
    "trees": lambda value: [*value[:-1], _flipped(value[-1])],
    "blob": _flipped,
    "parents": lambda value: [],
    "path": lambda value: "README",
}


def forged_from(repository: Repository, commit: str) -> Signed:
    """What somebody would hand in who takes a signed commit that holds the file for the one that brought it."""
    raw, proof = _proof(repository.folder, commit, PATH)
    return Signed(Statement.from_json(json.loads(base64.b64decode(proof["blob"]))), parsed_commit(raw).signature, "git", proof)


def test_objects_are_read_as_git_reads_them(repository: Repository) -> None:
    commit = repository.commit({"a/b/c.json": "{}", "a/d": "x"}, RUTH.name)
    raw = subprocess.run(
        ["git", "-C", str(repository.folder), "cat-file", "commit", commit], capture_output=True, check=True
    ).stdout
    found = parsed_commit(raw)
    assert object_id("commit", raw) == commit
    assert found.tree == repository.git("rev-parse", f"{commit}^{{tree}}")
    assert list(found.parents) == [repository.git("rev-parse", f"{commit}^")]
    assert str(int(found.committed_at.timestamp())) == repository.git("log", "-1", "--format=%ct")
    with pytest.raises(SignatureError, match="not whole"):
        brought({"path": "a"})
