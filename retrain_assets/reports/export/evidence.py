"""The evidence the events of an export name, one file a digest, and the list of what an export does without."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from retrain_assets.contract import canonical_json
from retrain_assets.reports.export.chain import hashed_text, is_withheld
from retrain_assets.reports.export.material import Material
from retrain_assets.reports.export.secrets import holds_secret

NAMED = re.compile(rb'"(?:evidence|contract_digest|stage_record)":"(sha256:[0-9a-f]{64})"')
"""Where an event's text names a digest of the evidence store; ``verify.py`` looks for the same."""

SECRET = "it names a service or a password that does not leave the house"


def evidence_files(material: Material) -> Iterator[tuple[str, bytes]]:
    """``evidence/SHA256.json`` for every piece the events name and that may leave, and ``withheld.json``.

    Raises:
        CustodyError: when a piece is missing or changed.
    """
    withheld = withheld_of(material)
    for digest in sorted(named_evidence(material) - {f"sha256:{name}" for name in withheld["evidence"]}):
        yield f"evidence/{digest.removeprefix('sha256:')}.json", canonical_json(material.record.evidence.get(digest))
    yield "withheld.json", canonical_json(withheld)


def withheld_of(material: Material) -> dict[str, Any]:
    """What is not in the export, and why: ``events`` and ``evidence`` by hash, ``bundle`` files, ``contract`` fields."""
    return {
        "events": {event.hash: f"event {event.sequence}: {SECRET}" for event in material.events if is_withheld(event, material)},
        "evidence": dict(_withheld_evidence(material)),
        "bundle": _bundle(material),
        "contract": SECRET if material.contract != material.record.contract else None,
    }


def named_evidence(material: Material) -> set[str]:
    """Digests of the evidence store in the events whose text is in the export."""
    texts = (hashed_text(event) for event in material.events if not is_withheld(event, material))
    return {found.decode() for text in texts for found in NAMED.findall(text)}


def _withheld_evidence(material: Material) -> Iterator[tuple[str, str]]:
    record = material.record
    for digest in sorted(named_evidence(material)):
        if digest in record.evidence:
            if holds_secret(record.evidence.path(digest).read_bytes(), material.secrets):
                yield digest.removeprefix("sha256:"), SECRET
        elif digest in record.gone:
            yield digest.removeprefix("sha256:"), f"event {record.gone[digest]}: its retention was over"


def _bundle(material: Material) -> str | None:
    if material.record.known.candidate is None:
        return None
    if material.manifest is None:
        return "its retention was over, or the registry has it no more; its digest is in the record"
    return "left out when this was exported; the manifest has their digests" if not material.bundle else None
