"""Clusters of the emulated workspace: what they may be made of, how they start for runs, and what their tasks see."""

from __future__ import annotations

import json
from typing import Any

import pytest
from databricks.sdk.errors import InvalidParameterValue, InvalidState, ResourceDoesNotExist
from databricks.sdk.service.compute import ClusterSpec, EventType
from databricks.sdk.service.jobs import JobCluster, RunResultState

from retrain_assets_tests.workspace import Workspace
from retrain_assets_tests.workspace.sample_jobs import (
    SMALL,
    STATE,
    latest,
    make_job,
    put_sample_wheel,
    result,
    run,
    task,
    termination,
)


@pytest.fixture(autouse=True)
def wheel(workspace: Workspace) -> None:
    put_sample_wheel(workspace)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"spark_version": "1.0.x-scala2.10"}, "Invalid spark version"),
        ({"node_type_id": "i3.tiny"}, "Node type i3.tiny is not supported"),
        ({"num_workers": None}, "Exactly one of num_workers and autoscale"),
        ({"autoscale": {"min_workers": 1, "max_workers": 2}}, "Exactly one of num_workers and autoscale"),
        ({"instance_pool_id": "pool"}, "cannot be supplied when an instance pool ID is provided"),
        ({"instance_pool_id": "pool", "node_type_id": None}, "Can't find an instance pool with id: pool"),
        ({"policy_id": "none"}, "Can't find a cluster policy with id: none"),
    ],
)
def test_a_cluster_that_cannot_be_made_is_refused_with_the_job(workspace: Workspace, settings: dict[str, Any], told: str) -> None:
    spec = ClusterSpec.from_dict({name: value for name, value in {**SMALL.as_dict(), **settings}.items() if value is not None})
    with pytest.raises(InvalidParameterValue, match=told):
        make_job(workspace.client(), task("a"), job_clusters=[JobCluster("stages", spec)])


def test_a_policy_holds_its_fixed_values(workspace: Workspace) -> None:
    policy = workspace.parts["clusters"].sizes.add_policy({"num_workers": {"type": "fixed", "value": 2}})
    spec = ClusterSpec.from_dict({**SMALL.as_dict(), "policy_id": policy})
    with pytest.raises(InvalidParameterValue, match="Validation failed for num_workers from Cluster policy"):
        make_job(workspace.client(), task("a"), job_clusters=[JobCluster("stages", spec)])
    spec.num_workers = 2
    assert result(run(workspace, make_job(workspace.client(), task("a"), job_clusters=[JobCluster("stages", spec)]))) == "SUCCESS"


def test_tasks_see_the_clusters_environment_with_its_secrets_and_its_spark_settings(workspace: Workspace) -> None:
    workspace.parts["secrets"].put("retrain", "unit_key", "c2VjcmV0")
    spec = ClusterSpec.from_dict(SMALL.as_dict())
    spec.spark_env_vars = {"RETRAIN_UNIT_KEY": "{{secrets/retrain/unit_key}}", "PLAIN": "x"}
    spec.spark_conf = {"spark.sql.shuffle.partitions": "3"}
    run(workspace, make_job(workspace.client(), task("a", "sample-tell"), job_clusters=[JobCluster("stages", spec)]))
    environment = json.loads(workspace.path(f"{STATE}/told.json").read_text())["environment"]
    assert (environment["RETRAIN_UNIT_KEY"], environment["PLAIN"]) == ("c2VjcmV0", "x")
    settings = workspace.folder / "scratch"
    (written,) = settings.glob("*/conf/spark-defaults.conf")
    assert "spark.sql.shuffle.partitions 3\n" in written.read_text()
    assert f"clusterUsageTags.clusterId {workspace.cluster_starts[0].cluster_id}\n" in written.read_text()


def test_a_secret_that_is_not_there_keeps_the_cluster_from_starting(workspace: Workspace) -> None:
    spec = ClusterSpec.from_dict(SMALL.as_dict())
    spec.spark_env_vars = {"RETRAIN_UNIT_KEY": "{{secrets/retrain/absent}}"}
    done = run(workspace, make_job(workspace.client(), task("a"), job_clusters=[JobCluster("stages", spec)]))
    code, kind, message = termination(latest(done)["a"])
    assert (code, kind) == ("CLUSTER_ERROR", "CLIENT_ERROR")
    assert "SECRET_RESOLUTION_ERROR" in message
    assert "Scope retrain does not exist" in message


def test_an_existing_cluster_that_was_terminated_starts_again_and_outlives_the_run(workspace: Workspace) -> None:
    clusters = workspace.client().clusters
    made = clusters.create_and_wait(spark_version="17.3.x-scala2.13", node_type_id="i3.xlarge", num_workers=0)
    cluster_id = made.cluster_id or ""
    clusters.delete_and_wait(cluster_id)
    on_it = task("a", existing_cluster_id=cluster_id), task("b", existing_cluster_id=cluster_id, after=("a",))
    done = run(workspace, make_job(workspace.client(), *on_it))
    assert result(done) == "SUCCESS"
    assert clusters.get(cluster_id).state is not None
    assert clusters.get(cluster_id).state.value == "RUNNING"  # type: ignore[union-attr]
    assert len(workspace.cluster_starts) == 2
    with pytest.raises(InvalidState, match="unexpected state Running"):
        clusters.start(cluster_id)
    kinds = [event.type for event in clusters.events(cluster_id, event_types=[EventType.STARTING, EventType.CREATING])]
    assert kinds == [EventType.STARTING, EventType.CREATING]


def test_a_task_on_a_cluster_that_does_not_exist_fails_before_it_runs(workspace: Workspace) -> None:
    done = run(workspace, make_job(workspace.client(), task("a", existing_cluster_id="1123-nowhere")))
    assert latest(done)["a"].state is not None
    assert latest(done)["a"].state.result_state is RunResultState.FAILED  # type: ignore[union-attr]
    assert "Cluster 1123-nowhere does not exist" in termination(latest(done)["a"])[2]
    with pytest.raises(ResourceDoesNotExist):
        workspace.client().clusters.get("1123-nowhere")
