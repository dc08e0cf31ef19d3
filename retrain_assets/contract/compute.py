"""Where the heavy stages of a model run: in this process, on a Spark session, or on Databricks."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema

from retrain_assets.contract.part import Part, rule
from retrain_assets.contract.quantities import Period, named_once

StageName = Literal["dataset", "features", "training", "evaluation", "drift", "canary", "scoring"]
Engine = Literal["single_node", "spark"]


def plain_path(value: str) -> str:
    """A path without ``.`` and ``..``, unchanged."""
    if {".", ".."} & set(value.split("/")):
        raise ValueError(f"{value!r} leads elsewhere; write the folder itself, without . and ..")
    return value


VolumePath = Annotated[
    str, StringConstraints(pattern=r"^/Volumes/[^/\s]+/[^/\s]+/[^/\s]+(/[^/\s]+)*$"), AfterValidator(plain_path)
]
Price = Annotated[float, Field(ge=0)]

RETRAIN_STAGES: tuple[StageName, ...] = ("dataset", "features", "training", "evaluation")
"""The stages of one retrain, in the order of the road."""


class SparkSession(Part):
    """A Spark session of this machine or of a cluster it can reach."""

    master: str = Field(default="local[*]", description="Spark master, such as local[*] or spark://host:7077.")
    conf: dict[str, str] = Field(default_factory=dict, description="Further Spark settings.")
    stages: Annotated[list[StageName], AfterValidator(named_once)] = Field(
        default_factory=lambda: list(RETRAIN_STAGES), description="Stages that run on Spark; the others run in this process."
    )


class JobCluster(Part):
    """A cluster that lives as long as one run of the job; every stage of the run shares it."""

    spark_version: str = Field(default="17.3.x-scala2.13", description="Databricks Runtime; ML runtimes work too.")
    node_type: str | None = Field(default=None, description="Node type, such as i3.xlarge; not with an instance pool.")
    driver_node_type: str | None = Field(default=None, description="Node type of the driver; None: that of the workers.")
    workers: Annotated[int, Field(ge=0)] = Field(default=0, description="Number of workers; 0: the driver alone (single node).")
    max_workers: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Most workers of a cluster that grows from workers by itself; None: it does not."
    )
    instance_pool: str | None = Field(default=None, description="Id of the instance pool nodes come from.")
    policy: str | None = Field(default=None, description="Id of the cluster policy.")
    spot: bool = Field(default=False, description="Workers on spot capacity; a lost cluster is tried again, see retries.")
    spark_conf: dict[str, str] = Field(default_factory=dict, description="Spark settings of the cluster.")
    env: dict[str, str] = Field(
        default_factory=dict, description="Environment variables of the cluster; a secret is written secret:SCOPE/KEY."
    )
    tags: dict[str, str] = Field(default_factory=dict, description="Tags for cost reports.")
    price_per_node_hour: Price | None = Field(
        default=None, description="What one node costs an hour, DBUs and machine together, in economics.currency; for estimates."
    )

    @rule
    def _has_nodes(self) -> JobCluster:
        if (self.node_type is None) == (self.instance_pool is None):
            raise ValueError("cluster: write either node_type or instance_pool")
        if self.instance_pool is not None and (self.driver_node_type is not None or self.spot):
            raise ValueError("cluster: driver_node_type and spot are settings of the instance pool; remove them")
        if self.max_workers is not None and self.max_workers <= self.workers:
            raise ValueError("cluster: max_workers must be above workers; raise it, or remove it")
        return self


class Serverless(Part):
    """Serverless jobs compute."""

    environment_version: str = Field(default="4", description="Version of the serverless environment.")
    performance: Literal["standard", "performance_optimized"] = Field(
        default="standard", description="standard costs less and starts later."
    )
    price_per_hour: Price | None = Field(default=None, description="What an hour costs, in economics.currency; for estimates.")


class DatabricksCompute(Part):
    """Databricks as the place of the heavy stages. Host and credentials come from the environment, never from the contract."""

    volume: VolumePath = Field(
        description="Unity Catalog volume, or a folder of one, for requests, results, snapshots and code: "
        "/Volumes/CATALOG/SCHEMA/VOLUME."
    )
    cluster: JobCluster | None = Field(default=None, description="A job cluster for each run.")
    existing_cluster: str | None = Field(default=None, description="Id of a running or startable all-purpose cluster.")
    serverless: Serverless | None = Field(default=None, description="Serverless jobs compute.")
    stages: Annotated[list[StageName], AfterValidator(named_once)] = Field(
        default_factory=lambda: list(RETRAIN_STAGES), description="Stages that run there; the others run in this process."
    )
    engine: Engine = Field(
        default="single_node", description="spark: data, features, scores and statistics are made by the executors."
    )
    job: Annotated[int, Field(gt=0)] | None = Field(
        default=None,
        description="Id of a job that an Asset Bundle deployed; None: the job is made and kept up to date.",
    )
    libraries: list[str] = Field(
        default_factory=list, description="What else the code needs: requirements (xgboost==3.1.1) or paths of wheels on volumes."
    )
    packages: list[str] = Field(
        default_factory=list,
        description="Further Python packages that features or schema import; the package they are in always goes along.",
    )
    secret_scope: str | None = Field(
        default=None,
        description="Secret scope whose key unit_key holds the secret that unit ids are named with in evidence, base64 text. "
        "None: names of units in evidence say nothing from one stage to the next.",
    )
    warehouse: str | None = Field(
        default=None, description="Id of the SQL warehouse that is asked for table versions; None: the job finds them out."
    )
    poll: Period = Field(default=timedelta(seconds=5), description="Time between two looks at a run.")
    start_timeout: Period = Field(default=timedelta(minutes=30), description="Longest time a run may wait for its cluster.")
    run_timeout: Period = Field(default=timedelta(hours=6), description="Longest time one stage may run.")
    retries: Annotated[int, Field(ge=0, le=10)] = Field(
        default=2,
        description="How often a stage is tried again after lost spot capacity or a fault of the platform.",
    )
    fetch_up_to_mb: Annotated[float, Field(ge=0)] = Field(
        default=256, description="Outputs up to this size are brought home; larger ones stay on the volume."
    )
    pool: str = Field(default="databricks", min_length=1, description="Dagster pool that limits how many stages run at once.")

    @rule
    def _runs_on_one(self) -> DatabricksCompute:
        named = [name for name in ("cluster", "existing_cluster", "serverless") if getattr(self, name) is not None]
        if len(named) != 1:
            written = f"{' and '.join(named)} are written" if named else "none is"
            raise ValueError(f"compute.databricks: write one of cluster, existing_cluster and serverless; {written}")
        return self


class Compute(Part):
    """``local``, ``{spark: …}`` or ``{databricks: …}``."""

    spark: SparkSession | None = Field(default=None, description="Heavy stages run on this Spark session.")
    databricks: DatabricksCompute | None = Field(default=None, description="Heavy stages run on Databricks.")

    @model_validator(mode="before")
    @classmethod
    def _local_is_neither(cls, value: Any) -> Any:
        if value == LOCAL:
            return {}
        if not isinstance(value, (dict, Compute)) or not value:
            raise ValueError("compute: write local, {spark: ...} or {databricks: ...}")
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"const": LOCAL, "type": "string"}, handler(core)]}

    @rule
    def _is_one_place(self) -> Compute:
        if self.spark is not None and self.databricks is not None:
            raise ValueError("compute: write either spark or databricks")
        return self

    @model_serializer(mode="wrap")
    def _written(self, dump: SerializerFunctionWrapHandler) -> Any:
        return {name: value for name, value in dump(self).items() if value is not None} or LOCAL


LOCAL = "local"
