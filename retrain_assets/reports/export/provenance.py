"""How the bundle was made, as SLSA Provenance v1: from which contract, data, features, code and environment, by which product."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from retrain_assets import __version__
from retrain_assets.bundle import Manifest
from retrain_assets.contract import digest_of
from retrain_assets.ledger import EventKind, timestamp
from retrain_assets.reports.export.attestations import statement_of
from retrain_assets.reports.export.decision import subjects
from retrain_assets.reports.export.material import Material

PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:retrain-assets:retrain:1"
BUILDER = "urn:retrain-assets:builder"


def provenance_statement(material: Material) -> dict[str, Any] | None:
    """The statement; None where no bundle was made."""
    manifest, registered = material.manifest, material.record.last(EventKind.CANDIDATE_REGISTERED)
    if manifest is None or registered is None:
        return None
    known = material.record.known
    definition = {
        "buildType": BUILD_TYPE,
        "externalParameters": {
            "model": manifest.model,
            "retrain": manifest.retrain,
            "contract": known.contract_digest,
            "trigger": material.pack["trigger"]["kind"],
        },
        "internalParameters": {
            "estimator": manifest.estimator,
            "parameters": dict(manifest.params),
            "seed": manifest.seed,
            "window": dict(manifest.window),
            "environment": dict(manifest.environment),
        },
        "resolvedDependencies": list(_dependencies(manifest, known.contract_digest)),
    }
    product = str(manifest.code.get("product") or __version__)
    details = {
        "builder": {"id": BUILDER, "version": {"retrain-assets": product}},
        "metadata": {
            "invocationId": f"{material.checkpoint.ledger}:{material.record.events[0].sequence}",
            "startedOn": _zulu(timestamp(material.record.events[0].recorded_at)),
            "finishedOn": _zulu(timestamp(registered.recorded_at)),
        },
        "byproducts": [{"name": "registry version", "uri": f"models:/{manifest.model}/{registered.payload['version']}"}],
    }
    return statement_of(subjects(material), PREDICATE, {"buildDefinition": definition, "runDetails": details})


def _dependencies(manifest: Manifest, contract: str) -> Iterator[dict[str, Any]]:
    """What went in. Digests of the data set, the feature pipeline and the environment are the product's own."""
    yield {"name": "release contract", "digest": _sha256(contract)}
    yield {"name": "data set", "digest": _sha256(manifest.dataset), "annotations": {"window": dict(manifest.window)}}
    yield {"name": "feature pipeline", "digest": _sha256(manifest.feature_pipeline), "uri": f"python:{manifest.feature_function}"}
    if commit := manifest.code.get("commit"):
        dirty = {"uncommittedChanges": bool(manifest.code.get("dirty"))}
        yield {"name": "code", "digest": {"gitCommit": str(commit)}, "annotations": dirty}
    yield {"name": "environment", "digest": _sha256(digest_of(dict(manifest.environment)))}
    for name, version in sorted((manifest.environment.get("packages") or {}).items()):
        yield {"name": name, "uri": f"pkg:pypi/{name}@{version}"}


def _sha256(digest: str) -> dict[str, str]:
    return {"sha256": digest.removeprefix("sha256:")}


def _zulu(moment: str) -> str:
    return moment.replace("+00:00", "Z")
