"""The evidence: every file the ledger names is there, and every file is what its name says; packs are those recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from retrain_assets.cli.verify.part import Part
from retrain_assets.contract import CustodyError, sha256_hex
from retrain_assets.home import Home
from retrain_assets.ledger import Event, EventKind, EvidenceStore
from retrain_assets.release import recorded_evidence
from retrain_assets.release.deletions import deleted_by_retention, untimely

LISTED = 5
"""Files nobody names that are printed."""


def evidence_part(home: Home, events: list[Event]) -> Part:
    """Everything the ledger names is there, and everything there is what its name says."""
    store = EvidenceStore(home.evidence_dir)
    named = named_evidence(events)
    stored = {path for path in home.evidence_dir.rglob("*") if path.is_file()}
    expected = {digest: store.path(digest) for digest in sorted(named) if _is_digest(store, digest)}
    faults = [f"the ledger names {digest!r}, which is no digest" for digest in sorted(named.keys() - expected.keys())]
    false = untimely(events, store)
    faults += [f"event {sequence} says retention deleted {digest[:19]}…: {why}" for (sequence, digest), why in false.items()]
    deleted = deleted_by_retention(events) - {digest for _, digest in false}
    gone = [digest for digest, path in expected.items() if path not in stored and digest not in deleted]
    faults += [f"evidence {digest[:19]}… is missing; event {named[digest]} names it" for digest in gone]
    unnamed = []
    for path in sorted(stored):
        digest = f"sha256:{path.stem}"
        if path.suffix != ".json" or not _is_digest(store, digest) or store.path(digest) != path:
            unnamed.append(path)
            continue
        if fault := _fault(path, digest):
            faults.append(f"{fault}; event {named[digest]} names it" if digest in named else fault)
        elif digest not in named:
            unnamed.append(path)
    counted = f"{len(named)} digests named by the ledger, {len(stored)} files"
    return Part("evidence", counted, (*faults, *_packs(home, events)), notes=_notes(home, unnamed))


def named_evidence(events: Iterable[Event]) -> dict[str, int]:
    """Digests that have to be in the evidence store, each with the first event that names it."""
    named: dict[str, int] = {}
    for event in events:
        packs = {event.payload["evidence"]} if event.kind in (EventKind.AUDIT_RECORDED, EventKind.RELEASE_REVIEWED) else set()
        for digest in recorded_evidence([event]) | packs:
            named.setdefault(digest, event.sequence)
    return named


def _is_digest(store: EvidenceStore, digest: str) -> bool:
    try:
        store.path(digest)
    except (CustodyError, AttributeError):
        return False
    return True


def _fault(path: Path, digest: str) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"evidence {digest[:19]}… cannot be read ({error.strerror})"
    if "sha256:" + sha256_hex(data) != digest:
        return f"evidence {digest[:19]}… was changed: its bytes do not give its digest"
    return ""


def _notes(home: Home, unnamed: list[Path]) -> tuple[str, ...]:
    if not unnamed:
        return ()
    names = [str(path.relative_to(home.evidence_dir)) for path in unnamed[:LISTED]]
    more = f" and {len(unnamed) - LISTED} more" if len(unnamed) > LISTED else ""
    return (f"no event names {', '.join(names)}{more}: left by a process that died, or put there by somebody; no fault",)


def _packs(home: Home, events: list[Event]) -> Iterator[str]:
    """Packs below ``reports`` that are not the ones the ledger holds; one that is gone is no fault, its evidence is kept."""
    held = {(event.model, event.retrain): event.payload["evidence"] for event in events if event.kind is EventKind.AUDIT_RECORDED}
    for (model, retrain), digest in held.items():
        document = home.reports_dir(model) / f"{retrain}.json"
        try:
            if document.exists() and "sha256:" + sha256_hex(document.read_bytes()) != digest:
                yield f"{document} is not the evidence pack the ledger holds, {digest[:19]}…"
        except OSError as error:
            yield f"{document}: cannot be read ({error.strerror})"
