"""A statement that a signed git commit brought into a repository, read with the proof that needs the repository no more."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from retrain_assets.contract import RetrainError, SignatureError
from retrain_assets.ledger import Statement
from retrain_assets.release.git_objects import brought, entry_of, parsed_commit
from retrain_assets.release.signing import Signed

LARGEST_STATEMENT = 262144
"""Bytes of a file that may hold a statement; they go into the ledger."""


def default_path(model: str, retrain: str) -> str:
    """Where a repository keeps the approval of a retrain."""
    return f"approvals/{model}/{retrain}.json"


def signed_in_git(repository: Path, path: str, revision: str = "HEAD") -> Signed:
    """The statement in a file of a commit, signed by the commit that brought it there.

    Merges are looked through: of a pull request that was merged, the approver's own commit counts. Whose key it must be, and
    whether the statement says what it has to, is checked where it is handed in.

    Args:
        repository: a clone, with its history.
        path: of the file, as ``approvals/MODEL/RETRAIN.json``.
        revision: the commit that holds it.

    Raises:
        RetrainError: git, the repository, the commit or the file is not there.
        SignatureError: the commit is not signed with an SSH key, or the file is no statement.
    """
    where, repository = f"{repository} {revision}", _top(repository)
    commit = _git(repository, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}").decode().strip()
    found_at = _git(repository, "ls-tree", "-z", "-l", commit, "--", path)
    if not found_at:
        raise RetrainError(
            f"there is no file {path} in it", where=where, remedy="commit what retrain approve … --print-statement prints"
        )
    size = found_at.partition(b"\t")[0].split()[-1]
    if size.isdigit() and int(size) > LARGEST_STATEMENT:
        raise SignatureError(
            f"{path} is longer than {LARGEST_STATEMENT} bytes, which no statement is",
            where=where,
            remedy="commit what is printed",
        )
    bringer = _git(repository, "rev-list", "-1", commit, "--", path).decode().strip()
    raw, proof = _proof(repository, bringer, path)
    found = parsed_commit(raw)
    if not found.signature.startswith("-----BEGIN SSH SIGNATURE-----"):
        raise SignatureError(
            f"commit {bringer[:12]}, which brought {path}, is not signed with an SSH key",
            where=where,
            remedy="set gpg.format to ssh and commit with -S; a merge that squashes or rebases drops the signature",
        )
    try:
        statement = Statement.from_json(json.loads(brought(proof).blob))
    except (ValueError, RecursionError) as error:
        raise SignatureError(f"{path} is not a statement ({error})", where=where, remedy="commit what is printed") from error
    return Signed(statement, found.signature, "git", proof)


def _top(repository: Path) -> Path:
    """The folder git's paths count from, where a folder inside of a clone is named."""
    return repository / _git(repository, "rev-parse", "--show-cdup").decode().strip()


def _proof(repository: Path, commit: str, path: str) -> tuple[bytes, dict[str, Any]]:
    """The raw commit, and with it and its parents every object that shows that it brought the file."""
    raw = _object(repository, "commit", commit)
    parsed = parsed_commit(raw)
    trees, blob = _down(repository, parsed.tree, path)
    parents = []
    for parent in parsed.parents:
        raw_parent = _object(repository, "commit", parent)
        parents.append({"commit": _text(raw_parent), "trees": _down(repository, parsed_commit(raw_parent).tree, path)[0]})
    content = _object(repository, "blob", blob) if blob is not None else b""
    proof = {
        "path": path,
        "id": commit,
        "commit": _text(raw),
        "trees": trees,
        "blob": _text(content),
        "parents": parents,
    }
    return raw, proof


def _down(repository: Path, tree: str, path: str) -> tuple[list[str], str | None]:
    """The trees from one down to a path's folder, as far as they go, and the id at its end."""
    trees, wanted, names = list[str](), tree, path.split("/")
    for name in names:
        raw = _object(repository, "tree", wanted)
        trees.append(_text(raw))
        entry = entry_of(raw, name, len(tree))
        if entry is None:
            return trees, None
        if entry[0] != "40000":
            return trees, entry[1] if name is names[-1] else None
        wanted = entry[1]
    return trees, None


def _object(repository: Path, kind: str, name: str) -> bytes:
    return _git(repository, "cat-file", kind, name)


def _git(repository: Path, *arguments: str) -> bytes:
    """What git answers; nothing the environment says about repositories, replaced objects or remotes counts."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    command = ["git", "--literal-pathspecs", "-C", str(repository), *arguments]
    try:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise RetrainError("git is not installed", remedy="install git") from error
    if done.returncode:
        said = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it says nothing"])[-1]
        raise RetrainError(
            f"git {arguments[0]} fails ({said})",
            where=str(repository),
            remedy="hand in a clone with its history (in CI: fetch-depth: 0) and a commit it has",
        )
    return done.stdout


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
