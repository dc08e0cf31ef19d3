"""What people put their name to, so that ``ssh-keygen -Y verify`` alone checks it: statement, signature, and whose key counts."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from retrain_assets.contract import canonical_json
from retrain_assets.contract.approval import same_person
from retrain_assets.ledger import Event, EventKind, Namespace
from retrain_assets.release.git_objects import Brought, brought
from retrain_assets.release.signing import Signed
from retrain_assets.reports.export.material import Material
from retrain_assets.reports.people import WORDS_OF_PEOPLE

SIGNERS = "allowed_signers"
"""The file ``ssh-keygen -f`` is given."""

WORDS = frozenset({*WORDS_OF_PEOPLE, EventKind.OVERRIDE_SIGNED})
"""Kinds of events that are somebody's word on the retrain; where nobody signed one, an export says so."""


@dataclass(frozen=True, slots=True)
class Word:
    """What one person said.

    Args:
        event: the event that records it.
        signed: what was signed; None where the record only names the person.
        principal: the person as the allowed-signers file writes them, which tells capitals apart.
    """

    event: Event
    signed: Signed | None
    principal: str

    @property
    def name(self) -> str:
        """Path of its files in the export, without their endings."""
        return f"approvals/{self.event.sequence:03}"

    @property
    def file(self) -> str:
        """The file whose bytes are signed."""
        return self.name + (".commit" if self.signed is not None and self.signed.source == "git" else ".json")

    @property
    def command(self) -> str:
        """The command that checks the signature, typed in the export's folder."""
        assert self.signed is not None  # asked of what is signed
        statement = self.signed.statement
        namespace = Namespace.GIT if self.signed.source == "git" else statement.act.namespace
        return (
            f"TZ=UTC ssh-keygen -Y verify -f {SIGNERS} -I {self.principal} -n {namespace} "
            f"-Overify-time={statement.at:%Y%m%d%H%M%S} -s {self.file}.sig < {self.file}"
        )


def words_of(material: Material) -> list[Word]:
    """Everything people signed or said about the retrain, oldest first."""
    found = []
    for event in material.events:
        if event.model != material.record.model:
            continue
        recorded = event.payload.get("signed")
        if recorded is not None:
            found.append(Word(event, Signed.from_json(recorded), _written(event.actor.name, material)))
        elif event.kind in WORDS and event.actor.is_person:
            found.append(Word(event, None, event.actor.name))
    return found


def approval_files(material: Material) -> Iterator[tuple[str, bytes]]:
    """``allowed_signers``, and for each signed word its statement, what was signed where that is a commit, and the signature."""
    yield SIGNERS, (system_line(material) + people_lines(material)).encode()
    for word in words_of(material):
        if word.signed is None:
            continue
        if word.signed.source == "git":
            found = brought(word.signed.proof)
            yield f"{word.name}.json", found.blob
            yield word.file, found.commit.signed
            yield f"{word.name}.git", canonical_json(_chain(found, word.signed.proof))
        else:
            yield word.file, word.signed.statement.bytes
        yield f"{word.file}.sig", f"{word.signed.signature.strip()}\n".encode()


def _written(person: str, material: Material) -> str:
    names = re.split(r'[\s,"]+', people_lines(material))
    return next((name for name in names if same_person(name, person)), person)


def _chain(found: Brought, proof: Mapping[str, Any]) -> list[str]:
    """How the signed commit leads to the file, as hexadecimal: the id of its tree, the trees on the way and the file, each as the
    bytes whose hash is its id (git-scm.com, "Git Internals - Git Objects")."""
    trees = [base64.b64decode(tree) for tree in proof["trees"]]
    objects = [b"tree %d\0%s" % (len(tree), tree) for tree in trees] + [b"blob %d\0%s" % (len(found.blob), found.blob)]
    return [found.commit.tree, *(one.hex() for one in objects)]


def system_line(material: Material) -> str:
    """The line of the allowed-signers file that is the system's."""
    kind, key, *_ = material.key.public_line.split()
    return f'{material.system} namespaces="{Namespace.CHECKPOINT},{Namespace.EXPORT}" {kind} {key}\n'


def people_lines(material: Material) -> str:
    """The people's lines, as the contract in force has them; empty where it names no keys."""
    return str(material.contract.get("approval", {}).get("allowed_signers") or "")
