"""dagster-databricks' own Pipes clients run a script in the emulated workspace: over DBFS and over a volume."""

import base64
import io
from typing import Any

import pytest
from dagster import (
    AssetCheckSpec,
    AssetExecutionContext,
    AssetMaterialization,
    DagsterInstance,
    MaterializeResult,
    asset,
    materialize,
)
from dagster_databricks.pipes import (
    PipesDatabricksClient,
    PipesDatabricksServerlessClient,
    PipesDbfsMessageReader,
    PipesUnityCatalogVolumesMessageReader,
)
from databricks.sdk.service.compute import ClusterLogConf, ClusterSpec, DbfsStorageInfo, Environment
from databricks.sdk.service.jobs import JobEnvironment, SparkPythonTask, SubmitTask

from retrain_assets_tests.workspace import Workspace

# Dagster's own Pipes session uses what Dagster warns of.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*AssetExecutionContext:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"),
]

STATE = "/Volumes/main/retrain/state"
ON_DBFS = """
from dagster_pipes import PipesDbfsContextLoader, PipesDbfsMessageWriter, open_dagster_pipes
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
with open_dagster_pipes(context_loader=PipesDbfsContextLoader(), message_writer=PipesDbfsMessageWriter(interval=0.1)) as pipes:
    print("from the driver", flush=True)
    pipes.report_asset_materialization(metadata={"rows": spark.range(pipes.extras["rows"]).count()})
"""
ON_A_VOLUME = """
from dagster_pipes import (
    PipesCliArgsParamsLoader, PipesUnityCatalogVolumesContextLoader, PipesUnityCatalogVolumesMessageWriter, open_dagster_pipes,
)

with open_dagster_pipes(
    context_loader=PipesUnityCatalogVolumesContextLoader(),
    message_writer=PipesUnityCatalogVolumesMessageWriter(interval=0.1),
    params_loader=PipesCliArgsParamsLoader(),
) as pipes:
    print("from serverless", flush=True)
    pipes.report_asset_check("is_whole", passed=True)
    pipes.report_asset_materialization(metadata={"rows": pipes.extras["rows"]})
"""


def test_the_pipes_client_of_dagster_runs_a_script_over_dbfs(workspace: Workspace, java: None) -> None:
    client = workspace.client()
    script = base64.b64encode(ON_DBFS.encode()).decode()
    client.api_client.do("POST", "/api/2.0/dbfs/put", body={"path": "/scripts/stage.py", "contents": script})
    reader = PipesDbfsMessageReader(interval=0.1, client=client)
    pipes = PipesDatabricksClient(client, message_reader=reader, poll_interval_seconds=0.1)
    cluster = ClusterSpec(
        spark_version="17.3.x-scala2.13",
        node_type_id="i3.xlarge",
        num_workers=0,
        cluster_log_conf=ClusterLogConf(dbfs=DbfsStorageInfo("dbfs:/logs")),
    )
    stage = SubmitTask("stage", new_cluster=cluster, spark_python_task=SparkPythonTask("dbfs:/scripts/stage.py"))

    @asset
    def rows(context: AssetExecutionContext) -> MaterializeResult:  # type: ignore[type-arg]
        return pipes.run(context=context, task=stage, extras={"rows": 5}).get_materialize_result()

    assert _reported(rows)["rows"] == 5
    delivered = client.dbfs.read(f"/logs/{workspace.cluster_starts[0].cluster_id}/driver/stdout").data
    assert base64.b64decode(delivered or "") == b"from the driver\n"
    assert not any((workspace.dbfs / "tmp").iterdir())


def test_the_serverless_pipes_client_of_dagster_runs_a_script_over_a_volume(workspace: Workspace) -> None:
    client = workspace.client()
    client.files.upload(f"{STATE}/stage.py", io.BytesIO(ON_A_VOLUME.encode()))
    reader = PipesUnityCatalogVolumesMessageReader(
        interval=0.1, client=client, volume_path=STATE, include_stdio_in_messages=False
    )
    pipes = PipesDatabricksServerlessClient(client, STATE, message_reader=reader, poll_interval_seconds=0.1)
    stage = SubmitTask("stage", environment_key="default", spark_python_task=SparkPythonTask(f"{STATE}/stage.py"))
    submit = {"environments": [JobEnvironment("default", Environment(environment_version="4"))]}

    @asset(check_specs=[AssetCheckSpec("is_whole", asset="rows")])
    def rows(context: AssetExecutionContext) -> MaterializeResult:  # type: ignore[type-arg]
        return pipes.run(context=context, task=stage, extras={"rows": 7}, submit_args=submit).get_materialize_result()

    assert _reported(rows)["rows"] == 7
    (submitted,) = workspace.parts["runs"].all
    assert client.jobs.get_run_output(submitted).logs == "from serverless\n"
    assert workspace.cluster_starts == []


def _reported(one: Any) -> dict[str, Any]:
    """Metadata of the materialization that the job reported."""
    with DagsterInstance.ephemeral() as instance:
        done = materialize([one], instance=instance)
        (event,) = [event for event in done.all_events if event.is_step_materialization]
        materialization = event.step_materialization_data.materialization
        assert isinstance(materialization, AssetMaterialization)
        assert "Databricks Job Run URL" in materialization.metadata
        return {name: value.value for name, value in materialization.metadata.items()}
