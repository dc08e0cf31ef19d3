"""The checks ``latency_within_budget`` and ``size_within_budget``: the model is fast and small enough to serve."""

from __future__ import annotations

from retrain_assets.contract import Gate, Verdict
from retrain_assets.gates.limits import at_most
from retrain_assets.gates.offline.evaluation import OfflineEvaluation


def latency_within_budget(evaluation: OfflineEvaluation, limit: float) -> Verdict:
    """The median of scoring one row is at most the limit, in ms; the 95th percentile is shown beside it."""
    p95 = evaluation.latency_p95_ms
    evidence = {} if evaluation.latency_ms is None else {"median_ms": evaluation.latency_ms, "p95_ms": p95}
    what = "median latency of scoring one row in ms"
    return at_most(Gate.OFFLINE, "latency_within_budget", evaluation.latency_ms, limit, what=what, evidence=evidence)


def size_within_budget(evaluation: OfflineEvaluation, limit: float) -> Verdict:
    """The bundle's files are together at most the limit, in MiB."""
    return at_most(Gate.OFFLINE, "size_within_budget", evaluation.size_mb, limit, what="size of the bundle in MiB")
