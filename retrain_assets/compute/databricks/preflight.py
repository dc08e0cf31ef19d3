"""What a workspace has to have for a contract: everything asked once, before the first retrain, and a line for each."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from retrain_assets.compute.databricks.workspace import Subject, asking, patiently
from retrain_assets.contract import Contract, RetrainError, StageError, first_line
from retrain_assets.contract.compute import DatabricksCompute

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

PROBE = ".retrain_check"
"""A file that is written to the volume and deleted again."""

SELECT = "correct source.table, or grant the identity SELECT on it, USE SCHEMA and USE CATALOG above it"
USE = "correct RETRAIN_REGISTRY_SCHEMA, or grant the identity USE SCHEMA on it and USE CATALOG above it"

UNIT_KEY = "unit_key"
"""Key of the secret that units are named with."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was asked, and whether it is as it has to be.

    Args:
        subject: what was asked about, as the contract or the environment names it.
        holds: whether a retrain can rely on it.
        said: what was found, one line; where it does not hold, with the remedy.
    """

    subject: str
    holds: bool
    said: str

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        return {"subject": self.subject, "holds": self.holds, "said": self.said}


def preflight(
    contract: Contract, settings: DatabricksCompute, client: WorkspaceClient, unit_key: bytes, registry: str | None = None
) -> Iterator[Finding]:
    """Ask a workspace for everything that a contract needs of it; nothing is left behind there.

    Args:
        contract: the contract.
        settings: its ``compute.databricks``.
        client: the workspace, as the orchestrator reaches it.
        unit_key: the secret that this home names units with.
        registry: schema of Unity Catalog that models are registered in; None where they are registered elsewhere.
    """
    (who,) = _asked("identity", "workspace", lambda: _identity(client))
    yield who
    if not who.holds:
        return  # nobody known is told nothing else
    yield from _asked(f"volume {settings.volume}", "volume", lambda: _volume(settings.volume, client))
    if contract.source.table is not None:
        yield from _asked(f"table {contract.source.table}", "workspace", lambda: _table(contract, client), SELECT)
    for subject, kind, ask in _machines(settings, client):
        yield from _asked(subject, kind, ask)
    if settings.job is not None:
        job = settings.job
        yield from _asked(f"job {job}", "job", lambda: _job(settings, job, client))
    if settings.secret_scope is not None:
        scope = settings.secret_scope
        put = f"put the home's unit key into {scope}/{UNIT_KEY}, as docs/databricks.md has it, or correct secret_scope"
        yield from _asked(f"secret {scope}/{UNIT_KEY}", "workspace", lambda: _secret(scope, client, unit_key), put)
    else:
        yield Finding("secret", True, "no secret_scope: what evidence calls a unit says nothing from one stage to the next")
    if settings.warehouse is not None:
        warehouse = settings.warehouse
        correct = "correct compute.databricks.warehouse, or give the identity CAN USE on it"
        yield from _asked(f"warehouse {warehouse}", "workspace", lambda: str(client.warehouses.get(warehouse).name), correct)
    if registry is not None:
        yield from _asked(f"registry {registry}", "workspace", lambda: f"schema of {client.schemas.get(registry).owner}", USE)


def _asked(subject: str, kind: Subject, ask: Callable[[], str], missing: str = "") -> Iterator[Finding]:
    """One finding; ``missing`` is the remedy where the subject is not there, if the kind has no better one."""
    from databricks.sdk.errors import NotFound

    try:
        with asking(kind, subject):
            try:
                said = patiently(ask)
            except NotFound as error:
                if not missing:
                    raise
                raise StageError(f"is not there ({first_line(error)})", where=subject, remedy=missing) from error
    except RetrainError as error:
        yield Finding(subject, False, f"{error.what}; {error.remedy}" if error.remedy else error.what)
    else:
        yield Finding(subject, True, said)


def _identity(client: WorkspaceClient) -> str:
    return f"{client.current_user.me().user_name} at {client.config.host}"


def _volume(path: str, client: WorkspaceClient) -> str:
    import io

    probe = f"{path}/{PROBE}"
    client.files.upload(probe, io.BytesIO(b"retrain"), overwrite=True)
    found = client.files.download(probe).contents
    content = found.read() if found is not None else b""
    client.files.delete(probe)
    if content != b"retrain":
        raise StageError("what was written is not what is read back", where=path, remedy="look at the volume in the workspace")
    return "can be written and read"


def _table(contract: Contract, client: WorkspaceClient) -> str:
    source = contract.source
    table = client.tables.get(str(source.table))
    kind = table.data_source_format.value if table.data_source_format else "of no format"
    columns = {str(column.name) for column in table.columns or ()}
    if missing := sorted({source.event_time, source.unit, source.label} - columns):
        raise StageError(
            f"has no column {', '.join(missing)}", where=str(source.table), remedy="correct source in the contract, or the table"
        )
    if kind != "DELTA":
        raise StageError(
            f"is {kind}, not Delta", where=str(source.table), remedy="versions can be read again of Delta tables only"
        )
    return f"Delta, {len(columns)} columns"


def _machines(settings: DatabricksCompute, client: WorkspaceClient) -> Iterator[tuple[str, Subject, Callable[[], str]]]:
    if settings.existing_cluster is not None:
        existing = settings.existing_cluster
        yield f"cluster {existing}", "cluster", lambda: _existing(existing, client)
    if (cluster := settings.cluster) is None:
        return
    version = cluster.spark_version
    yield f"runtime {version}", "workspace", lambda: _runtime(version, client)
    for node_type in dict.fromkeys([cluster.node_type, cluster.driver_node_type]):
        if node_type is not None:
            yield f"node type {node_type}", "workspace", partial(_node_type, node_type, client)
    if cluster.instance_pool is not None:
        pool = cluster.instance_pool
        yield f"instance pool {pool}", "cluster", lambda: str(client.instance_pools.get(pool).instance_pool_name)
    if cluster.policy is not None:
        policy = cluster.policy
        yield f"cluster policy {policy}", "cluster", lambda: str(client.cluster_policies.get(policy).name)


def _existing(cluster: str, client: WorkspaceClient) -> str:
    found = client.clusters.get(cluster)
    return f"{found.cluster_name}, {found.state.value.lower() if found.state else 'of unknown state'}, {found.spark_version}"


def _runtime(version: str, client: WorkspaceClient) -> str:
    known = {one.key: one.name for one in client.clusters.spark_versions().versions or ()}
    if version not in known:
        raise StageError(
            "the workspace does not have it", where=version, remedy="write one of: databricks clusters spark-versions"
        )
    return str(known[version])


def _node_type(name: str, client: WorkspaceClient) -> str:
    known = {one.node_type_id: one for one in client.clusters.list_node_types().node_types or ()}
    if name not in known:
        raise StageError("the workspace does not have it", where=name, remedy="write one of: databricks clusters list-node-types")
    return f"{known[name].num_cores:g} cores, {known[name].memory_mb / 1024:g} GiB"


def _job(settings: DatabricksCompute, job: int, client: WorkspaceClient) -> str:
    found = client.jobs.get(job).settings
    tasks = {task.task_key for task in (found.tasks if found else None) or ()}
    if missing := [stage for stage in settings.stages if stage not in tasks]:
        raise StageError(
            f"has no task {', '.join(missing)}", where=f"job {job}", remedy="deploy the bundle again: retrain databricks bundle"
        )
    return f"{found.name if found else ''}, {len(tasks)} tasks"


def _secret(scope: str, client: WorkspaceClient, unit_key: bytes) -> str:
    value = client.secrets.get_secret(scope, UNIT_KEY).value or ""
    if base64.b64decode(base64.b64decode(value)) != unit_key:
        raise StageError(
            "it is not this home's unit key",
            where=scope,
            remedy=f"put base64 of the unit key's file into {scope}/{UNIT_KEY}, or units are called otherwise there",
        )
    return "is this home's unit key"
