"""A model of a team's own MLflow: which one a URI means, what was recorded of it, and its files."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrain_assets.contract import RegistryUnavailable, RetrainError, first_line
from retrain_assets.registry.mlflow_store import connect

FORMS = "models:/NAME/VERSION, models:/NAME@ALIAS, models:/MODEL_ID or runs:/RUN/NAME"


@dataclass(frozen=True, slots=True)
class SourceModel:
    """A logged model.

    Args:
        source: what it is, without an alias: ``models:/churn/12``, ``models:/m-1efb…``, ``runs:/RUN/NAME``.
        run_id: its run; None where none is recorded.
        artifacts: where its files are.
        parameters: recorded parameters of run and model.
        metrics: recorded metrics of run and model.
    """

    source: str
    run_id: str | None
    artifacts: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]


def find_source(uri: str, tracking_uri: str, registry_uri: str | None = None) -> SourceModel:
    """The logged model that a URI means now.

    Args:
        uri: one of :data:`FORMS`.
        tracking_uri: MLflow tracking URI of the server that has it.
        registry_uri: its registry URI; the tracking URI by default.

    Raises:
        RetrainError: when the URI has another form, or nothing is there.
        RegistryUnavailable: when the server does not answer.
    """
    from mlflow.exceptions import MlflowException

    client = connect(tracking_uri, registry_uri)
    try:
        if found := re.fullmatch(r"models:/(m-[0-9a-z]{16,})", uri):
            return _logged(client, uri, found[1], None)
        if found := re.fullmatch(r"models:/([^/@]+)(?:/(\d+)|@([^/@]+))", uri):
            name, number, alias = found.groups()
            version = client.get_model_version(name, number) if number else client.get_model_version_by_alias(name, alias)
            artifacts = client.get_model_version_download_uri(name, version.version)
            inner = re.fullmatch(r"models:/(m-[0-9a-z]+)", version.source or "")
            return _logged(client, f"models:/{name}/{version.version}", inner[1] if inner else None, version.run_id, artifacts)
        if found := re.fullmatch(r"runs:/([0-9a-f]+)/(.+)", uri):
            return _of_run(client, uri, found[1], found[2])
    except MlflowException as error:
        raise RetrainError(
            f"{uri} is not there ({first_line(error)})",
            where=tracking_uri,
            remedy="correct --version, or name the server that has it with --from",
        ) from error
    raise RetrainError(f"{uri!r} is no model of MLflow", where="--version", remedy=f"write {FORMS}")


def fetch_source(found: SourceModel, tracking_uri: str, target: Path) -> None:
    """Copy the files of a logged model to a folder, which appears whole.

    Raises:
        RegistryUnavailable: when they cannot be read.
    """
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    scratch = target.with_name(target.name + ".writing")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        came = Path(mlflow.artifacts.download_artifacts(found.artifacts, dst_path=str(scratch), tracking_uri=tracking_uri))
    except (MlflowException, OSError) as error:
        raise RegistryUnavailable(
            f"the files of {found.source} cannot be read ({first_line(error)})",
            where=found.artifacts,
            remedy="see that the artifact store answers from here",
        ) from error
    shutil.rmtree(target, ignore_errors=True)
    if came.resolve() == scratch.resolve():
        scratch.rename(target)
        return
    came.rename(target)
    shutil.rmtree(scratch)


def _logged(client: Any, source: str, model_id: str | None, run_id: str | None, artifacts: str | None = None) -> SourceModel:
    model: Any = client.get_logged_model(model_id) if model_id else None
    run_id = run_id or (model.source_run_id if model is not None else None) or None
    parameters, metrics = _recorded(client, run_id)
    if model is not None:
        parameters |= dict(model.params or {})
        metrics |= {metric.key: float(metric.value) for metric in model.metrics or ()}
    return SourceModel(source, run_id, artifacts or str(model.artifact_location), parameters, metrics)


def _of_run(client: Any, uri: str, run_id: str, name: str) -> SourceModel:
    run = client.get_run(run_id)
    for output in getattr(run.outputs, "model_outputs", None) or ():
        if client.get_logged_model(output.model_id).name == name:
            return _logged(client, uri, output.model_id, run_id)
    return _logged(client, uri, None, run_id, f"{run.info.artifact_uri.rstrip('/')}/{name}")


def _recorded(client: Any, run_id: str | None) -> tuple[dict[str, str], dict[str, float]]:
    from mlflow.exceptions import MlflowException

    if run_id is None:
        return {}, {}
    try:
        data = client.get_run(run_id).data
    except MlflowException:  # a version outlives its run
        return {}, {}
    return dict(data.params), {name: float(value) for name, value in data.metrics.items()}
