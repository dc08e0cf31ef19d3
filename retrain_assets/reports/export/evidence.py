"""The evidence the events of an export name, one file a digest, and the list of what an export does without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from retrain_assets.contract import canonical_json
from retrain_assets.reports.export.chain import is_withheld
from retrain_assets.reports.export.hashed import named_evidence
from retrain_assets.reports.export.material import Material
from retrain_assets.reports.export.secrets import holds_secret

SECRET = "it names a service or a password that does not leave the house"


def evidence_files(material: Material) -> Iterator[tuple[str, bytes]]:
    """``evidence/SHA256.json`` for every piece the events name and that may leave, and ``withheld.json``.

    Raises:
        CustodyError: when a piece is missing or changed.
    """
    withheld = withheld_of(material)
    for digest in sorted(_named(material) - {f"sha256:{name}" for name in withheld["evidence"]}):
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


def _named(material: Material) -> set[str]:
    """Digests of the evidence store in the events whose text is in the export."""
    return {digest for event in material.events if not is_withheld(event, material) for digest in named_evidence(event)}


def _withheld_evidence(material: Material) -> Iterator[tuple[str, str]]:
    record = material.record
    for digest in sorted(_named(material)):
        if digest in record.evidence:
            if holds_secret(record.evidence.path(digest).read_bytes(), material.secrets):
                yield digest.removeprefix("sha256:"), SECRET
        elif digest in record.gone:
            yield digest.removeprefix("sha256:"), f"event {record.gone[digest]}: its retention was over"


def _bundle(material: Material) -> str | None:
    left_out = material.manifest is not None and not material.bundle
    return "its files were left out when this was exported; the manifest has their digests" if left_out else None
