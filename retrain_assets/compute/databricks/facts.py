"""What is told of a run beside its result: pages, cluster, what happened to it, and what it may have cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrain_assets.compute.databricks.workspace import patiently
from retrain_assets.contract import Contract

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service import jobs

LAST_EVENTS = 50


def run_facts(client: WorkspaceClient, contract: Contract, job_id: int, run: jobs.Run, task: jobs.RunTask) -> dict[str, Any]:
    """JSON-able facts of a stage's task.

    Gives ``job_id``, ``run_id``, ``task_run_id``, ``run_page_url``, ``task_page_url``, ``attempt``, ``cluster_id``,
    ``cluster_events`` (how often each kind came, and the last ones; a text where they may not be read), ``queue_seconds``,
    ``setup_seconds``, ``execution_seconds``, ``cost`` (see :func:`cost_estimate`).
    """
    instance = task.cluster_instance or run.cluster_instance
    cluster = instance.cluster_id if instance is not None else None
    setup, execution = seconds(task.setup_duration), seconds(task.execution_duration)
    return {
        "job_id": job_id,
        "run_id": run.run_id,
        "task_run_id": task.run_id,
        "run_page_url": run.run_page_url,
        "task_page_url": task.run_page_url,
        "attempt": task.attempt_number or 0,
        "cluster_id": cluster,
        "cluster_events": cluster_events(client, cluster) if cluster else None,
        "queue_seconds": seconds(task.queue_duration),
        "setup_seconds": setup,
        "execution_seconds": execution,
        "ended_at_ms": task.end_time,
        "cost": cost_estimate(contract, setup + execution),
    }


def cost_estimate(contract: Contract, seconds_there: float) -> dict[str, Any] | None:
    """What a stage may have cost: ``amount``, ``currency``, ``nodes`` and ``per_hour``; of an autoscaling cluster the most it can
    be (``at_most``). None where the contract names no price.

    Args:
        contract: with ``compute.databricks``.
        seconds_there: time on the cluster, start included.
    """
    settings = contract.databricks
    if settings is None:
        return None
    currency = contract.economics.currency if contract.economics else None
    if settings.serverless is not None and settings.serverless.price_per_hour is not None:
        price = settings.serverless.price_per_hour
        amount = price * seconds_there / 3600
        return {"amount": amount, "currency": currency, "nodes": None, "per_hour": price, "at_most": False}
    if settings.cluster is None or settings.cluster.price_per_node_hour is None:
        return None
    most = settings.cluster.max_workers
    grows, nodes = most is not None, 1 + (settings.cluster.workers if most is None else most)
    price = settings.cluster.price_per_node_hour
    amount = price * nodes * seconds_there / 3600
    return {"amount": amount, "currency": currency, "nodes": nodes, "per_hour": price * nodes, "at_most": grows}


def cluster_events(client: WorkspaceClient, cluster: str) -> dict[str, Any] | str:
    """``{"counts": {kind: number}, "last": [{"at_ms", "type", "message"}]}`` of a cluster's last events; why they are not known
    where they may not be read."""
    from itertools import islice

    from databricks.sdk.errors.base import DatabricksError

    try:
        found = patiently(lambda: list(islice(client.clusters.events(cluster, limit=LAST_EVENTS), LAST_EVENTS)))
    except DatabricksError as error:
        return f"not known ({str(error).partition(chr(10))[0][:200]})"
    counts: dict[str, int] = {}
    last = []
    for event in found:
        kind = event.type.value if event.type is not None else "UNKNOWN"
        counts[kind] = counts.get(kind, 0) + 1
        reason = event.details.reason if event.details is not None else None
        code = reason.code.value if reason is not None and reason.code is not None else None
        last.append({"at_ms": event.timestamp, "type": kind, "reason": code})
    return {"counts": counts, "last": last[:10]}


def seconds(milliseconds: int | None) -> float:
    """Milliseconds of the API as seconds; 0 where there are none."""
    return (milliseconds or 0) / 1000
