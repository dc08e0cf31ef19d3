"""From contracts to a Databricks Asset Bundle: the jobs, the housekeeping, the volumes and who may do what. Pure.

Source of the file's form: Databricks, "Asset Bundle configuration" and "Asset Bundle resources". A job in it is what
:func:`~retrain_assets.compute.databricks.job_settings.job_settings` makes, so a deployed job and one made from here are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retrain_assets.compute.databricks.job_settings import CLUSTER, Cloud, databricks_of, job_settings
from retrain_assets.contract import Contract, StageError
from retrain_assets.contract.compute import DatabricksCompute

WHEELS = "wheels"
"""Folder beside ``databricks.yml`` with the wheels; deploying uploads them."""

HOUSEKEEPING = "retrain_housekeeping"
KEPT_ORDERS = "30d"
WEEKLY = "0 0 4 ? * SUN"
"""Quartz: Sundays at four."""


@dataclass(frozen=True, slots=True)
class Target:
    """One environment.

    Args:
        name: of the target, such as ``production``.
        host: URL of its workspace; empty: that of the caller's credentials.
        catalog: catalog of its volumes; empty: that of the contracts.
        is_default: whether it is deployed where no target is named.
    """

    name: str
    host: str = ""
    catalog: str = ""
    is_default: bool = False


def asset_bundle(
    contracts: Sequence[Contract], wheels: Mapping[str, Sequence[str]], targets: Sequence[Target], cloud: Cloud = "aws"
) -> dict[str, Any]:
    """The content of ``databricks.yml``.

    Args:
        contracts: of the models whose stages run on Databricks.
        wheels: file names of the wheels of each model, the product's first.
        targets: the environments.
        cloud: of the workspaces; says how spot capacity is asked for.

    Raises:
        StageError: when there is no contract or target, or the contracts' volumes are in different catalogs.
    """
    if not contracts or not targets:
        raise StageError("there is nothing to deploy", where="bundle", remedy="name a model with compute.databricks and a target")
    volumes = {contract.model: databricks_of(contract).volume for contract in contracts}
    catalogs = sorted({volume.split("/")[2] for volume in volumes.values()})
    if len(catalogs) > 1:
        raise StageError(
            f"the volumes of these models are in the catalogs {', '.join(catalogs)}",
            where="bundle",
            remedy="make a bundle for each",
        )
    jobs = {contract.model: _job(contract, [_local(name) for name in wheels[contract.model]], cloud) for contract in contracts}
    product = wheels[contracts[0].model][0]
    return {
        "bundle": {"name": "retrain_assets"},
        "variables": _variables(catalogs[0]),
        "resources": {
            "jobs": {**jobs, HOUSEKEEPING: _housekeeping(sorted(set(volumes.values())), product, databricks_of(contracts[0]))},
            "volumes": {_key(volume): _volume(volume) for volume in sorted(set(map(_root, volumes.values())))},
        },
        "targets": {target.name: _target(target) for target in targets},
    }


def _variables(catalog: str) -> dict[str, Any]:
    return {
        "catalog": {"description": "Catalog of the volumes.", "default": catalog},
        "orchestrator": {"description": "Application id of the service principal that Dagster acts as."},
        "viewers": {"description": "Group that may look at runs.", "default": "users"},
    }


def _job(contract: Contract, wheels: Sequence[str], cloud: Cloud) -> dict[str, Any]:
    settings: dict[str, Any] = job_settings(contract, wheels, cloud).as_dict()
    volume = databricks_of(contract).volume
    settings["name"] = settings["name"].replace(volume, _elsewhere(volume))
    settings["description"] = f"Stages of the retrains of {contract.model}; started by retrain_assets, not by a schedule."
    return {**settings, "permissions": _permissions("CAN_MANAGE_RUN")}


def _housekeeping(volumes: Sequence[str], product: str, settings: DatabricksCompute) -> dict[str, Any]:
    """One task a volume, serverless unless the models run on a cluster of their own kind."""
    tasks = [
        {
            "task_key": f"tidy_{_key(volume)}",
            "python_wheel_task": {
                "package_name": "retrain_assets",
                "entry_point": "retrain-tidy",
                "parameters": [_elsewhere(volume), KEPT_ORDERS],
            },
            "environment_key": CLUSTER,
        }
        for volume in volumes
    ]
    version = settings.serverless.environment_version if settings.serverless else "4"
    return {
        "name": f"retrain housekeeping of {_elsewhere(volumes[0])}",
        "description": f"Removes orders of runs that ended {KEPT_ORDERS} ago; results stay.",
        "tasks": tasks,
        "environments": [
            {"environment_key": CLUSTER, "spec": {"environment_version": version, "dependencies": [_local(product)]}}
        ],
        "schedule": {"quartz_cron_expression": WEEKLY, "timezone_id": "UTC", "pause_status": "UNPAUSED"},
        "max_concurrent_runs": 1,
        "permissions": _permissions("CAN_VIEW"),
    }


def _permissions(orchestrator: str) -> list[dict[str, str]]:
    return [
        {"service_principal_name": "${var.orchestrator}", "level": orchestrator},
        {"group_name": "${var.viewers}", "level": "CAN_VIEW"},
    ]


def _volume(root: str) -> dict[str, Any]:
    _, _, _, schema, name = root.split("/")
    return {
        "catalog_name": "${var.catalog}",
        "schema_name": schema,
        "name": name,
        "volume_type": "MANAGED",
        "comment": "Requests, results, snapshots and code of retrains.",
        "grants": [{"principal": "${var.orchestrator}", "privileges": ["READ_VOLUME", "WRITE_VOLUME"]}],
        "lifecycle": {"prevent_destroy": True},
    }


def _target(target: Target) -> dict[str, Any]:
    found: dict[str, Any] = {"mode": "production"}
    if target.is_default:
        found["default"] = True
    if target.host:
        found["workspace"] = {"host": target.host}
    if target.catalog:
        found["variables"] = {"catalog": target.catalog}
    return {**found, "run_as": {"service_principal_name": "${var.orchestrator}"}}


def _local(wheel: str) -> str:
    return f"./{WHEELS}/{wheel}"


def _root(volume: str) -> str:
    """The volume itself, without a folder of it."""
    return "/".join(volume.split("/")[:5])


def _key(volume: str) -> str:
    """Name of a volume, or folder of one, as a key in YAML."""
    return "_".join(volume.split("/")[3:]).replace("-", "_").replace(".", "_")


def _elsewhere(volume: str) -> str:
    """A place on a volume with the catalog of the target."""
    parts = volume.split("/")
    return "/".join([*parts[:2], "${var.catalog}", *parts[3:]])
