"""The custody table: what went into a retrain and what came out of it, each value with the record it was read from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from retrain_assets.bundle import Manifest
from retrain_assets.contract import CustodyError, Gate, digest_of
from retrain_assets.ledger import EventKind, timestamp
from retrain_assets.reports.record import Record

Row = tuple[str, Any, str]


def custody_of(record: Record) -> list[dict[str, Any]]:
    """Groups ``{"group", "rows"}`` of rows ``{"field", "value", "source"}``; value None where nothing is recorded.

    A stage result on disk is only believed where the ledger's digest confirms it; a difference is a fault of the record.
    """
    groups = (
        ("Retrain", _retrain(record)),
        ("Data", _data(record)),
        ("Features", _features(record)),
        ("Model", _model(record)),
        ("Code and environment", _code(record)),
        ("Release", _release(record)),
    )
    return [
        {"group": group, "rows": [{"field": field, "value": value, "source": source} for field, value, source in rows]}
        for group, rows in groups
    ]


def manifest_of(record: Record) -> Mapping[str, Any]:
    """The candidate's manifest, confirmed by the bundle digest in the ledger; empty when there is none or it does not match."""
    manifest = record.stages.get("training", {}).get("metadata", {}).get("manifest")
    candidate = record.known.candidate
    if not isinstance(manifest, Mapping) or candidate is None:
        return {}
    try:
        digest = Manifest.from_json(manifest).digest
    except CustodyError:
        digest = digest_of(manifest)
    if digest != candidate.bundle:
        fault = "the manifest in the training stage's result is not the registered bundle's; it is left out here"
        if fault not in record.faults:
            record.faults.append(fault)
        return {}
    return manifest


def _retrain(record: Record) -> Iterator[Row]:
    known = record.known
    event = record.events[0]
    yield "Model", record.model, _event(event.sequence)
    yield "Retrain", record.retrain, _event(event.sequence)
    yield "Purpose", record.contract.get("purpose"), "contract"
    yield "Launched at", timestamp(known.launched_at), _event(event.sequence)
    yield "Launched by", known.launched_by, _event(event.sequence)
    yield "Contract digest (policy version)", known.contract_digest, _event(event.sequence)


def _data(record: Record) -> Iterator[Row]:
    dataset = record.stages.get("dataset", {}).get("metadata", {})
    manifest = manifest_of(record)
    source = record.contract.get("source", {})
    window = manifest.get("window") or dataset.get("window") or {}
    rows = dataset.get("rows") or {}
    where = "bundle manifest" if manifest else "data set stage"
    yield "Source", source.get("uri"), "contract"
    yield "Label", source.get("label"), "contract"
    yield "Label known after", source.get("label_delay"), "contract"
    yield "Data set digest", *_subject(record, "dataset")
    yield "Training window starts", window.get("train_start"), where
    yield "Training window ends", window.get("train_end"), where
    yield "Held-out window ends", window.get("holdout_end"), where
    yield "Training rows", rows.get("train"), "data set stage"
    yield "Held-out rows", rows.get("holdout"), "data set stage"
    yield "Rows left out", dataset.get("left_out"), "data set stage"


def _features(record: Record) -> Iterator[Row]:
    manifest = manifest_of(record)
    features = record.stages.get("features", {}).get("metadata", {})
    where = "bundle manifest" if manifest else "features stage"
    yield "Feature function", manifest.get("feature_function") or features.get("feature_function"), where
    yield "Feature pipeline digest", *_subject(record, "features")
    yield "Features", manifest.get("feature_names") or features.get("feature_names"), where


def _model(record: Record) -> Iterator[Row]:
    manifest, candidate = manifest_of(record), record.known.candidate
    registered = record.last(EventKind.CANDIDATE_REGISTERED)
    where = _event(registered.sequence) if registered else "ledger"
    duration = record.stages.get("training", {}).get("metadata", {}).get("evidence", {}).get("duration_s")
    yield "Registry version", candidate.version if candidate else None, where
    yield "Bundle manifest digest", candidate.bundle if candidate else None, where
    yield "Compared with champion version", *_champion(record, "version")
    yield "Champion's bundle digest", *_champion(record, "bundle")
    yield "Task", manifest.get("task") or record.contract.get("task"), "bundle manifest" if manifest else "contract"
    yield "Estimator", manifest.get("estimator"), "bundle manifest"
    yield "Parameters", manifest.get("params"), "bundle manifest"
    yield "Seed", manifest.get("seed"), "bundle manifest"
    yield "Calibration", manifest.get("calibration"), "bundle manifest"
    yield "Decision rule", manifest.get("decision"), "bundle manifest"
    yield "Training time", None if duration is None else f"{duration:.1f} s", "training stage"


def _code(record: Record) -> Iterator[Row]:
    manifest = manifest_of(record)
    code, environment = manifest.get("code") or {}, manifest.get("environment") or {}
    dirty = code.get("dirty")
    clean = None if dirty is None else "no: there were changes that are not in the commit" if dirty else "yes"
    yield "Code commit", code.get("commit"), "bundle manifest"
    yield "Working tree clean", clean, "bundle manifest"
    yield "Python", environment.get("python"), "bundle manifest"
    yield "Platform", environment.get("platform"), "bundle manifest"
    yield "Packages", environment.get("packages"), "bundle manifest"


def _release(record: Record) -> Iterator[Row]:
    toggle = record.toggle
    registered = record.last(EventKind.TOGGLE_REGISTERED)
    where = _event(registered.sequence) if registered else "ledger"
    yield "Toggle", toggle.name if toggle else None, where
    yield "Toggle owner", toggle.owner if toggle else None, where
    yield "Toggle purpose", toggle.purpose if toggle else None, where
    yield "Cohort", (toggle.contract["experiment"].get("cohort") or "everyone") if toggle else None, where
    yield "Randomised unit", toggle.contract["source"]["unit"] if toggle else None, where
    yield "Rollback leads to", f"version {toggle.previous_champion.version}" if toggle else None, where
    yield "Expires at", timestamp(toggle.expires_at) if toggle and toggle.expires_at else None, where
    yield "To be removed by", timestamp(toggle.remove_by) if toggle and toggle.remove_by else None, where


def _champion(record: Record, part: str) -> tuple[str | None, str]:
    """Version or bundle of the champion that gate offline compared with; None where the gate was not reached."""
    offline, champion = record.known.verdicts.get(Gate.OFFLINE), record.champion_then
    if offline is None:
        return None, "ledger"
    return "none: first champion" if champion is None else getattr(champion, part), _event(offline.latest.sequence)


def _subject(record: Record, name: str) -> tuple[str | None, str]:
    """The newest digest the ledger holds of a subject, and where: of the candidate, else of the gates."""
    registered = record.last(EventKind.CANDIDATE_REGISTERED)
    if registered is not None and name in record.known.subjects:
        return record.known.subjects[name], _event(registered.sequence)
    found = [
        (gate.subjects[name], _event(gate.latest.sequence)) for gate in record.known.verdicts.values() if name in gate.subjects
    ]
    return found[-1] if found else (None, "ledger")


def _event(sequence: int) -> str:
    return f"event {sequence}"
