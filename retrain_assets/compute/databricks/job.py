"""A model's job in the workspace: found, made, or brought up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrain_assets.compute.databricks.job_settings import SETTINGS_TAG, cloud_of, databricks_of, job_settings
from retrain_assets.compute.databricks.workspace import asking, patiently
from retrain_assets.contract import Contract

if TYPE_CHECKING:
    from collections.abc import Sequence

    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.jobs import BaseJob


def job_of(client: WorkspaceClient, contract: Contract, wheels: Sequence[str]) -> int:
    """Id of the model's job, whose settings are those of the contract and whose code is in the wheels.

    A job that the contract names, or that a bundle deployed under the model's name, is taken as it is: somebody else keeps it.
    Where two processes make one at the same time, the older stays.

    Args:
        client: of the workspace.
        contract: of the model.
        wheels: paths of the wheels on the volume.

    Raises:
        StageError: when it may not be made or changed.
    """
    if (named := databricks_of(contract).job) is not None:
        return named
    wanted = job_settings(contract, wheels, cloud_of(str(client.config.host)))
    name, digest = str(wanted.name), (wanted.tags or {})[SETTINGS_TAG]
    with asking("job", f"job {name!r}"):
        known = patiently(lambda: _named(client, name))
        if not known:
            mine = int(client.jobs.create(**_arguments(wanted)).job_id or 0)
            if min([mine, *(job.job_id or mine for job in patiently(lambda: _named(client, name)))]) == mine:
                return mine
            patiently(lambda: client.jobs.delete(mine))
            return job_of(client, contract, wheels)
        first = next((job for job in known if _is_deployed(job)), min(known, key=lambda job: job.job_id or 0))
        job_id = int(first.job_id or 0)
        if not _is_deployed(first) and ((first.settings and first.settings.tags) or {}).get(SETTINGS_TAG) != digest:
            patiently(lambda: client.jobs.reset(job_id, wanted))
        return job_id


def _named(client: WorkspaceClient, name: str) -> list[BaseJob]:
    return [job for job in client.jobs.list(name=name) if job.settings and job.settings.name == name]


def _is_deployed(job: BaseJob) -> bool:
    """Whether an Asset Bundle keeps the job."""
    deployment = job.settings.deployment if job.settings else None
    return deployment is not None and deployment.kind.value == "BUNDLE"


def _arguments(settings: object) -> dict[str, Any]:
    """Settings as the arguments of ``jobs.create``, which takes them one by one."""
    return {name: value for name, value in vars(settings).items() if value is not None}
