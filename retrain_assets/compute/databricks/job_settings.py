"""From a contract to the settings of its job: one task for each stage, all on one cluster. Pure; no call is made here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from retrain_assets.compute.databricks.code_wheels import ENTRY_POINT, PRODUCT
from retrain_assets.contract import Contract, StageError, digest_of
from retrain_assets.contract.compute import RETRAIN_STAGES, DatabricksCompute, JobCluster

if TYPE_CHECKING:
    from databricks.sdk.service import compute, jobs

Cloud = Literal["aws", "azure", "gcp"]

CLUSTER = "stages"
"""Key of the job cluster, and of the serverless environment, that all tasks share."""

SETTINGS_TAG = "retrain_settings"
MOST_RUNS_AT_ONCE = 20
"""Runs of one job at once; how many there are is limited by the Dagster pool, further ones queue."""


def job_settings(contract: Contract, wheels: Sequence[str], cloud: Cloud = "aws") -> jobs.JobSettings:
    """The settings of a model's job.

    Args:
        contract: with ``compute.databricks``.
        wheels: paths of the wheels on the volume, the product's first.
        cloud: of the workspace; says how spot capacity is asked for.

    Raises:
        StageError: when the contract's stages do not run on Databricks.
    """
    from databricks.sdk.service import compute, jobs

    settings = databricks_of(contract)
    serverless = settings.serverless
    cluster = settings.cluster
    found = jobs.JobSettings(
        name=job_name(contract.model, settings.volume),
        description=f"Stages of the retrains of {contract.model}. Kept up to date by retrain_assets; changes by hand are undone.",
        tasks=[_task(stage, settings, wheels) for stage in settings.stages],
        parameters=[jobs.JobParameterDefinition(name="order", default="")],
        job_clusters=[jobs.JobCluster(CLUSTER, _cluster(cluster, cloud))] if cluster else None,
        environments=[
            jobs.JobEnvironment(
                CLUSTER,
                compute.Environment(
                    environment_version=serverless.environment_version, dependencies=[*wheels, *settings.libraries]
                ),
            )
        ]
        if serverless
        else None,
        performance_target=jobs.PerformanceTarget(serverless.performance.upper()) if serverless else None,
        max_concurrent_runs=MOST_RUNS_AT_ONCE,
        queue=jobs.QueueSettings(enabled=True),
        tags={"retrain_model": contract.model},
    )
    tags = {**(found.tags or {}), SETTINGS_TAG: digest_of(found.as_dict())[7:39]}
    found.tags = tags
    return found


def job_name(model: str, volume: str) -> str:
    """The name of a model's job: one for each volume, so that two environments on one workspace have two."""
    return f"retrain {model} on {volume}"


def databricks_of(contract: Contract) -> DatabricksCompute:
    """The contract's ``compute.databricks``.

    Raises:
        StageError: when there is none.
    """
    if contract.databricks is None:
        raise StageError(
            "stages of this model do not run on Databricks", where="compute", remedy="write compute: {databricks: {…}}"
        )
    return contract.databricks


def _task(stage: str, settings: DatabricksCompute, wheels: Sequence[str]) -> jobs.Task:
    from databricks.sdk.service import jobs

    before = _before(stage, settings)
    return jobs.Task(
        task_key=stage,
        depends_on=[jobs.TaskDependency(task_key=before)] if before else None,
        python_wheel_task=jobs.PythonWheelTask(
            package_name=PRODUCT, entry_point=ENTRY_POINT, parameters=["{{job.parameters.order}}", stage]
        ),
        job_cluster_key=CLUSTER if settings.cluster else None,
        existing_cluster_id=settings.existing_cluster,
        environment_key=CLUSTER if settings.serverless else None,
        libraries=None if settings.serverless else [*map(_library, wheels), *map(_library, settings.libraries)],
        timeout_seconds=int(settings.run_timeout.total_seconds()),
        max_retries=0,
        disable_auto_optimization=True if settings.serverless else None,
    )


def _before(stage: str, settings: DatabricksCompute) -> str | None:
    """The stage of the road before this one, among those that run there."""
    if stage not in RETRAIN_STAGES:
        return None
    earlier = [one for one in RETRAIN_STAGES[: RETRAIN_STAGES.index(stage)] if one in settings.stages]
    return earlier[-1] if earlier else None


def _library(named: str) -> compute.Library:
    from databricks.sdk.service import compute

    if named.endswith(".whl"):
        return compute.Library(whl=named)
    return compute.Library(pypi=compute.PythonPyPiLibrary(package=named))


def _cluster(cluster: JobCluster, cloud: Cloud) -> compute.ClusterSpec:
    from databricks.sdk.service import compute

    grows = cluster.max_workers is not None
    alone = cluster.workers == 0 and not grows
    single = {"spark.databricks.cluster.profile": "singleNode", "spark.master": "local[*]"} if alone else {}
    spec = compute.ClusterSpec(
        spark_version=cluster.spark_version,
        node_type_id=cluster.node_type,
        driver_node_type_id=cluster.driver_node_type,
        num_workers=None if grows else cluster.workers,
        autoscale=compute.AutoScale(min_workers=cluster.workers, max_workers=cluster.max_workers) if grows else None,
        instance_pool_id=cluster.instance_pool,
        policy_id=cluster.policy,
        data_security_mode=compute.DataSecurityMode.SINGLE_USER,
        spark_conf={**single, **cluster.spark_conf} or None,
        spark_env_vars={name: _secret(value) for name, value in cluster.env.items()} or None,
        custom_tags={**({"ResourceClass": "SingleNode"} if alone else {}), **cluster.tags} or None,
    )
    if cluster.spot and cloud == "aws":
        spot = compute.AwsAvailability.SPOT_WITH_FALLBACK
        spec.aws_attributes = compute.AwsAttributes(availability=spot, first_on_demand=1)
    elif cluster.spot and cloud == "azure":
        azure = compute.AzureAvailability.SPOT_WITH_FALLBACK_AZURE
        spec.azure_attributes = compute.AzureAttributes(availability=azure, first_on_demand=1)
    elif cluster.spot:
        spec.gcp_attributes = compute.GcpAttributes(availability=compute.GcpAvailability.PREEMPTIBLE_WITH_FALLBACK_GCP)
    return spec


def _secret(value: str) -> str:
    """A reference to a secret as a cluster takes it; in a contract two braces would be a template."""
    return f"{{{{secrets/{value.removeprefix('secret:')}}}}}" if value.startswith("secret:") else value


def cloud_of(host: str) -> Cloud:
    """The cloud of a workspace, by its host."""
    if host.rstrip("/").endswith(".azuredatabricks.net"):
        return "azure"
    return "gcp" if host.rstrip("/").endswith(".gcp.databricks.com") else "aws"
