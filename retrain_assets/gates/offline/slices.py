"""The check of gate OFFLINE on slices: no part of the hold-out is shown to be harmed, however well the whole does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.gates.limits import TABLE_ROWS, counted, listed, number
from retrain_assets.gates.offline.evaluation import OfflineEvaluation, Slice

NO_CHAMPION = "no champion to compare with; bootstrap"
"""Message of a comparison that passes because the retrain is an explicit bootstrap."""


def slices_hold(evaluation: OfflineEvaluation, margin: float, metric: str) -> Verdict:
    """No judged slice is shown to be worse than the champion while its estimate is worse by more than the margin.

    ``fail``: the estimate of a slice is beyond the margin, and the slice is shown to be worse at all, at the confidence of the
    contract for all judged slices together (Holm). Without a difference in any slice, one fails in at most 1 - confidence of
    the retrains. A slice that is only beyond the margin is named and does not block: of many slices some always are, by chance. A
    slice with less than the minimum support never blocks, however bad; it is listed and, where its own bound says worse, named.
    """
    check = "slices_hold"
    if problem := evaluation.problems.get("slices"):
        return Verdict(Gate.OFFLINE, check, Outcome.ERROR, problem, None, margin)
    judged = [part for part in evaluation.slices if part.judged and part.adjusted_p_value is not None]
    small = [part for part in evaluation.slices if not part.judged]
    evidence: dict[str, Any] = {
        "slices": _table(evaluation.slices),
        "slices_total": len(evaluation.slices) + evaluation.slices_left_out,
        "judged": len(judged),
        "too_small": len(small),
        "undefined": len(evaluation.slices) - len(judged) - len(small),
        "left_out": evaluation.slices_left_out,
        "correction": "Holm",
        "confidence": evaluation.confidence,
    }
    if (without := without_champion(evaluation, check, margin)) is not None:
        evidence = {**without.evidence, "slices": evidence["slices"], "slices_total": evidence["slices_total"]}
        return Verdict(Gate.OFFLINE, check, without.outcome, without.message, None, margin, evidence)
    if not judged:
        message = f"no slice has enough rows on which {metric} is defined"
        return Verdict(Gate.OFFLINE, check, Outcome.NO_DATA, message, None, margin, evidence)
    beyond = [part for part in judged if _loss(part) > margin]
    shown = [part for part in beyond if part.adjusted_p_value is not None and part.adjusted_p_value <= 1 - evaluation.confidence]
    if shown:
        outcome = Outcome.FAIL
        message = f"{metric} is worse than the champion's by more than {number(margin)} in {_named(shown)}, beyond chance"
    elif beyond:
        outcome = Outcome.PASS
        message = (
            f"{metric} is not shown worse than the champion's in any of {counted(len(judged), 'judged slice')}; beyond "
            f"{number(margin)}, but possibly by chance: {_named(beyond)}"
        )
    else:
        outcome = Outcome.PASS
        message = f"{metric} is within {number(margin)} of the champion's in each of {counted(len(judged), 'judged slice')}"
    if undefined := evidence["undefined"]:
        message += f"; {metric} is undefined in {counted(undefined, 'slice')} with enough rows"
    if alarming := [part for part in small if _loss(part) > margin and _at_least(part) > 0]:
        message += f"; look at {_named(alarming)}, worse but too small to judge"
    worst = max(shown or judged, key=_loss)
    return Verdict(Gate.OFFLINE, check, outcome, message, _loss(worst), margin, evidence)


def without_champion(evaluation: OfflineEvaluation, check: str, threshold: float) -> Verdict | None:
    """The verdict of a comparison that has nothing to compare with; None when there is a champion."""
    if evaluation.compared:
        return None
    evidence = {"bootstrap": evaluation.bootstrap, "champion": None}
    if evaluation.bootstrap is True:
        return Verdict(Gate.OFFLINE, check, Outcome.PASS, NO_CHAMPION, None, threshold, evidence)
    message = "there is no champion on these rows to compare with, and this is no bootstrap"
    return Verdict(Gate.OFFLINE, check, Outcome.NO_DATA, message, None, threshold, evidence)


def _table(slices: Sequence[Slice]) -> list[dict[str, Any]]:
    """Judged slices first, those with evidence of harm before the others, and the worst first."""
    ordered = sorted(slices, key=lambda part: (not part.judged, _p_value(part) >= 1.0, -_loss(part)))
    return [_row(part) for part in ordered[:TABLE_ROWS]]


def _row(part: Slice) -> dict[str, Any]:
    found = part.comparison.improvement
    return {
        "slice": f"{part.column}={part.value}",
        "rows": part.comparison.rows,
        "candidate": part.comparison.candidate,
        "champion": part.comparison.champion,
        "worse_by": None if found.estimate is None else -found.estimate,
        "worse_by_at_least": None if found.upper is None else -found.upper,
        "worse_by_at_most": None if found.lower is None else -found.lower,
        "adjusted_p_value": part.adjusted_p_value,
        "judged": part.judged,
    }


def _named(parts: Sequence[Slice]) -> str:
    worst = sorted(parts, key=lambda part: -_loss(part))
    return listed(
        [f"{part.column}={part.value} ({number(_loss(part))} on {counted(part.comparison.rows, 'row')})" for part in worst]
    )


def _loss(part: Slice) -> float:
    estimate = part.comparison.improvement.estimate
    return 0.0 if estimate is None else -estimate


def _at_least(part: Slice) -> float:
    upper = part.comparison.improvement.upper
    return 0.0 if upper is None else -upper


def _p_value(part: Slice) -> float:
    return 1.0 if part.adjusted_p_value is None else part.adjusted_p_value
