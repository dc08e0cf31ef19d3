"""The ledger's part of an export: the signed head, the events as they were hashed, and the proof that each is below that head."""

from __future__ import annotations

from collections.abc import Iterator

from retrain_assets.contract import canonical_json
from retrain_assets.ledger import Event, Ledger
from retrain_assets.reports.export.hashed import hashed_text
from retrain_assets.reports.export.material import Material
from retrain_assets.reports.export.secrets import holds_secret


def chain_files(material: Material, ledger: Ledger) -> Iterator[tuple[str, bytes]]:
    """``checkpoint.json`` with its signature, ``events.jsonl``, ``inclusion.json``.

    A line of ``events.jsonl`` is the text whose SHA-256 is the event's hash; of one that holds a secret it is the hash alone.
    """
    checkpoint = material.checkpoint
    yield "checkpoint.json", checkpoint.statement
    yield "checkpoint.json.sig", checkpoint.signature.encode()
    lines = [event.hash.encode() if is_withheld(event, material) else hashed_text(event) for event in material.events]
    yield "events.jsonl", b"".join(line + b"\n" for line in lines)
    proofs = ledger.inclusions([event.sequence for event in material.events], checkpoint)
    paths = {
        event.hash: sided(event.sequence - 1, checkpoint.sequence, proof.path)
        for event, proof in zip(material.events, proofs, strict=True)
    }
    yield "inclusion.json", canonical_json(paths)


def is_withheld(event: Event, material: Material) -> bool:
    """Whether an event's text must not leave the house."""
    return holds_secret(hashed_text(event), material.secrets)


def sided(index: int, size: int, path: tuple[str, ...]) -> list[list[str]]:
    """An audit path (RFC 6962) with the side each sibling stands on, so that whoever checks it needs no more than a hash."""
    siblings, sides, last = iter(path), [], size - 1
    while last:
        if index & 1 or index < last:
            sides.append(["left" if index & 1 else "right", next(siblings)])
        index, last = index >> 1, last >> 1
    return sides
