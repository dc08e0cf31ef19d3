"""What a workspace's tracking server keeps of a candidate: a run with parameters and metrics, a logged model with its files."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrain_assets.registry.packaging import package

BATCH = 100
"""Parameters and tags that one request may carry."""


@dataclass(frozen=True, slots=True)
class Logged:
    """Where a candidate was logged.

    Args:
        run_id: its MLflow run.
        model_id: its MLflow logged model.
    """

    run_id: str
    model_id: str

    @property
    def source(self) -> str:
        """The URI a version is made from."""
        return f"models:/{self.model_id}"


def log_candidate(
    client: Any,
    experiment: str,
    bundle_dir: Path,
    manifest: Mapping[str, Any],
    digest: str,
    metrics: Mapping[str, float | None],
    *,
    tag: str,
) -> Logged:
    """Log a bundle in few requests. The run that an earlier try began is gone on with; its logged model is made anew.

    Args:
        client: an ``MlflowClient``.
        experiment: id of the experiment.
        bundle_dir: the bundle's directory.
        manifest: its manifest as JSON.
        digest: its digest.
        metrics: numbers to log; None values are left out.
        tag: name of the tag that carries the digest.
    """
    model, retrain = manifest["model"], manifest["retrain"]
    begun = client.search_runs([experiment], filter_string=f"tags.{tag} = '{digest}'", max_results=1)
    if begun:
        run_id = begun[0].info.run_id
    else:
        run_id = client.create_run(experiment, run_name=retrain, tags={"retrain": retrain, tag: digest}).info.run_id
    _log(client, run_id, manifest, metrics)
    logged = client.create_logged_model(experiment, name=model, source_run_id=run_id, tags={tag: digest, "retrain": retrain})
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "model"
        package(bundle_dir, manifest, digest, target, run_id=run_id, model_id=logged.model_id)
        client.log_model_artifacts(logged.model_id, str(target))
    client.finalize_logged_model(logged.model_id, "READY")
    client.set_terminated(run_id)
    return Logged(run_id, logged.model_id)


def facts_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a candidate's run."""
    facts = {"estimator": manifest["estimator"], "seed": manifest["seed"], "calibration": manifest["calibration"]["kind"]}
    return {**facts, **{f"param.{key}": item for key, item in manifest["params"].items()}, **manifest["window"]}


def _log(client: Any, run_id: str, manifest: Mapping[str, Any], metrics: Mapping[str, float | None]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    params = [Param(name, str(value)) for name, value in facts_of(manifest).items()]
    numbers = [Metric(name, float(number), int(time.time() * 1000), 0) for name, number in metrics.items() if number is not None]
    tags = [RunTag(name, manifest[name]) for name in ("dataset", "feature_pipeline")]
    client.log_batch(run_id, metrics=numbers, params=params[:BATCH], tags=tags)
    for start in range(BATCH, len(params), BATCH):
        client.log_batch(run_id, params=params[start : start + BATCH])
