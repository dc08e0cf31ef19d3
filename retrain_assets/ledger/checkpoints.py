"""Checkpoints: head and Merkle root over all event hashes, signed by the system (a signed tree head, RFC 6962)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from retrain_assets.contract import CustodyError, SignatureError, canonical_json, fingerprint_of
from retrain_assets.ledger.chain import BrokenLink, readable
from retrain_assets.ledger.events import Event, EventKind, timestamp
from retrain_assets.ledger.merkle import CompactRange, verify_inclusion
from retrain_assets.ledger.signatures import ARMOR_BEGIN, ARMOR_END, Namespace, Signature

if TYPE_CHECKING:
    from retrain_assets.ledger.store import Ledger

SCHEMA = "retrain_assets.checkpoint/1"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One signed statement about the whole chain so far.

    Args:
        ledger: identity of the ledger, the hash of its first event.
        sequence: the last event it covers, which is also the number of leaves of the tree.
        head: hash of that event.
        root: hexadecimal Merkle root over the bytes of all event hashes up to it.
        at: when it was made (the clock's time).
        key: fingerprint of the key that signed it.
        signature: the armored SSHSIG of :attr:`statement`.
    """

    ledger: str
    sequence: int
    head: str
    root: str
    at: datetime
    key: str = ""
    signature: str = ""

    @property
    def statement(self) -> bytes:
        """What is signed: the canonical JSON (RFC 8785)."""
        return canonical_json(
            {
                "schema": SCHEMA,
                "ledger": self.ledger,
                "sequence": self.sequence,
                "head": self.head,
                "root": self.root,
                "at": timestamp(self.at),
            }
        )

    @property
    def anchor(self) -> str:
        """``SEQUENCE:HASH`` of its head, as anchors outside the ledger keep it."""
        return f"{self.sequence}:{self.head}"

    def to_json(self) -> dict[str, Any]:
        """``statement``, ``key`` and ``signature``."""
        return {"statement": json.loads(self.statement), "key": self.key, "signature": self.signature}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`; nothing is verified.

        Raises:
            CustodyError: for anything else.
        """
        try:
            return cls.parse(canonical_json(value["statement"]).decode(), str(value["key"]), str(value["signature"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CustodyError(
                f"it is not a checkpoint ({error})", remedy="give one that retrain audit checkpoint wrote"
            ) from error

    @classmethod
    def parse(cls, statement: str, key: str, signature: str) -> Self:
        """A checkpoint from the text of its statement.

        Raises:
            ValueError: when the text is not, byte for byte, the statement of a checkpoint.
        """
        fields = json.loads(statement)
        if not isinstance(fields, dict) or not isinstance(fields.get("sequence"), int):
            raise ValueError("its statement names no event")
        try:
            made = cls(
                fields["ledger"],
                fields["sequence"],
                fields["head"],
                fields["root"],
                datetime.fromisoformat(fields["at"]),
                key,
                signature,
            )
            same = made.statement.decode() == statement
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"its statement lacks {error}") from error
        if not same:
            raise ValueError("its statement is not the one that was signed")
        return made


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Proof that an event is the one at its place in the chain a checkpoint signs, without the other events.

    Args:
        sequence: the event's.
        size: sequence of the checkpoint.
        path: hexadecimal audit path, from the leaf up (RFC 6962, section 2.1.1).
    """

    sequence: int
    size: int
    path: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        return {"sequence": self.sequence, "size": self.size, "path": list(self.path)}

    def holds(self, event_hash: str, root: str) -> bool:
        """Whether the event with this hash is at that place below that root (hexadecimal)."""
        try:
            path = [bytes.fromhex(one) for one in self.path]
            return verify_inclusion(bytes.fromhex(event_hash), self.sequence - 1, self.size, path, bytes.fromhex(root))
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class RecordedKey:
    """A system key as the ledger has it.

    Args:
        line: the public key as OpenSSH writes it.
        fingerprint: ``SHA256:…``.
        since: sequence of the event that added it.
        until: sequence of the event that replaced it; None while it is in force.
    """

    line: str
    fingerprint: str
    since: int
    until: int | None


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A row of the table, as it is: ``checkpoint`` is None where it cannot be read, and ``fault`` says why."""

    sequence: Any
    checkpoint: Checkpoint | None
    peaks: str
    fault: str = ""


def stored_checkpoint(row: Mapping[Any, Any]) -> StoredCheckpoint:
    """A row of the table as it is, readable or not."""
    sequence, peaks = row["sequence"], row["peaks"]
    wrong = [name for name in ("statement", "signature", "key", "peaks") if not isinstance(row[name], str)]
    try:
        if wrong:
            raise ValueError(f"its {wrong[0]} is no text")
        checkpoint = Checkpoint.parse(row["statement"], row["key"], row["signature"])
        if type(sequence) is not int or checkpoint.sequence != sequence:
            raise ValueError(f"its statement is about event {checkpoint.sequence}")
    except ValueError as error:
        return StoredCheckpoint(sequence, None, str(peaks), " ".join(str(error).split()))
    return StoredCheckpoint(sequence, checkpoint, peaks)


def recorded_keys(events: Iterable[Event]) -> list[RecordedKey]:
    """The system keys that the ledger names, in their order.

    Args:
        events: at least the events of kind ``system_key_added``.

    Raises:
        CustodyError: when such an event names no key.
    """
    added = [event for event in events if event.kind is EventKind.SYSTEM_KEY_ADDED]
    replaced = [*(event.sequence for event in added[1:]), None]
    keys = []
    for event, until in zip(added, replaced, strict=False):
        line = event.payload.get("key")
        if not isinstance(line, str) or _fingerprint(line) is None:
            raise CustodyError(
                f"event {event.sequence} (system_key_added) names no public key",
                where="ledger",
                remedy="run retrain audit verify",
            )
        keys.append(RecordedKey(line, str(_fingerprint(line)), event.sequence, until))
    return keys


def checkpoint_faults(ledger: Ledger, pinned: Sequence[str] | None = None) -> list[BrokenLink]:
    """Everything about the stored checkpoints that does not hold against the stored chain and the keys.

    Form, signature, key, ledger, head, root and the kept compact range of every one, in one pass over the hashes of the events.
    The chain itself is :meth:`Ledger.verify`'s.

    Args:
        ledger: the ledger.
        pinned: public keys (lines of ``.pub`` files) known from outside. When given, the newest checkpoint must be signed by one
            of them; earlier ones also by keys the ledger recorded before.

    Raises:
        CustodyError: when a stored event cannot be read.
    """
    stored = ledger.stored_checkpoints()
    keys = recorded_keys(ledger.events(kinds=[EventKind.SYSTEM_KEY_ADDED]))
    faults = [
        BrokenLink(_place(one.sequence), f"checkpoint {one.sequence!r}: {readable(one.fault)}") for one in stored if one.fault
    ]
    whole = [(one.checkpoint, one.peaks) for one in stored if one.checkpoint is not None]
    for checkpoint, _ in whole:
        faults += [_fault(checkpoint, said) for said in _signature_faults(checkpoint, keys, pinned)]
    if pinned is not None:
        faults += _pinned_faults([checkpoint for checkpoint, _ in whole], pinned)
    faults += _chain_faults(ledger, whole)
    return sorted(faults, key=lambda fault: fault.sequence)


def signed_by(checkpoint: Checkpoint, key_line: str) -> bool:
    """Whether a public key (a line of a ``.pub`` file) signed a checkpoint as it is."""
    return _fingerprint(key_line) == checkpoint.key and not _form_faults(checkpoint)


def trusted_checkpoint(ledger: Ledger, pinned: Sequence[str] | None = None) -> Checkpoint | None:
    """The newest checkpoint whose signature holds, by a pinned key or else by one the ledger recorded; None where there is none.

    It is where :meth:`Ledger.verify` may start with ``since``. Without a pinned key that is worth what the database is.
    """
    lines = pinned or [key.line for key in recorded_keys(ledger.events(kinds=[EventKind.SYSTEM_KEY_ADDED]))]
    for one in reversed(ledger.stored_checkpoints()):
        if one.checkpoint is not None and any(signed_by(one.checkpoint, line) for line in lines):
            return one.checkpoint
    return None


def peaks_text(tree: CompactRange) -> str:
    """A compact range as its row keeps it: hexadecimal peaks, largest first, with commas between."""
    return ",".join(peak.hex() for peak in tree.peaks)


def resumed(one: StoredCheckpoint) -> CompactRange:
    """The compact range a stored checkpoint ended with.

    Raises:
        CustodyError: when it does not give the root that was signed.
    """
    try:
        if one.checkpoint is None:
            raise ValueError(one.fault)
        tree = CompactRange(one.checkpoint.sequence, [bytes.fromhex(peak) for peak in one.peaks.split(",")])
        if tree.root.hex() != one.checkpoint.root:
            raise ValueError("its compact range does not give its root")
    except ValueError as error:
        raise CustodyError(
            f"checkpoint {one.sequence} is not what was recorded ({error})",
            where="ledger",
            remedy="run retrain audit verify and restore the ledger from a backup",
        ) from error
    return tree


def _signature_faults(checkpoint: Checkpoint, keys: Sequence[RecordedKey], pinned: Sequence[str] | None) -> list[str]:
    if form := _form_faults(checkpoint):
        return form
    if any(_fingerprint(line) == checkpoint.key for line in pinned or ()):
        return []
    own = [key for key in keys if key.fingerprint == checkpoint.key and key.since <= checkpoint.sequence]
    if not own:
        return [f"it is signed with key {checkpoint.key}, which the ledger does not name as the system's before it"]
    if all(key.until is not None and key.until <= checkpoint.sequence for key in own):
        return [f"it is signed with key {checkpoint.key}, which event {own[-1].until} had replaced"]
    return []


def _form_faults(checkpoint: Checkpoint) -> list[str]:
    """What of form and signature does not hold, whoever's key it is."""
    try:
        signature = Signature.parse(checkpoint.signature)
        if signature.namespace != Namespace.CHECKPOINT:
            return [f"its signature was given for {signature.namespace!r}"]
        if signature.fingerprint != checkpoint.key:
            return [f"it is signed with key {signature.fingerprint}, not with the one it names"]
        signature.verify(checkpoint.statement)
    except SignatureError as error:
        return [error.what]
    if not _exactly_armored(checkpoint.signature):
        return ["the text of its signature was changed"]
    return []


def _pinned_faults(checkpoints: Sequence[Checkpoint], pinned: Sequence[str]) -> list[BrokenLink]:
    if not checkpoints:
        return [BrokenLink(0, "there is no checkpoint, so nothing is signed by the system key given")]
    newest = checkpoints[-1]
    if any(_fingerprint(line) == newest.key for line in pinned):
        return []
    given = ", ".join(str(_fingerprint(line)) for line in pinned) or "none"
    return [_fault(newest, f"the newest one is signed with key {newest.key}, not with the system key given ({given})")]


def _chain_faults(ledger: Ledger, stored: Sequence[tuple[Checkpoint, str]]) -> list[BrokenLink]:
    """Heads, roots, compact ranges and the ledger's identity against the hashes that are stored."""
    faults: list[BrokenLink] = []
    tree, hashes = CompactRange(), ledger.hashes()
    identity = last = ""
    earlier: Checkpoint | None = None
    for checkpoint, peaks in stored:
        for found in islice(hashes, checkpoint.sequence - tree.size):
            last = found if isinstance(found, str) else repr(found)
            identity = identity or last
            tree.add(_leaf(last))
        if checkpoint.ledger != identity:
            faults.append(_fault(checkpoint, f"it is of ledger {checkpoint.ledger[:12]}…, this one is {identity[:12]}…"))
        if earlier is not None and checkpoint.at < earlier.at:
            faults.append(_fault(checkpoint, f"it is older than checkpoint {earlier.sequence} before it"))
        if tree.size < checkpoint.sequence:
            faults.append(_fault(checkpoint, f"it covers {checkpoint.sequence} events, the ledger has {tree.size}"))
        elif last != checkpoint.head:
            faults.append(_fault(checkpoint, f"its last event has hash {last[:12]}…, signed was {checkpoint.head[:12]}…"))
        elif tree.root.hex() != checkpoint.root:
            faults.append(_fault(checkpoint, "the events before it do not give the root that was signed"))
        elif peaks_text(tree) != peaks:
            faults.append(_fault(checkpoint, "the compact range kept with it is not that of its events"))
        earlier = checkpoint
    return faults


def _leaf(found: str) -> bytes:
    """A stored hash as the leaf it is; anything else gives a leaf of its own, so that no root fits."""
    try:
        return bytes.fromhex(found)
    except ValueError:
        return found.encode(errors="replace")


def _fault(checkpoint: Checkpoint, said: str) -> BrokenLink:
    return BrokenLink(checkpoint.sequence, f"checkpoint {checkpoint.sequence}: {readable(said)}")


def _place(sequence: Any) -> int:
    return sequence if isinstance(sequence, int) else 0


def _fingerprint(line: str) -> str | None:
    words = line.split()
    try:
        return fingerprint_of(base64.b64decode(words[1], validate=True)) if len(words) > 1 else None
    except ValueError:
        return None


def _exactly_armored(text: str) -> bool:
    """Whether no byte of the armor could be another and still be read as the same signature."""
    body = text.split("\n")[1:-2]
    try:
        packet = base64.b64decode("".join(body), validate=True)
    except ValueError:
        return False
    width = len(body[0]) if body else 1
    whole = base64.b64encode(packet).decode()
    lines = [whole[at : at + width] for at in range(0, len(whole), width)]
    return text == "\n".join([ARMOR_BEGIN, *lines, ARMOR_END, ""])
