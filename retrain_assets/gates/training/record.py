"""Is everything in the manifest that somebody needs to make the same model again a year later?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.gates.limits import counted, listed
from retrain_assets.gates.training.evidence import TrainingEvidence

CHECK = "recorded_for_reproduction"


def recorded_for_reproduction(evidence: TrainingEvidence) -> Verdict:
    """``pass`` when the manifest records every item; the message names what is missing, and what could not be known."""
    record = evidence.recorded
    if record is None:
        return Verdict(Gate.TRAINING, CHECK, Outcome.NO_DATA, "no manifest was written")
    missing = [name for name, value in record.items() if value is None]
    table = [
        {"item": name, "recorded": record[name] or "—"} for name in sorted(record, key=lambda name: record[name] is not None)
    ]
    details = {"record": table, "missing": len(missing)}
    counts = (float(len(missing)), 0.0)
    if missing:
        message = f"the manifest does not record {listed(missing, most=10)}; without it the model cannot be made again"
        return Verdict(Gate.TRAINING, CHECK, Outcome.FAIL, message, *counts, details)
    notes = [value for name, value in record.items() if name == "code commit" and value and not value.endswith("clean")]
    message = "; ".join([f"the manifest records all {counted(len(record), 'item')}", *(f"code commit: {note}" for note in notes)])
    return Verdict(Gate.TRAINING, CHECK, Outcome.PASS, message, *counts, details)


def recorded(manifest: Mapping[str, Any]) -> dict[str, str | None]:
    """What a manifest records for a reproduction, by item, in words; None where it does not.

    A commit that is not known (no checkout, no git) counts as recorded, since there the digests of the feature code and, for an
    estimator of the team's own, of its source identify the code; the words say so.

    Args:
        manifest: the manifest of a bundle as JSON.
    """
    environment, window = _part(manifest, "environment"), _part(manifest, "window")
    label, code, calibration = _part(manifest, "label"), _part(manifest, "code"), _part(manifest, "calibration")
    packages = _part(environment, "packages")
    ends = [window.get(name) for name in ("train_start", "train_end", "holdout_end")]
    return {
        "estimator": _text(manifest.get("estimator")),
        "estimator's version": _text(code.get("estimator")),
        "hyper-parameters": _pairs(manifest.get("params")),
        "seed": _seed(manifest),
        "threads of the fit": _text(environment.get("threads")),
        "calibration": _text(calibration.get("kind")),
        "Python": _text(environment.get("python")),
        "platform": _text(environment.get("platform")),
        "package versions": _pairs(packages) if packages else None,
        "product version": _text(code.get("product")),
        "code commit": _commit(code),
        "feature pipeline": _text(manifest.get("feature_pipeline")),
        "data set": _text(manifest.get("dataset")),
        "label": _pairs(label) if label else None,
        "windows": " to ".join(map(str, ends)) if all(ends) else None,
        "model files": _text(listed(sorted(_part(manifest, "files")), most=10)),
    }


def _part(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = manifest.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _pairs(values: Any) -> str | None:
    if not isinstance(values, Mapping):
        return None
    pairs = [f"{name}={_short(value)}" for name, value in sorted(values.items())]
    return ", ".join(pairs) or "none"


def _short(value: Any) -> str:
    many = isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 5
    return f"[{len(value)} values]" if many else str(value)


def _seed(manifest: Mapping[str, Any]) -> str | None:
    seed, params = manifest.get("seed"), _part(manifest, "params")
    taken = any(name in params and params[name] == seed for name in ("random_state", "seed", "random_seed"))
    return None if seed is None else f"{seed}" if taken else f"{seed}, which the estimator does not take as a parameter"


def _commit(code: Mapping[str, Any]) -> str | None:
    if "commit" not in code:
        return None
    commit, dirty = code["commit"], code.get("dirty")
    if commit is None:
        return "not known: the feature code stands in no git checkout"
    state = "working tree not known" if dirty is None else "working tree had changes" if dirty else "working tree clean"
    return f"{commit}, {state}"
