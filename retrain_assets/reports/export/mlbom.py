"""The bundle as a CycloneDX 1.6 machine-learning bill of materials: model with card, data, libraries, hashes (ECMA-424)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from retrain_assets import __version__
from retrain_assets.bundle import Manifest
from retrain_assets.ledger import timestamp
from retrain_assets.reports.export.material import Material

MODEL_REF, DATA_REF, FEATURES_REF = "model", "dataset", "feature-pipeline"


def mlbom_of(material: Material) -> dict[str, Any] | None:
    """The bill of materials as JSON; None where no bundle was made."""
    manifest = material.manifest
    if manifest is None:
        return None
    libraries = list(_libraries(material, manifest))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid5(NAMESPACE_URL, f"{material.checkpoint.ledger}/{manifest.digest}").urn,
        "version": 1,
        "metadata": {
            "timestamp": timestamp(material.record.events[-1].recorded_at).replace("+00:00", "Z"),
            "tools": {"components": [{"type": "application", "name": "retrain-assets", "version": __version__}]},
            "component": _model(material, manifest),
        },
        "components": [*_data(material, manifest), *libraries],
        "dependencies": [
            {"ref": MODEL_REF, "dependsOn": [DATA_REF, FEATURES_REF, *(one["bom-ref"] for one in libraries)]},
            *({"ref": ref} for ref in (DATA_REF, FEATURES_REF, *(one["bom-ref"] for one in libraries))),
        ],
    }


def _model(material: Material, manifest: Manifest) -> dict[str, Any]:
    candidate, contract = material.record.known.candidate, material.contract
    return {
        "type": "machine-learning-model",
        "bom-ref": MODEL_REF,
        "name": manifest.model,
        "version": candidate.version if candidate else manifest.retrain,
        **({"description": contract["purpose"]} if contract.get("purpose") else {}),
        "hashes": _hashes(manifest.digest),
        "components": [
            {"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": _hashes(digest)}
            for name, digest in sorted(manifest.files.items())
        ],
        "modelCard": {
            "modelParameters": _parameters(manifest),
            **_analysis(material),
            **_considerations(material),
            "properties": _properties(
                {
                    "retrain": manifest.retrain,
                    "outcome": material.pack["answer"]["outcome"],
                    "seed": manifest.seed,
                    "calibration": manifest.calibration.get("kind"),
                    "decision_threshold": (manifest.decision or {}).get("threshold"),
                    **{f"parameter:{name}": value for name, value in sorted(manifest.params.items())},
                }
            ),
        },
    }


def _parameters(manifest: Manifest) -> dict[str, Any]:
    positive = "probability of the positive class" if manifest.task == "binary_classification" else "prediction"
    return {
        "approach": {"type": "supervised"},
        "task": manifest.task,
        "modelArchitecture": manifest.estimator,
        "datasets": [{"ref": DATA_REF}],
        "inputs": [{"format": f"{name}: {manifest.feature_dtypes.get(name, 'unknown')}"} for name in manifest.feature_names],
        "outputs": [{"format": f"float64: {positive}"}],
    }


def _analysis(material: Material) -> dict[str, Any]:
    metrics = [*_offline(material), *_live(material)]
    return {"quantitativeAnalysis": {"performanceMetrics": metrics}} if metrics else {}


def _offline(material: Material) -> Iterator[dict[str, Any]]:
    """Metrics on the held-out rows; the intervals are of the improvement over the champion, where there is one."""
    evaluation = material.pack["evaluation"]
    if evaluation is None:
        return
    for row in evaluation["metrics"]:
        yield _metric(row["metric"], row.get("candidate"))
        if row.get("estimate") is not None:
            yield _metric(f"{row['metric']}, improvement over the champion", row["estimate"], row.get("lower"), row.get("upper"))
    metric = material.contract.get("gates", {}).get("offline", {}).get("slices", {}) or {}
    for row in evaluation["slices"]["rows"]:
        name = f"{metric.get('metric', 'loss')}, worse than the champion by"
        yield _metric(metric.get("metric", "loss"), row.get("candidate"), of=row["slice"])
        yield _metric(name, row.get("worse_by"), row.get("worse_by_at_least"), row.get("worse_by_at_most"), of=row["slice"])


def _live(material: Material) -> Iterator[dict[str, Any]]:
    """Measures on live traffic, challenger against champion, at the last look, with anytime-valid intervals."""
    last = (material.pack["ramp"] or {}).get("last_look") or {}
    for row in last.get("results") or []:
        yield _metric(f"{row['spec']['name']} on live traffic", row.get("challenger_mean"))
        name = f"{row['spec']['name']} on live traffic, change against the champion"
        yield _metric(name, row.get("estimate"), row.get("lower"), row.get("upper"))


def _metric(name: str, value: Any, lower: Any = None, upper: Any = None, *, of: str | None = None) -> dict[str, Any]:
    bounds = {"lowerBound": lower, "upperBound": upper}
    known = {bound: _text(one) for bound, one in bounds.items() if one is not None}
    return {
        "type": name,
        **({"value": _text(value)} if value is not None else {}),
        **({"slice": of} if of else {}),
        **({"confidenceInterval": known} if known else {}),
    }


def _considerations(material: Material) -> dict[str, Any]:
    """What the contract and the checks say; nothing is added to it."""
    contract, evaluation = material.contract, material.pack["evaluation"] or {}
    fairness = [
        {
            "groupAtRisk": f"{column}: {', '.join(str(group['group']) for group in found['groups'])}",
            "harms": "; ".join(_difference(one) for one in found["differences"]) or "no difference was judged",
            "mitigationStrategy": f"the check's outcome is {found['outcome']}",
        }
        for column, found in (evaluation.get("fairness") or {}).items()
    ]
    limits = [
        f"{check['check']}: {check['message']}"
        for gate in material.pack["gates"]
        for check in gate["checks"]
        if check["outcome"] != "pass"
    ]
    found = {
        "useCases": [contract["purpose"]] if contract.get("purpose") else [],
        "technicalLimitations": limits,
        "fairnessAssessments": fairness,
    }
    return {"considerations": {name: value for name, value in found.items() if value}}


def _difference(row: Mapping[str, Any]) -> str:
    between = f" between {row['lowest']} and {row['highest']}" if row.get("lowest") is not None else ""
    limit = f", at most {_text(row['limit'])} is allowed" if row.get("limit") is not None else ""
    return f"{row['difference']} differs by {_text(row.get('observed'))}{between}{limit}"


def _data(material: Material, manifest: Manifest) -> Iterator[dict[str, Any]]:
    owners, source = material.contract.get("owners", {}), material.contract.get("source", {})
    governance = {role: [{"organization": {"name": owners[owner]}}] for role, owner in (("owners", "data"),) if owners.get(owner)}
    window = dict(manifest.window)
    contents = {"properties": _properties({"label": source.get("label"), **window})}
    yield {
        "type": "data",
        "bom-ref": DATA_REF,
        "name": f"{manifest.model} training and held-out rows",
        "version": manifest.dataset,
        "hashes": _hashes(manifest.dataset),
        "data": [
            {"type": "dataset", "name": "training and held-out rows", "contents": contents}
            | ({"governance": governance} if governance else {})
        ],
    }
    yield {
        "type": "data",
        "bom-ref": FEATURES_REF,
        "name": manifest.feature_function,
        "version": manifest.feature_pipeline,
        "hashes": _hashes(manifest.feature_pipeline),
        "data": [{"type": "source-code", "name": manifest.feature_function}],
    }


def _libraries(material: Material, manifest: Manifest) -> Iterator[dict[str, Any]]:
    """Every distribution that was installed where the model was fitted; of older records those that decide what it computes."""
    training = material.record.stages.get("training")
    installed = (training.run.get("installed") or {}).get("packages") if training is not None else None
    packages = {**(installed or {}), **(manifest.environment.get("packages") or {})}
    for name, version in sorted(packages.items()):
        purl = f"pkg:pypi/{name}@{version}"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": str(version), "purl": purl}
    if python := manifest.environment.get("python"):
        yield {"type": "platform", "bom-ref": f"python@{python}", "name": "python", "version": str(python)}


def _hashes(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]


def _properties(values: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"name": f"retrain_assets:{name}", "value": _text(value)} for name, value in values.items() if value is not None]


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
