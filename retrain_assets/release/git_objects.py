"""What a signed git commit proves without its repository: that it brought a file, with this content, into the tree.

Read from raw objects alone (git-scm.com, "Git Internals - Git Objects"), each of which is named by the hash of its bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from retrain_assets.contract import SignatureError

_HASHES = {40: hashlib.sha1, 64: hashlib.sha256}
"""The hash of a repository by the length of its object ids."""

_SIGNATURES = ("gpgsig", "gpgsig-sha256")
"""Headers of a commit that hold signatures; none of them is signed."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One raw commit object.

    Args:
        tree: id of its tree.
        parents: ids of its parents.
        author: name and address of whoever wrote it, as it says.
        committer: of whoever made it, which after a rebase, a cherry-pick or an amendment is somebody else.
        committed_at: the committer's time.
        signature: the armored signature; empty where there is none.
        signed: the bytes the signature is of: the object without it.
    """

    tree: str
    parents: tuple[str, ...]
    author: bytes
    committer: bytes
    committed_at: datetime
    signature: str
    signed: bytes


@dataclass(frozen=True, slots=True)
class Brought:
    """What a proof comes to.

    Args:
        commit: the commit that brought the file.
        commit_id: its id.
        blob: the file's content.
    """

    commit: Commit
    commit_id: str
    blob: bytes


def object_id(kind: str, data: bytes, length: int = 40) -> str:
    """The id of an object, of 40 (SHA-1) or 64 (SHA-256) hexadecimal digits."""
    return _HASHES[length](f"{kind} {len(data)}".encode() + b"\0" + data).hexdigest()


def parsed_commit(raw: bytes) -> Commit:
    """A raw commit object, read.

    Raises:
        SignatureError: when it is none.
    """
    head, _, message = raw.partition(b"\n\n")
    fields: list[tuple[str, bytes]] = []
    kept: list[bytes] = []
    for line in head.split(b"\n"):
        if line.startswith(b" ") and fields:
            fields[-1] = (fields[-1][0], fields[-1][1] + b"\n" + line[1:])
        else:
            name, _, value = line.partition(b" ")
            fields.append((name.decode("ascii", "replace"), value))
        if fields[-1][0] not in _SIGNATURES:
            kept.append(line)
    trees = [value.decode("ascii", "replace") for name, value in fields if name == "tree"]
    parents = tuple(value.decode("ascii", "replace") for name, value in fields if name == "parent")
    signatures = [
        value for name, value in fields if name == ("gpgsig" if len(trees[0] if trees else "") == 40 else "gpgsig-sha256")
    ]
    authors, committers = ([value for name, value in fields if name == who] for who in ("author", "committer"))
    time = re.fullmatch(rb"(.*>) (\d{1,12}) [+-]\d{4}", committers[0] if committers else b"", re.DOTALL)
    if len(trees) != 1 or len(trees[0]) not in _HASHES or time is None or len(signatures) > 1 or len(authors) != 1:
        raise SignatureError("it is not a git commit", remedy="hand in the repository's own objects")
    try:
        armored = signatures[0].decode("ascii") if signatures else ""
        committed_at = datetime.fromtimestamp(int(time[2]), UTC)
    except (ValueError, OverflowError) as error:
        raise SignatureError(f"it is not a git commit ({error})") from error
    author, signed = authors[0].rpartition(b">")[0] + b">", b"\n".join(kept) + b"\n\n" + message
    return Commit(trees[0], parents, author, time[1], committed_at, armored, signed)


def entry_of(tree: bytes, name: str, length: int) -> tuple[str, str] | None:
    """Mode and id of an entry of a raw tree object; None where there is none of that name.

    Raises:
        SignatureError: when the bytes are no tree.
    """
    at, size = 0, length // 2
    while at < len(tree):
        space, end = tree.find(b" ", at), tree.find(b"\0", at)
        if space < 0 or end < space or end + 1 + size > len(tree):
            raise SignatureError("it is not a git tree", remedy="hand in the repository's own objects")
        if tree[space + 1 : end] == name.encode():
            return tree[at:space].decode("ascii", "replace"), tree[end + 1 : end + 1 + size].hex()
        at = end + 1 + size
    return None


def brought(proof: Mapping[str, Any]) -> Brought:
    """What a proof shows: the commit that brought a file into the tree, and the file.

    A file that a parent had already was brought by somebody else: who signs a later commit has not signed it. Nor has whoever
    rebases, picks or amends what somebody else wrote: git signs such a commit in passing.

    Args:
        proof: ``path``, ``commit`` and its ``id``, ``trees`` from the commit's own down to the file's folder, ``blob``, and
            ``parents``, each with ``commit`` and ``trees`` as far down as they go; objects as base64.

    Raises:
        SignatureError: when an object is not the one its holder names, or a parent is missing or had the file.
    """
    try:
        path = str(proof["path"]).split("/")
        raw, blob = _bytes(proof["commit"]), _bytes(proof["blob"])
        trees = [_bytes(one) for one in proof["trees"]]
        parents = [(_bytes(one["commit"]), [_bytes(tree) for tree in one["trees"]]) for one in proof["parents"]]
        named = str(proof["id"])
    except (KeyError, TypeError) as error:
        raise SignatureError(
            f"the proof of the commit is not whole ({error})", remedy="read it from the repository again"
        ) from error
    commit = parsed_commit(raw)
    length = len(commit.tree)
    if commit.author != commit.committer:
        who, by = (one.decode("utf-8", "replace") for one in (commit.author, commit.committer))
        raise SignatureError(
            f"commit {named[:12]}… was written by {who} and made by {by}", remedy="the approver writes and signs the commit"
        )
    if object_id("commit", raw, length) != named:
        raise SignatureError(f"the commit is not {named[:12]}…", remedy="read it from the repository again")
    here = _found(commit.tree, trees, path, length)
    if here is None or here != object_id("blob", blob, length):
        raise SignatureError(f"commit {named[:12]}… does not hold this file {'/'.join(path)}", remedy="read it again")
    ids = [object_id("commit", one, length) for one, _ in parents]
    if ids != list(commit.parents):
        raise SignatureError(f"the parents of commit {named[:12]}… are not the ones it names", remedy="read it again")
    for parent, below in parents:
        if _found(parsed_commit(parent).tree, below, path, length) == here:
            raise SignatureError(
                f"commit {named[:12]}… did not bring the file {'/'.join(path)}, a parent has it",
                remedy="sign the commit that adds it",
            )
    return Brought(commit, named, blob)


def _found(tree: str, trees: Sequence[bytes], path: Sequence[str], length: int) -> str | None:
    """The id of the blob at a path, followed from a tree's id through raw trees; None where the path ends before."""
    wanted, last = tree, len(path) - 1
    for depth, name in enumerate(path):
        if depth >= len(trees) or object_id("tree", trees[depth], length) != wanted:
            raise SignatureError(f"the tree {wanted[:12]}… is missing", remedy="read it from the repository again")
        entry = entry_of(trees[depth], name, length)
        if entry is None or (entry[0] == "40000") is (depth == last):
            return None
        if depth == last:
            return entry[1] if entry[0] in ("100644", "100755") else None
        wanted = entry[1]
    return None


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except binascii.Error as error:
        raise SignatureError("the proof of the commit is not base64", remedy="read it from the repository again") from error
