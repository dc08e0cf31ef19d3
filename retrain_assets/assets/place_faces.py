"""What a person sees of the place where a stage ran: the run's page, cluster, tries, time and cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from retrain_assets.assets.faces import significant
from retrain_assets.compute import StageResult
from retrain_assets.reports.capacity import duration


def place_metadata(result: StageResult) -> dict[str, Any]:
    """Facts of a run on Databricks; none of one in the orchestrator's process."""
    facts: Mapping[str, Any] = result.run.get("databricks") or {}
    if not facts:
        return {}
    shown: dict[str, Any] = {
        name.replace("_", " "): dg.MetadataValue.url(facts[name]) for name in ("run_page_url", "task_page_url") if facts.get(name)
    }
    shown["run on Databricks"] = ", ".join(_facts(facts))
    if (events := facts.get("cluster_events")) is not None:
        shown["cluster events"] = events if isinstance(events, str) else _counted(events["counts"])
    if (cost := facts.get("cost")) is not None:
        shown["cost on Databricks"] = _money(cost)
        shown["cost_amount"] = float(cost["amount"])
    if facts.get("there"):
        shown["on the volume"] = ", ".join(facts["there"].values())
    return shown


def _facts(facts: Mapping[str, Any]) -> list[str]:
    said = [f"run {facts['run_id']} of job {facts['job_id']}"]
    if facts.get("cluster_id"):
        said.append(f"cluster {facts['cluster_id']}")
    said.append(f"try {facts['attempt'] + 1}")
    times = {"queued": "queue_seconds", "starting": "setup_seconds", "computing": "execution_seconds"}
    return said + [f"{duration(facts[name])} {word}" for word, name in times.items() if facts.get(name)]


def _counted(counts: Mapping[str, int]) -> str:
    words = {kind.lower().replace("_", " "): count for kind, count in counts.items()}
    return ", ".join(f"{kind} ×{count}" if count > 1 else kind for kind, count in words.items())


def _money(cost: Mapping[str, Any]) -> str:
    nodes = f" for {cost['nodes']} nodes" if cost.get("nodes") else ""
    rate = f"{cost['per_hour']:g} an hour{nodes}"
    most = "at most " if cost.get("at_most") else "about "
    return f"{most}{significant(float(cost['amount']), 3)} {cost.get('currency') or ''}".rstrip() + f" ({rate})"
