from __future__ import annotations

from typing import Any

import pytest
from databricks.sdk.service import compute, jobs

from retrain_assets.compute.databricks import job_settings
from retrain_assets.compute.databricks.job_settings import SETTINGS_TAG, Cloud, cloud_of
from retrain_assets.contract import Contract, StageError
from retrain_assets_tests.compute.databricks.world import CLUSTER, VOLUME, contract_there

WHEELS = [f"{VOLUME}/code/retrain_assets-0.whl", f"{VOLUME}/code/team-0.whl"]


def settings(cloud: Cloud = "aws", **changes: Any) -> jobs.JobSettings:
    return job_settings(Contract.recorded(contract_there(**changes)), WHEELS, cloud)


def test_every_stage_is_a_task_after_the_one_before_it_and_all_share_one_cluster() -> None:
    found = settings()
    assert [(task.task_key, [one.task_key for one in task.depends_on or []]) for task in found.tasks or []] == [
        ("dataset", []),
        ("features", ["dataset"]),
        ("training", ["features"]),
        ("evaluation", ["training"]),
    ]
    assert {task.job_cluster_key for task in found.tasks or []} == {"stages"}
    assert [one.job_cluster_key for one in found.job_clusters or []] == ["stages"]
    first = (found.tasks or [])[0]
    assert first.python_wheel_task == jobs.PythonWheelTask(
        package_name="retrain_assets", entry_point="retrain-stage", parameters=["{{job.parameters.order}}", "dataset"]
    )
    assert [one.whl for one in first.libraries or []] == WHEELS
    assert first.timeout_seconds == 6 * 3600
    assert found.queue == jobs.QueueSettings(enabled=True)


def test_stages_outside_the_road_stand_alone_and_the_road_closes_over_what_runs_elsewhere() -> None:
    found = settings(stages=["dataset", "training", "drift", "canary"])
    assert {task.task_key: [one.task_key for one in task.depends_on or []] for task in found.tasks or []} == {
        "dataset": [],
        "training": ["dataset"],
        "drift": [],
        "canary": [],
    }


def test_serverless_has_an_environment_with_wheels_and_libraries() -> None:
    found = settings(cluster=None, serverless={"performance": "performance_optimized"}, libraries=["xgboost==3.1.1"])
    spec = (found.environments or [])[0].spec
    assert spec is not None
    assert spec.dependencies == [*WHEELS, "xgboost==3.1.1"]
    assert found.performance_target is jobs.PerformanceTarget.PERFORMANCE_OPTIMIZED
    task = (found.tasks or [])[0]
    assert (task.environment_key, task.libraries, task.job_cluster_key) == ("stages", None, None)
    assert found.job_clusters is None


def test_an_existing_cluster_is_named_by_every_task() -> None:
    found = settings(cluster=None, existing_cluster="0123-abc", libraries=["xgboost==3.1.1", f"{VOLUME}/x.whl"])
    task = (found.tasks or [])[-1]
    assert task.existing_cluster_id == "0123-abc"
    assert [(one.whl, one.pypi and one.pypi.package) for one in (task.libraries or [])[2:]] == [
        (None, "xgboost==3.1.1"),
        (f"{VOLUME}/x.whl", None),
    ]


@pytest.mark.parametrize(
    ("cloud", "host", "asked"),
    [
        ("aws", "https://dbc-1.cloud.databricks.com", ("aws_attributes", compute.AwsAvailability.SPOT_WITH_FALLBACK)),
        (
            "azure",
            "https://adb-1.2.azuredatabricks.net/",
            ("azure_attributes", compute.AzureAvailability.SPOT_WITH_FALLBACK_AZURE),
        ),
        (
            "gcp",
            "https://1.2.gcp.databricks.com",
            ("gcp_attributes", compute.GcpAvailability.PREEMPTIBLE_WITH_FALLBACK_GCP),
        ),
    ],
)
def test_spot_capacity_is_asked_for_as_the_cloud_words_it(cloud: Cloud, host: str, asked: tuple[str, Any]) -> None:
    assert cloud_of(host) == cloud
    found = settings(cloud, cluster={**CLUSTER, "spot": True, "workers": 2})
    spec = (found.job_clusters or [])[0].new_cluster
    assert getattr(spec, asked[0]).availability is asked[1]


def test_a_cluster_without_workers_is_a_single_node_and_one_that_grows_is_not() -> None:
    alone = (settings().job_clusters or [])[0].new_cluster
    assert alone.num_workers == 0
    assert (alone.spark_conf or {})["spark.databricks.cluster.profile"] == "singleNode"
    grows = (settings(cluster={**CLUSTER, "max_workers": 4}).job_clusters or [])[0].new_cluster
    assert grows.num_workers is None
    assert grows.autoscale == compute.AutoScale(min_workers=0, max_workers=4)
    assert grows.spark_conf is None


def test_the_tag_changes_with_the_settings_and_with_nothing_else() -> None:
    def tag(**changes: Any) -> str:
        return (settings(**changes).tags or {})[SETTINGS_TAG]

    assert tag() == tag(poll="9s", retries=7, fetch_up_to_mb=1)
    assert tag() != tag(run_timeout="1h")
    assert tag() != tag(cluster={**CLUSTER, "node_type": "i3.2xlarge"})


def test_the_settings_are_what_the_api_knows() -> None:
    found = settings(cluster={**CLUSTER, "workers": 1, "tags": {"team": "ml"}, "env": {"A": "b"}})
    assert jobs.JobSettings.from_dict(found.as_dict()).as_dict() == found.as_dict()


def test_a_contract_whose_stages_run_here_has_no_job() -> None:
    values = contract_there()
    values["compute"] = "local"
    with pytest.raises(StageError, match="do not run on Databricks"):
        job_settings(Contract.recorded(values), WHEELS)


def test_a_secret_of_the_environment_is_a_reference_that_the_cluster_resolves() -> None:
    found = settings(cluster={**CLUSTER, "env": {"INDEX": "secret:retrain/index", "A": "b"}})
    (cluster,) = found.job_clusters or []
    assert cluster.new_cluster.spark_env_vars == {"INDEX": "{{secrets/retrain/index}}", "A": "b"}
