"""The check ``decisions_are_stable``: the candidate does not treat too many rows differently from the champion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.contract.offline import StabilityThreshold
from retrain_assets.gates.limits import TABLE_ROWS, at_most, counted, listed, number
from retrain_assets.gates.offline.evaluation import Flips, OfflineEvaluation, Stability
from retrain_assets.gates.offline.limit_table import HeldLimit, judged_by, judged_words, largest_allowed
from retrain_assets.gates.offline.slices import without_champion

CHECK = "decisions_are_stable"


def decisions_are_stable(evaluation: OfflineEvaluation, limits: StabilityThreshold) -> Verdict:
    """The limits of change that are set hold; a slice breaks its limit when it is shown, corrected for the number of slices, to
    lie beyond it. Passes in an explicit bootstrap, as there is nothing to change from.
    """
    first = next(limit for limit in (limits.max_flips, limits.max_slice_flips, limits.max_shift) if limit is not None)
    if (without := without_champion(evaluation, CHECK, first)) is not None:
        return without
    found = evaluation.stability
    if found is None:
        return Verdict(Gate.OFFLINE, CHECK, Outcome.NO_DATA, "the change against the champion was not measured", None, first)
    held = []
    if limits.max_flips is not None:
        held.append(_total(found, limits.max_flips))
    if limits.max_slice_flips is not None:
        held.append(_slices(evaluation, found, limits.max_slice_flips))
    if limits.max_shift is not None:
        held.append(_shift(found, limits.max_shift, evaluation.rows))
    evidence = stability_evidence(found, limits.max_slice_flips, evaluation.confidence)
    return judged_by(CHECK, held, {**evidence, "bootstrap": evaluation.bootstrap})


def stability_evidence(found: Stability, limit: float | None = None, confidence: float = 0.95) -> dict[str, Any]:
    """The flips as a table, all rows first, then judged slices by their share, and the mean change of a prediction."""

    def order(part: Flips) -> tuple[bool, bool, float]:
        shown = part.adjusted_p_value is not None and part.adjusted_p_value <= 1 - confidence
        return not part.judged, not shown, -part.share

    whole, slices = found.flips[:1], found.flips[1:]
    ordered = [*whole, *sorted(slices, key=order)]
    return {
        "flips": [_row(part, limit, confidence) for part in ordered[:TABLE_ROWS]],
        "flips_slices_total": len(slices),
        "mean_change_of_prediction": found.mean_change,
        "mean_change_in_deviations": found.shift,
    }


def _row(part: Flips, limit: float | None, confidence: float) -> dict[str, Any]:
    row = {
        "rows_of": f"{part.column}={part.value}" if part.column else "all rows",
        "judged": judged_words(part.judged, part.share, limit, part.adjusted_p_value, confidence) if part.column else "all",
        "rows": part.rows,
        "flipped": part.share,
    }
    if part.to_positive is not None:
        row |= {"to_positive": part.to_positive, "to_negative": part.share - part.to_positive}
    return row if not part.column else row | {"adjusted_p_value": part.adjusted_p_value}


def _total(found: Stability, limit: float) -> HeldLimit:
    if not found.flips:
        what = "share of decisions that differ from the champion's"
        return largest_allowed(CHECK, "decisions that flip", None, limit, what=what)
    whole = found.flips[0]
    what = f"share of {counted(whole.rows, 'decision')} that differ from the champion's{_split(whole)}"
    return largest_allowed(CHECK, "decisions that flip", whole.share, limit, what=what)


def _split(part: Flips) -> str:
    if part.to_positive is None:
        return ""
    return f" ({number(part.to_positive)} to positive, {number(part.share - part.to_positive)} to negative)"


def _slices(evaluation: OfflineEvaluation, found: Stability, limit: float) -> HeldLimit:
    name = "decisions that flip in a slice"
    if problem := evaluation.problems.get("slices"):
        return HeldLimit(name, Verdict(Gate.OFFLINE, CHECK, Outcome.ERROR, problem, None, limit), 0.0)
    judged = [part for part in found.flips[1:] if part.judged]
    if not judged:
        message = "no slice has enough rows to judge its flips; lower slices.min_support or take a longer hold-out"
        return HeldLimit(name, Verdict(Gate.OFFLINE, CHECK, Outcome.NO_DATA, message, None, limit), 0.0)
    beyond = sorted((part for part in judged if part.share > limit), key=lambda part: -part.share)
    alpha = 1 - evaluation.confidence
    shown = [part for part in beyond if part.adjusted_p_value is not None and part.adjusted_p_value <= alpha]
    if shown:
        message = (
            f"more than {number(limit)} of the decisions differ from the champion's, beyond chance, in {len(shown)} of "
            f"{counted(len(judged), 'judged slice')}: {listed([_words(part) for part in shown])}"
        )
        verdict = Verdict(Gate.OFFLINE, CHECK, Outcome.FAIL, message, shown[0].share, limit)
        return HeldLimit(name, verdict, (shown[0].share - limit) / (limit or 1.0))
    worst = max(judged, key=lambda part: part.share)
    verdict = at_most(Gate.OFFLINE, CHECK, worst.share, limit, what=f"largest share of flips in a slice, {_words(worst)},")
    if beyond:
        message = f"{verdict.message}, and chance explains the rest in {counted(len(beyond), 'slice')}"
        verdict = replace(verdict, outcome=Outcome.PASS, message=message)
    return HeldLimit(name, verdict, min((worst.share - limit) / (limit or 1.0), 0.0))


def _words(part: Flips) -> str:
    return f"{part.column}={part.value} ({part.share:.3g}, {counted(part.rows, 'row')})"


def _shift(found: Stability, limit: float, rows: int) -> HeldLimit:
    what = f"mean absolute change of {counted(rows, 'prediction')} in label standard deviations"
    held = largest_allowed(CHECK, "mean change of a prediction", found.shift, limit, what=what)
    if found.shift is not None:
        return held
    message = f"predictions change by {number(found.mean_change)} on average, but the label does not vary: there is no scale"
    return replace(held, verdict=replace(held.verdict, message=message))
