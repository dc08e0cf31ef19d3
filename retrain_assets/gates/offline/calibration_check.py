"""The check ``calibrated``: predicted probabilities are what happened, on all rows, by class and in every slice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.contract.offline import CalibrationThreshold
from retrain_assets.gates.limits import TABLE_ROWS, at_most, counted, listed, number
from retrain_assets.gates.offline.calibration import Calibration, ClassBias
from retrain_assets.gates.offline.decision_threshold import decision_rows
from retrain_assets.gates.offline.evaluation import OfflineEvaluation, SliceCalibration
from retrain_assets.gates.offline.limit_table import HeldLimit, judged_by, judged_words, largest_allowed, smallest_allowed

CHECK = "calibrated"


def calibrated(evaluation: OfflineEvaluation, limits: CalibrationThreshold) -> Verdict:
    """Every limit of calibration that is set holds; the message names the one broken furthest relative to itself.

    A limit of all rows that is broken by no more than chance explains for a perfectly calibrated model on as many rows is
    ``inconclusive``. A slice breaks its limit when it is shown, corrected for the number of slices, to lie beyond it.
    """
    found = evaluation.calibration
    if found is None:
        return Verdict(Gate.OFFLINE, CHECK, Outcome.NO_DATA, "calibration was not measured", None, limits.max_ece)
    held = [*_whole(found, limits, evaluation.rows)]
    if limits.max_slice_bias is not None:
        held.append(_slices(evaluation, limits.max_slice_bias))
    evidence: dict[str, Any] = {
        "ece": found.ece,
        "bias": found.bias,
        "slope": found.slope,
        "intercept": found.intercept,
        "intercept_with_slope_1": found.in_the_large,
        "rows": evaluation.rows,
        "max_ece": limits.max_ece,
        "max_bias": limits.max_bias,
        "bins": [asdict(part) for part in found.bins],
        "decision": decision_rows(evaluation.decision) if evaluation.decision else None,
    }
    if found.clipped:
        evidence["scores_of_0_or_1"] = found.clipped
    if found.classes:
        evidence["classes"] = [asdict(part) for part in _worst_first(found.classes)][:TABLE_ROWS]
    if evaluation.slice_calibration:
        evidence |= slice_evidence(evaluation.slice_calibration, limits.max_slice_bias, evaluation.confidence)
    return judged_by(CHECK, held, evidence)


def slice_evidence(slices: tuple[SliceCalibration, ...], limit: float | None, confidence: float) -> dict[str, Any]:
    """The slices as a table, those shown beyond the limit first and then the most biased, and how many there are."""

    def order(part: SliceCalibration) -> tuple[bool, bool, float]:
        shown = part.adjusted_p_value is not None and part.adjusted_p_value <= 1 - confidence
        return not part.judged, not shown, -abs(part.bias)

    ordered = sorted(slices, key=order)
    rows = [
        {
            "slice": f"{part.column}={part.value}",
            "judged": judged_words(part.judged, abs(part.bias), limit, part.adjusted_p_value, confidence),
            "rows": part.rows,
            "bias": part.bias,
            "ece": part.ece,
            "adjusted_p_value": part.adjusted_p_value,
        }
        for part in ordered[:TABLE_ROWS]
    ]
    return {"slices": rows, "slices_total": len(slices), "slices_judged": sum(part.judged for part in slices)}


def _whole(found: Calibration, limits: CalibrationThreshold, rows: int) -> Iterator[HeldLimit]:
    """Limits of all rows."""
    on = f" on {counted(rows, 'hold-out row')}"
    error = largest_allowed(
        CHECK, "expected calibration error", found.ece, limits.max_ece,
        what=f"expected calibration error{on}", by_chance=found.ece_by_chance,
    )  # fmt: skip
    yield _or_chance(error, found.ece, found.ece_by_chance)
    if limits.max_bias is not None:
        yield from _biases(found, limits.max_bias, on)
    around = found.slope_by_chance
    if limits.min_slope is not None:
        low = None if around is None else 1 - around
        slope = smallest_allowed(
            CHECK, "slope, smallest", found.slope, limits.min_slope,
            what=f"calibration slope{on} (below 1: predictions too extreme)", by_chance=low,
        )  # fmt: skip
        yield _or_chance(_undefined(slope), -(found.slope or 0.0), None if low is None else -low)
    if limits.max_slope is not None:
        high = None if around is None else 1 + around
        slope = largest_allowed(
            CHECK, "slope, largest", found.slope, limits.max_slope,
            what=f"calibration slope{on} (above 1: predictions too timid)", by_chance=high,
        )  # fmt: skip
        yield _or_chance(_undefined(slope), found.slope or 0.0, high)


def _biases(found: Calibration, limit: float, on: str) -> Iterator[HeldLimit]:
    direction = "too high" if found.bias > 0 else "too low"
    name, what = "bias", f"predictions are {direction} on average{on}: absolute difference of mean prediction and label share"
    if found.classes:
        name, what = "bias of the decided class", f"confidence is {direction} on average{on}: absolute bias of the decided class"
    whole = largest_allowed(CHECK, name, abs(found.bias), limit, what=what, by_chance=found.bias_by_chance)
    yield _or_chance(whole, abs(found.bias), found.bias_by_chance)
    if found.classes:
        worst = _worst_first(found.classes)[0]
        side = "too high" if worst.bias > 0 else "too low"
        what = f"probability of class {worst.name} is {side} on average{on}: absolute difference of mean prediction and share"
        yield largest_allowed(CHECK, f"bias of class {worst.name}", abs(worst.bias), limit, what=what)


def _slices(evaluation: OfflineEvaluation, limit: float) -> HeldLimit:
    name = "bias of a slice"
    if problem := evaluation.problems.get("slices"):
        return HeldLimit(name, Verdict(Gate.OFFLINE, CHECK, Outcome.ERROR, problem, None, limit), 0.0)
    judged = [part for part in evaluation.slice_calibration if part.judged]
    if not judged:
        message = "no slice has enough rows to judge its calibration; lower slices.min_support or take a longer hold-out"
        return HeldLimit(name, Verdict(Gate.OFFLINE, CHECK, Outcome.NO_DATA, message, None, limit), 0.0)
    beyond = sorted((part for part in judged if abs(part.bias) > limit), key=lambda part: -abs(part.bias))
    alpha = 1 - evaluation.confidence
    shown = [part for part in beyond if part.adjusted_p_value is not None and part.adjusted_p_value <= alpha]
    if shown:
        worst, names = shown[0], [_words(part) for part in shown]
        message = (
            f"mean prediction is off by more than {number(limit)}, beyond chance, in {len(shown)} of "
            f"{counted(len(judged), 'judged slice')}: {listed(names)}"
        )
        verdict = Verdict(Gate.OFFLINE, CHECK, Outcome.FAIL, message, abs(worst.bias), limit)
        return HeldLimit(name, verdict, (abs(worst.bias) - limit) / limit)
    worst = max(judged, key=lambda part: abs(part.bias))
    verdict = at_most(Gate.OFFLINE, CHECK, abs(worst.bias), limit, what=f"largest bias of a slice, {_words(worst)},")
    if beyond:
        message = f"{verdict.message}, and chance explains the rest in {counted(len(beyond), 'slice')}"
        verdict = replace(verdict, outcome=Outcome.PASS, message=message)
    return HeldLimit(name, verdict, min((abs(worst.bias) - limit) / limit, 0.0))


def _words(part: SliceCalibration) -> str:
    return f"{part.column}={part.value} ({part.bias:+.3g}, {counted(part.rows, 'row')})"


def _worst_first(classes: tuple[ClassBias, ...]) -> list[ClassBias]:
    return sorted(classes, key=lambda part: -abs(part.bias))


def _undefined(held: HeldLimit) -> HeldLimit:
    if held.verdict.outcome is not Outcome.NO_DATA:
        return held
    message = (
        "calibration slope is undefined: the hold-out has one class or one score only, or the scores separate the classes "
        "completely"
    )
    return replace(held, verdict=replace(held.verdict, message=message))


def _or_chance(held: HeldLimit, observed: float, by_chance: float | None) -> HeldLimit:
    """A broken limit as ``inconclusive`` where chance explains as much for a perfectly calibrated model."""
    if held.verdict.outcome is not Outcome.FAIL or by_chance is None or observed > by_chance:
        return held
    message = f"{held.verdict.message}, but so few rows show as much by chance; take a longer hold-out"
    return replace(held, verdict=replace(held.verdict, outcome=Outcome.INCONCLUSIVE, message=message))
