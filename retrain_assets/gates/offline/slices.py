"""The checks of gate OFFLINE on parts of the hold-out: slices against the champion, groups against each other."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.contract.offline import FairnessThreshold
from retrain_assets.gates.limits import TABLE_ROWS, at_most, counted, listed, number
from retrain_assets.gates.offline.evaluation import OfflineEvaluation, Slice
from retrain_assets.gates.offline.fairness import largest_difference

NO_CHAMPION = "no champion to compare with; bootstrap"
"""Message of a comparison that passes because the retrain is an explicit bootstrap."""


def slices_hold(evaluation: OfflineEvaluation, margin: float, metric: str) -> Verdict:
    """No judged slice is worse than the champion by more than the margin; see :func:`offline_gate` for the rule."""
    check = "slices_hold"
    if problem := evaluation.problems.get("slices"):
        return Verdict(Gate.OFFLINE, check, Outcome.ERROR, problem, None, margin)
    rows = [_slice_row(part) for part in evaluation.slices]
    if (without := without_champion(evaluation, check, margin)) is not None:
        return Verdict(
            Gate.OFFLINE, check, without.outcome, without.message, None, margin, {**without.evidence, "slices": rows[:TABLE_ROWS]}
        )
    judged = [part for part in evaluation.slices if part.judged and part.comparison.improvement.estimate is not None]
    evidence = {
        "slices": sorted(rows, key=lambda row: -(row["worse_by"] or 0.0))[:TABLE_ROWS],
        "slices_total": len(rows),
        "judged": len(judged),
        "too_small": sum(not part.judged for part in evaluation.slices),
        "undefined": sum(part.judged and part.comparison.improvement.estimate is None for part in evaluation.slices),
    }
    if not judged:
        message = f"no slice has enough rows on which {metric} is defined"
        return Verdict(Gate.OFFLINE, check, Outcome.NO_DATA, message, None, margin, evidence)
    worst = max(judged, key=_loss)
    beyond = [part for part in judged if _loss(part) > margin]
    shown = [part for part in beyond if part.comparison.improvement.upper is not None and part.comparison.improvement.upper < 0]
    names = [f"{part.column}={part.value} ({number(_loss(part))})" for part in (shown or beyond)]
    if beyond:
        outcome = Outcome.FAIL if shown else Outcome.INCONCLUSIVE
        message = f"{metric} is worse than the champion's by more than {number(margin)} in {listed(names)}"
        message += "" if shown else ", which may still be chance"
    else:
        outcome = Outcome.PASS
        message = f"{metric} is within {number(margin)} of the champion's in each of {counted(len(judged), 'judged slice')}"
    return Verdict(Gate.OFFLINE, check, outcome, message, _loss(worst), margin, evidence)


def _loss(part: Slice) -> float:
    estimate = part.comparison.improvement.estimate
    return 0.0 if estimate is None else -estimate


def _slice_row(part: Slice) -> dict[str, Any]:
    found = part.comparison.improvement
    return {
        "slice": f"{part.column}={part.value}",
        "rows": part.comparison.rows,
        "judged": part.judged,
        "candidate": part.comparison.candidate,
        "champion": part.comparison.champion,
        "worse_by": None if found.estimate is None else -found.estimate,
        "worse_by_at_least": None if found.upper is None else -found.upper,
        "worse_by_at_most": None if found.lower is None else -found.lower,
    }


def fairness_holds(evaluation: OfflineEvaluation, limits: FairnessThreshold) -> Verdict:
    """The declared rates differ between the groups of one column by no more than declared."""
    check, column = f"fairness_holds_{limits.column}", limits.column
    if problem := evaluation.problems.get(f"fairness_{column}"):
        return Verdict(Gate.OFFLINE, check, Outcome.ERROR, problem)
    groups = evaluation.fairness.get(column, ())
    judged = [group for group in groups if group.rows >= limits.min_support]
    declared = {
        "selection_rate": limits.max_selection_rate_difference,
        "tpr": limits.max_tpr_difference,
        "fpr": limits.max_fpr_difference,
    }
    found = {rate: (largest_difference(judged, rate), limit) for rate, limit in declared.items() if limit is not None}
    evidence = {
        "groups": [{**asdict(group), "judged": group.rows >= limits.min_support} for group in groups][:TABLE_ROWS],
        "groups_total": len(groups),
        "differences": {rate: {"observed": observed, "limit": limit} for rate, (observed, limit) in found.items()},
    }
    if missing := [_RATES[rate] for rate, (observed, _) in found.items() if observed is None]:
        message = f"fewer than two groups of {column} have enough rows to compare the {listed(missing)}"
        return Verdict(Gate.OFFLINE, check, Outcome.NO_DATA, message, evidence=evidence)
    excess = {rate: (observed or 0.0) - limit for rate, (observed, limit) in found.items()}
    worst = max(excess, key=lambda rate: excess[rate])
    observed, limit = found[worst]
    what = f"largest difference of the {_RATES[worst]} between groups of {column}"
    return at_most(Gate.OFFLINE, check, observed, limit, what=what, evidence=evidence)


_RATES = {"selection_rate": "selection rate", "tpr": "true positive rate", "fpr": "false positive rate"}


def without_champion(evaluation: OfflineEvaluation, check: str, threshold: float) -> Verdict | None:
    """The verdict of a comparison that has nothing to compare with; None when there is a champion."""
    if evaluation.compared:
        return None
    evidence = {"bootstrap": evaluation.bootstrap, "champion": None}
    if evaluation.bootstrap is True:
        return Verdict(Gate.OFFLINE, check, Outcome.PASS, NO_CHAMPION, None, threshold, evidence)
    message = "there is no champion on these rows to compare with, and this is no bootstrap"
    return Verdict(Gate.OFFLINE, check, Outcome.NO_DATA, message, None, threshold, evidence)
