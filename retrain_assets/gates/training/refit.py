"""Does a second fit on the same data with the same seed give the same model, and is it the same bytes or only the same scores?"""

from __future__ import annotations

import math
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.gates.limits import TABLE_ROWS, number
from retrain_assets.gates.training.evidence import TrainingEvidence

REFIT_TOLERANCE = 1e-6
"""Largest difference of a score, and of a metric, between two fits with the same rows, parameters and seed."""

CHECK = "refit_reproduces"


def refit_reproduces(evidence: TrainingEvidence) -> Verdict:
    """``pass`` when a second fit gives the same model files, or else the same scores and the same hold-out metrics.

    The evidence says which of the two it was: ``deterministic``, the largest difference of a score, and a table with every metric
    of both fits, the one that differs most first.
    """
    difference, rows = evidence.refit_max_difference, _compared(evidence)
    details: dict[str, Any] = {
        "deterministic": evidence.refit_same_digest,
        "largest_score_difference": difference,
        "metrics": rows[:TABLE_ROWS],
        "metrics_compared": len(rows),
    }

    def verdict(outcome: Outcome, message: str, observed: float | None) -> Verdict:
        return Verdict(Gate.TRAINING, CHECK, outcome, message, observed, REFIT_TOLERANCE, details)

    if evidence.refit_same_digest:
        return verdict(Outcome.PASS, "deterministic: a second fit gave byte for byte the same model files", 0.0)
    if difference is None:
        return verdict(Outcome.NO_DATA, "no second fit was compared with the first", None)
    if not math.isfinite(difference):
        return verdict(Outcome.ERROR, f"a score of the second fit differs by {difference}, not a finite number", difference)
    scores = f"scores by up to {number(difference)} (at most {number(REFIT_TOLERANCE)})"
    if difference > REFIT_TOLERANCE:
        apart = f"; {_worst(rows)}" if rows else ""
        return verdict(Outcome.FAIL, f"a second fit with the same data and seed differs: {scores}{apart}", difference)
    if evidence.metrics is None or evidence.refit_metrics is None:
        return verdict(Outcome.NO_DATA, "the hold-out metrics of the second fit were not measured", None)
    if rows and not rows[0]["same"]:
        message = f"a second fit with the same data and seed gives other hold-out metrics: {_worst(rows)}; {scores}"
        return verdict(Outcome.FAIL, message, difference)
    message = f"not byte for byte, but the same model: a second fit differs in {scores} and in no hold-out metric"
    return verdict(Outcome.PASS, message, difference)


def _compared(evidence: TrainingEvidence) -> list[dict[str, Any]]:
    if evidence.metrics is None or evidence.refit_metrics is None:
        return []
    first, second = evidence.metrics, evidence.refit_metrics
    rows = [_row(name, first.get(name), second.get(name)) for name in sorted({*first, *second})]
    return sorted(rows, key=lambda row: (row["same"], -(math.inf if row["difference"] is None else row["difference"])))


def _row(name: str, first: float | None, second: float | None) -> dict[str, Any]:
    if first is None or second is None:
        return {"metric": name, "fit": first, "refit": second, "difference": None, "same": first is second}
    difference = abs(first - second)
    return {
        "metric": name,
        "fit": first,
        "refit": second,
        "difference": difference,
        "same": bool(difference <= REFIT_TOLERANCE * max(1.0, abs(first))),
    }


def _worst(rows: list[dict[str, Any]]) -> str:
    worst = rows[0]
    return f"{worst['metric']} is {number(worst['fit'])} and {number(worst['refit'])} again"
