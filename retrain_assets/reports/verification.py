"""How anyone can check a pack: the evidence it was read from with its digests, and the exact commands."""

from __future__ import annotations

from typing import Any

from retrain_assets.contract import Gate
from retrain_assets.reports.record import Record

HOME = "${RETRAIN_HOME:-.retrain}"
"""The home in a shell command."""


def verification_of(record: Record) -> dict[str, Any]:
    """Commands and evidence as JSON: ``commands`` (what each shows and the line to type), ``evidence`` (what, digest, file)."""
    evidence = [
        {"what": what, "digest": digest, "file": record.file_of(digest), "holds": not _faulty(record, digest)}
        for digest, what in record.used.items()
    ]
    return {"commands": _commands(record, evidence), "reproduce": _reproduce(record), "evidence": evidence}


def _commands(record: Record, evidence: list[dict[str, Any]]) -> list[dict[str, str]]:
    commands = [
        {
            "shows": "The ledger's chain, the bundles and all evidence are what was recorded. Exits 0 only if everything holds.",
            "line": "retrain audit verify",
        },
        {
            "shows": "The ledger's record of this retrain, to compare with this page.",
            "line": f"retrain audit show {record.model} {record.retrain}",
        },
        {
            "shows": "Gates and decision, computed again from what was stored: what is equal byte for byte, and why not.",
            "line": f"retrain audit reproduce {record.model} {record.retrain}",
        },
        {
            "shows": "The record as an archive that anybody checks without this product: sums, signatures, chain, evidence.",
            "line": f'retrain audit export {record.model} {record.retrain} --reason "who asked for it"',
        },
    ]
    if evidence:
        first = evidence[-1]
        commands.append(
            {
                "shows": f"The digest of one piece of evidence ({first['what']}); it must print the digest listed below.",
                "line": f'sha256sum "{_path(first["file"])}"',
            }
        )
    commands.append(
        {
            "shows": "The digest of this record as JSON; it must be the one the ledger holds under audit_recorded.",
            "line": f'sha256sum "{HOME}/reports/{record.model}/{record.retrain}.json"',
        }
    )
    return commands


def _reproduce(record: Record) -> dict[str, Any] | None:
    """What determines the bundle and whether fitting it twice gave the same; None where no candidate was made."""
    manifest = record.manifest
    if not manifest:
        return None
    training = record.known.verdicts.get(Gate.TRAINING)
    refit = training.checks.get("refit_reproduces") if training else None
    code = manifest.get("code") or {}
    return {
        "commit": code.get("commit"),
        "dirty": code.get("dirty"),
        "refit_outcome": refit.verdict.outcome.value if refit else None,
        "refit_message": refit.verdict.message if refit else None,
    }


def _path(file: str) -> str:
    return file if file.startswith("/") else f"{HOME}/{file}"


def _faulty(record: Record, digest: str) -> bool:
    return any(digest[:19] in fault for fault in record.faults)
