"""The evidence pack of one retrain: everything recorded about it as one JSON value, and the page that renders exactly that."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrain_assets.contract import canonical_json, finite, sha256_hex
from retrain_assets.home import Home
from retrain_assets.ledger import EvidenceStore, Ledger, timestamp
from retrain_assets.reports.answer import answer_of
from retrain_assets.reports.custody import custody_of
from retrain_assets.reports.emergencies import follow_ups_of, overrides_of
from retrain_assets.reports.evaluation import evaluation_of
from retrain_assets.reports.gates import gates_of
from retrain_assets.reports.happened import meanwhile_of
from retrain_assets.reports.page import pack_page
from retrain_assets.reports.people import approvals_of, decision_of, transitions_of
from retrain_assets.reports.ramp import ramp_of
from retrain_assets.reports.record import Record, read_record
from retrain_assets.reports.trigger import trigger_of
from retrain_assets.reports.verification import verification_of

SCHEMA = "retrain_assets.evidence_pack/1"
"""Name and version of the JSON's shape."""


@dataclass(frozen=True, slots=True)
class PackPaths:
    """Where a pack was written; ``digest`` (``sha256:…``) is that of the JSON file's bytes."""

    html: Path
    json: Path
    digest: str


def write_pack(home: Home, model: str, retrain: str) -> PackPaths:
    """Write the evidence pack of one retrain, page and JSON, and store the JSON as evidence.

    The JSON file holds canonical JSON (RFC 8785), so ``sha256sum`` of the file gives the digest that the ledger records.

    Raises:
        RetrainError: when the ledger knows no such retrain.
    """
    evidence = EvidenceStore(home.evidence_dir)
    pack = pack_of(Ledger(home.ledger_url), evidence, home, model, retrain)
    data = canonical_json(pack)
    digest = evidence.put(pack)
    folder = home.reports_dir(model)
    page, document = folder / f"{retrain}.html", folder / f"{retrain}.json"
    write_file(document, data)
    write_file(page, pack_page(pack, "sha256:" + sha256_hex(data)).encode())
    return PackPaths(page, document, digest)


def pack_of(ledger: Ledger, evidence: EvidenceStore, home: Home, model: str, retrain: str) -> dict[str, Any]:
    """The pack as JSON-able values: the same ledger, evidence and stage results give the same value.

    Raises:
        RetrainError: when the ledger knows no such retrain.
    """
    record = read_record(ledger, evidence, home, model, retrain)
    gates = gates_of(record)
    pack = {
        "schema": SCHEMA,
        "model": model,
        "retrain": retrain,
        **({"environment": record.known.environment} if record.known.environment else {}),
        "as_of": _as_of(record),
        "answer": answer_of(record),
        "trigger": trigger_of(record),
        "gates": gates,
        "evaluation": evaluation_of(gates),
        "ramp": ramp_of(record),
        "decision": decision_of(record),
        "approvals": approvals_of(record),
        "overrides": overrides_of(record),
        "follow_ups": follow_ups_of(record),
        "custody": custody_of(record),
        "transitions": transitions_of(record),
        "meanwhile": meanwhile_of(record),
        "verification": verification_of(record),
        "faults": list(record.faults),
    }
    return dict(finite(pack))


def write_file(path: Path, data: bytes) -> None:
    """Write a report by atomic rename, so that a reader never sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    scratch.write_bytes(data)
    scratch.replace(path)


def _as_of(record: Record) -> dict[str, Any]:
    last = record.events[-1]
    return {
        "sequence": last.sequence,
        "hash": last.hash,
        "at": timestamp(last.at),
        "recorded_at": timestamp(last.recorded_at),
        "events": len(record.events),
    }
