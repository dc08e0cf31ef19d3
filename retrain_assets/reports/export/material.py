"""What an export is made of, read once: the record, its pack, its events, the bundle, the head that covers them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from retrain_assets.bundle import Manifest, verify_bundle
from retrain_assets.contract import CustodyError
from retrain_assets.home import Home
from retrain_assets.ledger import Checkpoint, Event, EventKind, EvidenceStore, Ledger, SystemKey
from retrain_assets.reports.export.hashed import named_evidence
from retrain_assets.reports.export.secrets import cleared, secrets_of
from retrain_assets.reports.pack import pack_of
from retrain_assets.reports.record import Record, read_record


class Bundles(Protocol):
    """What an export needs of a registry."""

    def download(self, model: str, version: str) -> Path:
        """The bundle directory of a version."""


@dataclass(frozen=True)
class Material:
    """Everything the files of an export are written from; secrets the contract names are replaced in it.

    Args:
        record: the retrain as recorded.
        events: its events, those beside it that concerned it and those that name the system's keys; by sequence. Earlier
            exports of it are left out, so that the same record gives the same archive.
        pack: its evidence pack as JSON.
        contract: the contract in force; empty where none can be read.
        manifest: manifest of its bundle; None where it made none.
        bundle: the bundle's other files by name; empty where they are left out.
        checkpoint: the signed head that covers the events.
        key: the system's key.
        secrets: what must not leave the house.
    """

    record: Record
    events: tuple[Event, ...]
    pack: Mapping[str, Any]
    contract: Mapping[str, Any]
    manifest: Manifest | None
    bundle: Mapping[str, bytes]
    checkpoint: Checkpoint
    key: SystemKey
    secrets: frozenset[str]

    @property
    def name(self) -> str:
        """``MODEL-RETRAIN``: the folder in the archive."""
        return f"{self.record.model}-{self.record.retrain}"

    @property
    def system(self) -> str:
        """The principal the system signs as."""
        return f"system@{self.checkpoint.ledger}"


def read_material(
    home: Home, ledger: Ledger, model: str, retrain: str, *, key: SystemKey, registry: Bundles, with_bundle: bool
) -> Material:
    """Read what an export of one retrain is made of, and make or find the checkpoint that covers it.

    Raises:
        RetrainError: when the ledger knows no such retrain.
        CustodyError: when the chain, evidence or the bundle is not what was recorded.
    """
    if broken := ledger.verify():
        raise CustodyError(
            broken[0].message, where="ledger", remedy="nothing was exported; run retrain audit verify and restore the ledger"
        )
    evidence = EvidenceStore(home.evidence_dir)
    record = read_record(ledger, evidence, home, model, retrain)
    if record.faults:
        raise CustodyError(
            record.faults[0], where=f"{model} {retrain}", remedy="nothing was exported; run retrain audit verify and restore it"
        )
    secrets = secrets_of(record.contract)
    manifest, bundle = _bundle(record, registry, with_bundle=with_bundle)
    concerned = _concerned(ledger, record)
    checkpoint = _checkpoint(ledger, key, home, max(concerned))
    keys = {event.sequence: event for event in ledger.events(kinds=[EventKind.SYSTEM_KEY_ADDED])}
    events = {sequence: event for sequence, event in (concerned | keys).items() if sequence <= checkpoint.sequence}
    return Material(
        record=record,
        events=tuple(events[sequence] for sequence in sorted(events)),
        pack=cleared(pack_of(ledger, evidence, home, model, retrain), secrets),
        contract=cleared(record.contract, secrets),
        manifest=manifest,
        bundle=bundle,
        checkpoint=checkpoint,
        key=key,
        secrets=secrets,
    )


def _concerned(ledger: Ledger, record: Record) -> dict[int, Event]:
    """Its own events, those beside it, and those by which retention deleted its evidence; by sequence."""
    own = ledger.events(model=record.model, retrain=record.retrain)
    named = {digest for event in own for digest in named_evidence(event) if digest not in record.evidence}
    by = {record.gone[digest] for digest in named if digest in record.gone}
    applied = ledger.events(model=record.model, kinds=[EventKind.RETENTION_APPLIED])
    deleted = [event for event in applied if event.sequence in by]
    found = [event for event in (*own, *record.beside, *deleted) if event.kind is not EventKind.RECORD_EXPORTED]
    return {event.sequence: event for event in found}


def _checkpoint(ledger: Ledger, key: SystemKey, home: Home, sequence: int) -> Checkpoint:
    """The newest checkpoint by this key that covers an event; made where there is none."""
    known = [one for one in ledger.checkpoints() if one.key == key.fingerprint and one.sequence >= sequence]
    return known[-1] if known else ledger.add_checkpoint(key, home.clock.now())


def _bundle(record: Record, registry: Bundles, *, with_bundle: bool) -> tuple[Manifest | None, dict[str, bytes]]:
    candidate = record.known.candidate
    if candidate is None:
        return None, {}
    if not with_bundle and record.manifest:
        return Manifest.from_json(record.manifest), {}
    folder = registry.download(record.model, candidate.version)
    manifest = verify_bundle(folder, candidate.bundle)
    files = {name: (folder / name).read_bytes() for name in sorted(manifest.files)} if with_bundle else {}
    return manifest, files
