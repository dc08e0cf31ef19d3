"""What the gates before traffic measured of a retrain, each number with the limit of the contract that it is held to.

Only limits that a number is compared with as it stands are here, so that what another limit would have done is known for certain.
A limit that is judged beyond chance over many slices would have to be judged anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from retrain_assets.contract import LOWER_IS_BETTER
from retrain_assets.reports.release_review.history import Past

Path = tuple[str | int, ...]
Side = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number.

    Args:
        path: of its limit in the contract, as in ``("gates", "offline", "backtests", "min")``.
        gate: that measures it.
        name: what it is, in words.
        worse: which side of the limit stops a retrain.
        value: what was measured.
    """

    path: Path
    gate: str
    name: str
    worse: Side
    value: float

    def stopped_by(self, limit: float) -> bool:
        """Whether a retrain with this value does not pass at a limit."""
        return self.value < limit if self.worse == "lower" else self.value > limit


def quantities_of(past: Past) -> dict[Path, Quantity]:
    """Everything measured of a retrain before its traffic, by the path of its limit."""
    return {one.path: one for one in _found(past) if math.isfinite(one.value)}


def _found(past: Past) -> Iterator[Quantity]:
    for name, check in past.checks.items():
        gate, _, own = name.partition(".")
        evidence, observed = check.get("evidence") or {}, check.get("observed")
        if (plain := _PLAIN.get(name)) is not None and _is_number(observed):
            field, words, worse = plain
            yield Quantity(("gates", gate, field), gate, words, worse, float(observed))
        elif gate == "offline":
            yield from _offline(own, evidence, observed, past.contract)


def _offline(own: str, evidence: Mapping[str, Any], observed: Any, contract: Mapping[str, Any]) -> Iterator[Quantity]:
    if own.startswith("meets_") and _is_number(observed):
        yield _metric(own.removeprefix("meets_"), float(observed), contract)
    for prefix in ("not_worse_", "beats_champion_"):
        if own.startswith(prefix):
            yield from _compared(own.removeprefix(prefix), evidence, contract)
    if own == "calibrated":
        yield from _calibration(evidence)
    if own == "decisions_are_stable":
        yield from _flips(evidence)
    if own == "backtests_hold":
        yield from _backtests(evidence, contract)
    if own.startswith("fairness_holds_"):
        yield from _fairness(own.removeprefix("fairness_holds_"), evidence, contract)


def _metric(metric: str, value: float, contract: Mapping[str, Any]) -> Quantity:
    lower_is_better = _is_lower_better(metric, contract)
    path = ("gates", "offline", "metrics", metric, "max" if lower_is_better else "min")
    return Quantity(path, "offline", f"{metric} on the hold-out", "higher" if lower_is_better else "lower", value)


def _is_lower_better(metric: str, contract: Mapping[str, Any]) -> bool:
    own = contract.get("gates", {}).get("offline", {}).get("own_metrics", {}).get(metric)
    return metric in LOWER_IS_BETTER if own is None else own["direction"] == "decrease"


def _compared(metric: str, evidence: Mapping[str, Any], contract: Mapping[str, Any]) -> Iterator[Quantity]:
    if _is_number(evidence.get("candidate")):
        yield _metric(metric, float(evidence["candidate"]), contract)
    improvement = evidence.get("improvement")
    lower = improvement.get("lower") if isinstance(improvement, Mapping) else None
    if _is_number(lower):
        path = ("gates", "offline", "metrics", metric, "min_improvement")
        yield Quantity(path, "offline", f"{metric} better than the champion's by at least", "lower", float(lower))


def _calibration(evidence: Mapping[str, Any]) -> Iterator[Quantity]:
    here: Path = ("gates", "offline", "calibration")
    if _is_number(ece := evidence.get("ece")):
        yield Quantity((*here, "max_ece"), "offline", "expected calibration error", "higher", float(ece))
    if _is_number(bias := evidence.get("bias")):
        yield Quantity((*here, "max_bias"), "offline", "bias of the predictions", "higher", abs(float(bias)))
    if _is_number(slope := evidence.get("slope")):
        yield Quantity((*here, "min_slope"), "offline", "calibration slope", "lower", float(slope))
        yield Quantity((*here, "max_slope"), "offline", "calibration slope", "higher", float(slope))


def _flips(evidence: Mapping[str, Any]) -> Iterator[Quantity]:
    whole = next((row for row in evidence.get("flips") or () if row.get("judged") == "all"), None)
    if whole is not None and _is_number(whole.get("flipped")):
        path = ("gates", "offline", "stability", "max_flips")
        yield Quantity(path, "offline", "share of decisions that differ from the champion's", "higher", float(whole["flipped"]))


def _backtests(evidence: Mapping[str, Any], contract: Mapping[str, Any]) -> Iterator[Quantity]:
    metric = str(evidence.get("metric"))
    side: Side = "higher" if _is_lower_better(metric, contract) else "lower"
    worst, field = evidence.get("largest" if side == "higher" else "smallest"), "max" if side == "higher" else "min"
    if _is_number(worst):
        yield Quantity(
            ("gates", "offline", "backtests", field), "offline", f"{metric} of the worst back-test", side, float(worst)
        )
    if _is_number(spread := evidence.get("spread")):
        path = ("gates", "offline", "backtests", "max_spread")
        yield Quantity(path, "offline", f"spread of {metric} over the back-tests", "higher", float(spread))


def _fairness(column: str, evidence: Mapping[str, Any], contract: Mapping[str, Any]) -> Iterator[Quantity]:
    declared = contract.get("gates", {}).get("offline", {}).get("fairness", [])
    place = next((number for number, one in enumerate(declared) if one.get("column") == column), None)
    for row in evidence.get("differences") or ():
        field = _DIFFERENCES.get(str(row.get("difference")))
        if place is not None and field is not None and _is_number(row.get("observed")):
            path: Path = ("gates", "offline", "fairness", place, field)
            yield Quantity(
                path, "offline", f"{row['difference']} between the groups of {column}", "higher", float(row["observed"])
            )


_DIFFERENCES = {
    "selection rate": "max_selection_rate_difference",
    "true positive rate": "max_tpr_difference",
    "false positive rate": "max_fpr_difference",
    "true or false positive rate (equalised odds)": "max_equalized_odds_difference",
    "mean prediction minus share of positives": "max_calibration_difference",
}

_PLAIN: Mapping[str, tuple[str, str, Side]] = {
    "data.label_balance_is_steady": ("max_label_shift", "largest change of the label's distribution", "higher"),
    "data.volume_is_steady": ("max_volume_change", "largest change of rows a day", "higher"),
    "data.missingness_is_steady": ("max_missing_rise", "largest rise of a column's share of nulls", "higher"),
    "data.holdout_resembles_training": ("max_feature_shift", "distance of the hold-out's features from training", "higher"),
    "training.beats_baseline": ("min_gain_over_baseline", "gain over a naive prediction", "lower"),
}
"""Checks of one number that is compared with one field of their gate: the field, what the number is, which side is worse."""


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown_path(path: Path) -> str:
    """A path as it is written in messages: ``gates.offline.metrics.roc_auc.min``, a list's entry by its number from 0."""
    return ".".join(map(str, path))


def limit_at(contract: Mapping[str, Any], path: Path) -> float | None:
    """The limit a contract has at a path; None where it is not set."""
    value: Any = contract
    for part in path:
        if isinstance(part, int):
            value = value[part] if isinstance(value, list) and part < len(value) else None
        else:
            value = value.get(part) if isinstance(value, Mapping) else None
    return float(value) if _is_number(value) else None
