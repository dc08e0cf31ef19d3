"""The job of a model: made once, brought up to date, and left alone where somebody else keeps it."""

from __future__ import annotations

from typing import Any

import pytest
from databricks.sdk.service.jobs import JobDeployment, JobDeploymentKind

from retrain_assets.compute.databricks.job import job_of
from retrain_assets.compute.databricks.job_settings import job_settings
from retrain_assets.contract import Contract
from retrain_assets_tests.simulation import contract_with
from retrain_assets_tests.workspace import Workspace

VOLUME = "/Volumes/main/retrain/state"
WHEELS = [f"{VOLUME}/code/product-1.whl"]


def contract_on(**changes: Any) -> Contract:
    return contract_with(compute={"databricks": {"volume": VOLUME, "cluster": {"node_type": "i3.xlarge"}, **changes}})


def test_a_job_is_made_once_and_brought_up_to_date_when_the_contract_or_the_code_changed(workspace: Workspace) -> None:
    client = workspace.client()
    job = job_of(client, contract_on(), WHEELS)
    assert job_of(client, contract_on(), WHEELS) == job
    assert workspace.count("POST", "/api/2.2/jobs/reset") == 0
    assert job_of(client, contract_on(run_timeout="1h"), [f"{VOLUME}/code/product-2.whl"]) == job
    (task, *_) = client.jobs.get(job).settings.tasks
    assert (task.timeout_seconds, task.libraries[0].whl) == (3600, f"{VOLUME}/code/product-2.whl")


def test_two_processes_that_find_no_job_make_one(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    client, faster = workspace.client(), []
    create = client.jobs.create

    def created(**settings: Any) -> Any:
        faster.append(job_of(workspace.client(), contract_on(), WHEELS))
        return create(**settings)

    monkeypatch.setattr(client.jobs, "create", created)
    assert job_of(client, contract_on(run_timeout="1h"), WHEELS) == faster[0]
    assert client.jobs.get(faster[0]).settings.tasks[0].timeout_seconds == 3600
    assert [job.job_id for job in client.jobs.list()] == faster


def test_a_job_that_a_bundle_deployed_is_taken_as_it_is(workspace: Workspace) -> None:
    client, deployed = workspace.client(), job_settings(contract_on(), ["/Workspace/bundle/product-1.whl"])
    settings = {name: value for name, value in vars(deployed).items() if value is not None}
    job = client.jobs.create(**settings, deployment=JobDeployment(JobDeploymentKind.BUNDLE)).job_id
    assert job_of(client, contract_on(run_timeout="1h"), WHEELS) == job
    assert client.jobs.get(job).settings.tasks[0].libraries[0].whl == "/Workspace/bundle/product-1.whl"


def test_a_job_that_the_contract_names_is_not_even_looked_at(workspace: Workspace) -> None:
    assert job_of(workspace.client(), contract_on(job=77), WHEELS) == 77
    assert not [path for _, path in workspace.requests if "/jobs/" in path]
