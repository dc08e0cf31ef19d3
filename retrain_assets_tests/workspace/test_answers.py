"""Every answer of the emulated workspace is one of the SDK's own dataclasses, with no key that the SDK would not know or lose."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue
from databricks.sdk.service.compute import AutoScale, ClusterLogConf, DbfsStorageInfo, GetEventsOrder
from databricks.sdk.service.jobs import JobSettings, RunType, SubmitTask

from retrain_assets_tests.workspace import Workspace
from retrain_assets_tests.workspace.sample_jobs import (
    SMALL,
    STATE,
    begun,
    ended,
    latest,
    make_job,
    put_sample_wheel,
    run,
    task,
)

Driven = tuple[Workspace, list[Any], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driven]:
    """A workspace whose every route was asked by the real client, what the client made of the answers, the answers as sent."""
    with Workspace(tmp_path_factory.mktemp("driven")) as workspace:
        workspace.add_volume("main.retrain.state")
        put_sample_wheel(workspace)
        client = workspace.client()
        sent: list[dict[str, Any]] = []
        hooks = client.api_client._api_client._session.hooks["response"]
        hooks.append(
            lambda answer, **named: sent.append(answer.json()) if "json" in answer.headers.get("Content-Type", "") else None
        )
        got = [*_jobs(workspace, client), *_clusters(workspace, client), *_dbfs(client), *_secrets(client)]
        got.append(client.current_user.me())
        _files(client)
        yield workspace, got, sent


def test_every_route_was_driven_by_the_real_client(driven: Driven) -> None:
    workspace, _, _ = driven
    own = [
        route
        for _, route in workspace.routes.all
        if type(getattr(route.handler, "__self__", None)).__module__.rpartition(".")[2]
        in ("jobs", "runs", "clusters", "sizes", "files", "dbfs", "secret_scopes", "identity")
        and not route.pattern.startswith(("/api/2.1/jobs", "/api/2.0/clusters", "/oidc"))
    ]
    missed = [f"{one.method} {one.pattern}" for one in own if not any(_is(one, asked) for asked in set(workspace.requests))]
    assert len(own) > 45
    assert missed == []


def test_every_answer_survives_the_sdk_unchanged(driven: Driven) -> None:
    workspace, _, _ = driven
    answers = {key: answer for key, answer in workspace.answers.items() if answer[0] is not type(None)}
    assert len(answers) > 20
    for (method, pattern), (kind, sent) in answers.items():
        assert kind.from_dict(sent).as_dict() == sent, f"{method} {pattern}"  # type: ignore[attr-defined]
        assert kind.__module__.startswith("databricks.sdk."), f"{method} {pattern}"


def test_what_the_client_gives_is_what_was_sent(driven: Driven) -> None:
    _, got, sent = driven
    listed = [one for answer in sent for values in answer.values() if isinstance(values, list) for one in values]
    assert len(got) > 25
    assert [one for one in got if one.as_dict() not in sent and one.as_dict() not in listed] == []


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/api/2.2/jobs/create", {"name": "x", "tasks": [], "retries": 1}, "Unknown field 'retries'"),
        ("/api/2.2/jobs/create", {"tasks": [{"task_key": "a", "python_wheel": {}}]}, r"Unknown field 'tasks\[0\].python_wheel'"),
        ("/api/2.2/jobs/create", {"tasks": [{"task_key": "a", "run_if": "SOMETIMES"}]}, "Invalid value 'SOMETIMES'"),
        ("/api/2.2/jobs/run-now", {"job_id": "7"}, "Field 'job_id' must be int, not str"),
        ("/api/2.2/jobs/run-now", {"job_id": 7, "job_parameters": {"order": 1}}, "Field 'job_parameters.order' must be str"),
        ("/api/2.1/clusters/create", {"spark_version": "17.3.x-scala2.13", "workers": 2}, "Unknown field 'workers'"),
        ("/api/2.2/jobs/run-now", {}, "Missing required field: job_id"),
        ("/api/2.2/jobs/runs/submit", {"tasks": [{}]}, r"Missing required field: tasks\[0\].task_key"),
        ("/api/2.0/dbfs/put", {"path": "/x", "content": ""}, "Unknown field 'content'"),
    ],
)
def test_an_unknown_or_mistyped_field_of_a_request_is_refused(
    workspace: Workspace, path: str, body: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidParameterValue, match=told):
        workspace.client().api_client.do("POST", path, body=body)


def _is(route: Any, asked: tuple[str, str]) -> bool:
    return route.method == asked[0] and route.expression.fullmatch(asked[1]) is not None


def _jobs(workspace: Workspace, client: WorkspaceClient) -> Iterator[Any]:
    jobs = client.jobs
    job_id = make_job(
        client, task("a", "sample-say", "{{job.parameters.x}}"), task("b", "sample-fail", after=("a",)), parameters={"x": "1"}
    )
    yield jobs.get(job_id)
    settings = jobs.get(job_id).settings
    assert settings is not None
    jobs.reset(job_id, settings)
    jobs.update(job_id, new_settings=JobSettings(name="renamed"), fields_to_remove=["schedule"])
    yield from jobs.list(name="renamed")
    done = run(workspace, job_id, job_parameters={"x": "2"})
    assert done.run_id is not None
    jobs.repair_run(done.run_id, rerun_all_failed_tasks=True)
    ended(workspace, done.run_id)
    yield jobs.get_run(done.run_id, include_history=True)
    yield jobs.get_run(latest(done)["a"].run_id or 0)
    yield jobs.get_run_output(latest(done)["b"].run_id or 0)
    submitted = SubmitTask.from_dict({**task("only", new_cluster=SMALL).as_dict()})
    submitted_id = jobs.submit(tasks=[submitted], run_name="once").bind()["run_id"]
    yield from jobs.list_runs(run_type=RunType.SUBMIT_RUN, active_only=True)
    ended(workspace, submitted_id)
    waiting = begun(workspace, make_job(client, task("a", "sample-wait")))
    jobs.cancel_run(waiting)
    jobs.cancel_all_runs(job_id=job_id)
    ended(workspace, waiting)
    jobs.delete_run(waiting)
    jobs.delete(job_id)


def _clusters(workspace: Workspace, client: WorkspaceClient) -> Iterator[Any]:
    sizes = workspace.parts["clusters"].sizes
    yield client.instance_pools.get(sizes.add_pool())
    yield client.cluster_policies.get(sizes.add_policy({"num_workers": {"type": "fixed", "value": 1}}))
    made = client.clusters.create_and_wait(
        spark_version="17.3.x-scala2.13",
        node_type_id="i3.xlarge",
        autoscale=AutoScale(min_workers=1, max_workers=3),
        cluster_log_conf=ClusterLogConf(dbfs=DbfsStorageInfo("dbfs:/logs")),
    )
    cluster_id = made.cluster_id or ""
    yield made
    yield from client.clusters.list()
    client.clusters.restart(cluster_id)
    client.clusters.ensure_cluster_is_running(cluster_id)
    client.clusters.delete_and_wait(cluster_id)
    yield client.clusters.start_and_wait(cluster_id)
    yield from client.clusters.events(cluster_id, order=GetEventsOrder.ASC, page_size=3)
    yield client.clusters.list_node_types()
    yield client.clusters.spark_versions()
    client.clusters.permanent_delete(cluster_id)


def _dbfs(client: WorkspaceClient) -> Iterator[Any]:
    client.api_client.do("POST", "/api/2.0/dbfs/put", body={"path": "/a/b", "contents": base64.b64encode(b"x" * 10).decode()})
    yield client.dbfs.read("/a/b", length=5)
    yield client.dbfs.get_status("/a/b")
    yield from list(client.dbfs.list("/a"))
    client.dbfs.mkdirs("/c")
    handle = client.dbfs.create("/c/d").handle
    client.api_client.do("POST", "/api/2.0/dbfs/add-block", body={"handle": handle, "data": base64.b64encode(b"block").decode()})
    client.api_client.do("POST", "/api/2.0/dbfs/close", body={"handle": handle})
    client.api_client.do("POST", "/api/2.0/dbfs/move", body={"source_path": "/c/d", "destination_path": "/c/e"})
    client.api_client.do("POST", "/api/2.0/dbfs/delete", body={"path": "/c", "recursive": True})


def _secrets(client: WorkspaceClient) -> Iterator[Any]:
    client.secrets.create_scope("retrain")
    client.secrets.put_secret("retrain", "unit_key", string_value="c2VjcmV0")
    yield client.secrets.get_secret("retrain", "unit_key")
    yield from client.secrets.list_scopes()
    yield from client.secrets.list_secrets("retrain")
    client.secrets.delete_secret("retrain", "unit_key")
    client.secrets.delete_scope("retrain")


def _files(client: WorkspaceClient) -> None:
    files = client.files
    files.create_directory(f"{STATE}/x/y")
    files.upload(f"{STATE}/x/y/z.txt", io.BytesIO(b"text"))
    files.get_metadata(f"{STATE}/x/y/z.txt")
    files.get_directory_metadata(f"{STATE}/x")
    files.download(f"{STATE}/x/y/z.txt")
    assert [entry.name for entry in files.list_directory_contents(f"{STATE}/x")] == ["y"]
    files.delete(f"{STATE}/x/y/z.txt")
    files.delete_directory(f"{STATE}/x/y")
