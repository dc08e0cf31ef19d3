"""The planned looks of an experiment: those taken, the next one and those ahead, each with the boundary it is held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from retrain_assets.contract.quantities import parse_duration
from retrain_assets.experiment import Look, PlannedLook
from retrain_assets.experiment.estimation.group_sequential import Spending, boundaries, spent


def planned_of(look: Look, experiment: Mapping[str, Any]) -> dict[str, Any] | None:
    """The plan of looks as JSON; None when the contract has none.

    Keys: ``spending`` (its name in words), ``alpha``, ``divided`` (several success measures divide the error level) and
    ``looks``: per look ``number``, ``due``, ``at`` (when it was taken, else None), ``information``, ``spent`` (error level by
    its end), ``boundary`` (standard errors by which the estimate must clear a limit; of looks ahead as it will be if information
    comes in evenly), ``boundary_to_win`` (the same of one of several success measures) and ``state`` (``taken``, ``next``,
    ``ahead``, ``missed``).

    Args:
        look: the look.
        experiment: the contract's section ``experiment``.
    """
    terms = experiment.get("looks")
    if not terms:
        return None
    after = [parse_duration(one) for one in terms["after"]]
    spending, alpha = Spending(terms.get("spending", Spending.OBRIEN_FLEMING)), float(experiment.get("alpha", 0.025))
    taken = {one.number: one for one in look.planned}
    last = max(taken, default=0)
    begun = _begun(look, after, last)
    kept = _boundaries(after, taken, spending, alpha)
    success = max(len(experiment.get("success") or {}), 1)
    win = _boundaries(after, taken, spending, alpha / success)
    fractions = spent(spending, [one / after[-1] for one in after], alpha)
    rows = [
        {
            "number": number,
            "due": (begun + time).isoformat() if begun else None,
            "at": taken[number].at.isoformat() if number in taken else None,
            "information": taken[number].information if number in taken else None,
            "spent": fractions[number - 1],
            "boundary": kept.get(number),
            "boundary_to_win": win.get(number),
            "state": "taken" if number in taken else "missed" if number < last else "next" if number == last + 1 else "ahead",
        }
        for number, time in enumerate(after, start=1)
    ]
    return {"spending": _NAMES[spending], "alpha": alpha, "divided": success > 1, "looks": rows}


_NAMES = {
    Spending.OBRIEN_FLEMING: "O'Brien and Fleming's function",
    Spending.POCOCK: "Pocock's function",
    Spending.LINEAR: "a linear function",
}


def _begun(look: Look, after: Sequence[timedelta], last: int) -> datetime | None:
    """When the first traffic came: from the next look's date, else the start of the first stage with traffic."""
    if look.next_planned and last < len(after):
        return look.next_planned - after[last]
    return min((one.started_at for one in look.stages if not one.is_shadow), default=None)


def _boundaries(
    after: Sequence[timedelta], taken: Mapping[int, PlannedLook], spending: Spending, alpha: float
) -> dict[int, float | None]:
    """Boundaries of the looks taken and, as if information came in evenly, of those ahead; None beyond any estimate."""
    last = max(taken, default=0)
    shares = {number: time / after[-1] for number, time in enumerate(after, start=1)}
    pace = taken[last].information / shares[min(last, len(after))] if last else 1.0
    held = {number: taken[number].information if number in taken else pace * share for number, share in shares.items()}
    numbers = [number for number in shares if number in taken or number > last]
    try:
        levels = spent(spending, [shares[number] for number in numbers], alpha)
        limits = boundaries([held[number] for number in numbers], levels)
    except ValueError:
        return {}
    return {number: limit if limit < 1e6 else None for number, limit in zip(numbers, limits, strict=True)}
