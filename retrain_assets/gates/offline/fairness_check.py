"""The check of gate OFFLINE on fairness: the groups of one column are treated alike within the declared limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict, finite
from retrain_assets.contract.offline import FairnessThreshold
from retrain_assets.gates.limits import TABLE_ROWS, listed, number
from retrain_assets.gates.offline.evaluation import OfflineEvaluation
from retrain_assets.gates.offline.fairness import GroupRates
from retrain_assets.gates.offline.fairness_intervals import LargestDifference, difference_between, rate_bounds


def fairness_holds(evaluation: OfflineEvaluation, limits: FairnessThreshold) -> Verdict:
    """The declared rates differ between the groups of one column by no more than declared.

    For each limit: ``pass`` when the largest difference is within it, ``fail`` when the difference is beyond it and so is its
    lower bound at the contract's confidence, ``inconclusive`` when it is beyond and that may be chance, ``no_data`` when fewer
    than two groups with the minimum support have the rate. The worst of them is the verdict.
    """
    check, column = f"fairness_holds_{limits.column}", limits.column
    if problem := evaluation.problems.get(f"fairness_{column}"):
        return Verdict(Gate.OFFLINE, check, Outcome.ERROR, problem)
    groups = evaluation.fairness.get(column, ())
    judged = [group for group in groups if group.rows >= limits.min_support]
    found = [_difference(judged, name, limit, evaluation.confidence) for name, limit in _declared(limits)]
    left_out = evaluation.groups_left_out.get(column, 0)
    evidence = {
        "groups": _table(groups, [name for name, _ in _declared(limits)], limits.min_support, evaluation.confidence),
        "groups_total": len(groups) + left_out,
        "judged": len(judged),
        "too_small": len(groups) - len(judged),
        "left_out": left_out,
        "differences": [part.row() for part in found],
        "confidence": evaluation.confidence,
    }
    first = min(found, key=lambda part: (_WORST_FIRST.index(part.outcome), -part.excess))
    message = first.message(column, evaluation.confidence)
    if others := [_WORDS[part.name] for part in found if part is not first and part.outcome is Outcome.FAIL]:
        message += f"; broken as well: {listed(others)}"
    observed = first.found.estimate if first.found else None
    return Verdict(Gate.OFFLINE, check, first.outcome, message, observed, first.limit, evidence)


@dataclass(frozen=True, slots=True)
class _Judged:
    """One declared limit and what became of it."""

    name: str
    limit: float
    found: LargestDifference | None

    @property
    def outcome(self) -> Outcome:
        if self.found is None:
            return Outcome.NO_DATA
        if self.found.estimate <= self.limit:
            return Outcome.PASS
        return Outcome.FAIL if self.found.at_least > self.limit else Outcome.INCONCLUSIVE

    @property
    def excess(self) -> float:
        return 0.0 if self.found is None else self.found.estimate - self.limit

    def message(self, column: str, confidence: float) -> str:
        what, found = _WORDS[self.name], self.found
        if found is None:
            allowed = f"at most {number(self.limit)} is allowed"
            return f"fewer than two groups of {column} have enough rows to compare the {what}; {allowed}"
        words = (
            f"the {what} differs by {number(found.estimate)} between {found.highest} and {found.lowest} of {column}; "
            f"at most {number(self.limit)} is allowed"
        )
        if self.outcome is Outcome.PASS:
            return words
        bound = f"it differs by at least {number(found.at_least)} with confidence {number(confidence)}"
        return f"{words}, and {bound}" if self.outcome is Outcome.FAIL else f"{words}; {bound}, so this may be chance"

    def row(self) -> dict[str, Any]:
        found = self.found
        return {
            "difference": _WORDS[self.name],
            "observed": found.estimate if found else None,
            "limit": self.limit,
            "at_least": found.at_least if found else None,
            "at_most": found.at_most if found else None,
            "highest": found.highest if found else None,
            "lowest": found.lowest if found else None,
            "outcome": self.outcome.value,
        }


_WORST_FIRST = (Outcome.FAIL, Outcome.NO_DATA, Outcome.INCONCLUSIVE, Outcome.PASS)
_WORDS = {
    "selection_rate": "selection rate",
    "tpr": "true positive rate",
    "fpr": "false positive rate",
    "equalized_odds": "true or false positive rate (equalised odds)",
    "calibration": "mean prediction minus share of positives",
}


def _declared(limits: FairnessThreshold) -> list[tuple[str, float]]:
    all_limits = {
        "selection_rate": limits.max_selection_rate_difference,
        "tpr": limits.max_tpr_difference,
        "fpr": limits.max_fpr_difference,
        "equalized_odds": limits.max_equalized_odds_difference,
        "calibration": limits.max_calibration_difference,
    }
    return [(name, limit) for name, limit in all_limits.items() if limit is not None]


def _difference(groups: Sequence[GroupRates], name: str, limit: float, confidence: float) -> _Judged:
    if name != "equalized_odds":
        return _Judged(name, limit, difference_between(groups, name, confidence))
    halved = 1 - (1 - confidence) / 2
    parts = [difference_between(groups, rate, halved) for rate in ("tpr", "fpr")]
    both = [part for part in parts if part is not None]
    if len(both) < 2:
        return _Judged(name, limit, None)
    larger = max(both, key=lambda part: part.estimate)
    at_least, at_most = max(part.at_least for part in both), max(part.at_most for part in both)
    return _Judged(name, limit, LargestDifference(larger.estimate, at_least, at_most, larger.highest, larger.lowest))


def _table(groups: Sequence[GroupRates], declared: Sequence[str], min_support: int, confidence: float) -> list[dict[str, Any]]:
    """Largest groups first; the rates that are judged with their bounds."""
    rates = [rate for name in declared for rate in (("tpr", "fpr") if name == "equalized_odds" else (name,))]
    bounds = {rate: rate_bounds(groups, rate, confidence) for rate in dict.fromkeys(rates)}
    rows = []
    for k, group in sorted(enumerate(groups), key=lambda each: (-each[1].rows, each[1].group)):
        row: dict[str, Any] = {
            "group": group.group,
            "rows": group.rows,
            "positives": group.positives,
            "judged": group.rows >= min_support,
            "selection_rate": group.selection_rate,
            "tpr": group.tpr,
            "fpr": group.fpr,
            "calibration": group.calibration,
        }
        for rate, (lower, upper) in bounds.items():
            row |= {f"{rate}_at_least": float(lower[k]), f"{rate}_at_most": float(upper[k])}
        rows.append(finite(row))
    return rows[:TABLE_ROWS]
