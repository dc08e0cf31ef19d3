"""The decision about a retrain as an in-toto predicate of our own: what was decided, by whom, on which verdicts."""

from __future__ import annotations

from typing import Any

from retrain_assets.contract import canonical_json, digest_of, sha256_hex
from retrain_assets.ledger import EventKind
from retrain_assets.reports.export.approvals import Word, words_of
from retrain_assets.reports.export.attestations import statement_of
from retrain_assets.reports.export.material import Material

PREDICATE = "urn:retrain-assets:release-decision:1"
"""Type of the predicate; its fields are in docs/export.md."""


def decision_statement(material: Material) -> dict[str, Any] | None:
    """The statement; None where nothing is decided yet."""
    decision = material.pack["decision"]
    if decision is None:
        return None
    checkpoint = material.checkpoint
    predicate = {
        "model": material.record.model,
        "retrain": material.record.retrain,
        "decision": decision["decision"],
        "ending": None if material.record.known.ended is None else str(material.record.known.ended),
        "outcome": material.pack["answer"]["outcome"],
        "reason": decision["reason"],
        "decidedAt": decision["at"],
        "decidedBy": decision["by"],
        "event": decision["sequence"],
        "policy": {"contract": {"sha256": _hex(digest_of(dict(material.contract)))}},
        "gates": [_gate(one) for one in material.pack["gates"]],
        "approvals": [_approval(word, material) for word in words_of(material)],
        "overrides": [dict(one) for one in material.pack["overrides"]],
        "championReplaced": _champion(material),
        "ledger": {
            "id": checkpoint.ledger,
            "sequence": checkpoint.sequence,
            "head": checkpoint.head,
            "root": checkpoint.root,
        },
    }
    return statement_of(subjects(material), PREDICATE, predicate)


def subjects(material: Material) -> list[dict[str, Any]]:
    """What an attestation is about: the bundle's files; the contract it was to be judged by where no bundle was made."""
    manifest = material.manifest
    if manifest is None:
        return [{"name": "contract.json", "digest": {"sha256": sha256_hex(canonical_json(dict(material.contract)))}}]
    files = {"manifest.json": _hex(manifest.digest), **manifest.files}
    return [{"name": f"bundle/{name}", "digest": {"sha256": files[name]}} for name in sorted(files)]


def _gate(gate: dict[str, Any]) -> dict[str, Any]:
    return {
        "gate": gate["gate"],
        "outcome": gate["outcome"],
        "subjects": gate.get("subjects") or {},
        "checks": [
            {name: check[name] for name in ("check", "outcome", "message", "observed", "threshold")} for check in gate["checks"]
        ],
    }


def _approval(word: Word, material: Material) -> dict[str, Any]:
    event, decided = word.event, material.record.last(EventKind.DECISION_RECORDED)
    counted = decided is not None and event.sequence in decided.payload.get("approvals", [])
    said = {
        "event": event.sequence,
        "kind": str(event.kind),
        "by": event.actor.name,
        "at": event.to_json()["at"],
        "reason": event.reason,
        "counted": counted,
        "signed": word.signed is not None,
    }
    if word.signed is not None:
        said |= {"key": event.payload["signed"]["key"], "statement": {"sha256": _hex(word.signed.statement.digest)}}
    return said


def _champion(material: Material) -> dict[str, str] | None:
    promoted = material.record.last(EventKind.PROMOTED)
    if promoted is None or promoted.payload.get("previous_champion") is None:
        return None
    before = promoted.payload["previous_champion"]
    return {"version": before["version"], "bundle": before["bundle"]}


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
