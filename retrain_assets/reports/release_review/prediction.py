"""Was the gain before traffic a prediction of the effect on traffic? Over all retrains of the model so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from retrain_assets.experiment import Look, MeasureResult
from retrain_assets.reports.release_review.correlation import pearson, spearman
from retrain_assets.reports.release_review.history import Past

COST = "decision_cost"
"""Gain of what the decisions of the hold-out cost, by the contract's threshold and costs; it has no interval."""


def prediction_of(history: Sequence[Past]) -> dict[str, Any]:
    """Offline gain against online effect, as JSON.

    Keys: ``measures`` (success measures), ``gains`` (offline metrics that were compared), ``rows`` (``offline`` and ``online`` of
    a retrain by name, each ``{estimate, lower, upper}`` with better above 0, ``fate`` and ``why``), ``compared`` (for each pair
    of gain and measure ``points``, ``spearman``, ``pearson``, ``same_sign`` and one ``sentence``), ``sentence``.

    Gains are improvements in the metric's own unit; effects are relative improvements where the champion's mean allows it.
    """
    rows = [_row(past) for past in history if past.look is not None]
    measures = list(dict.fromkeys(name for row in rows for name in row["online"]))
    gains = list(dict.fromkeys(name for row in rows for name in row["offline"]))
    compared = [_compared(rows, gain, measure) for measure in measures for gain in gains]
    return {
        "measures": measures,
        "gains": gains,
        "rows": rows,
        "compared": compared,
        "sentence": _sentence(rows, compared),
    }


def gains_of(past: Past) -> dict[str, dict[str, float | None]]:
    """Improvement over the champion of then on the same held-out rows, by metric; empty where nothing was compared."""
    found: dict[str, dict[str, float | None]] = {}
    for name, check in past.checks.items():
        gate, _, own = name.partition(".")
        metric = next((own.removeprefix(one) for one in ("not_worse_", "beats_champion_") if own.startswith(one)), None)
        improvement = check["evidence"].get("improvement")
        if gate == "offline" and metric and isinstance(improvement, Mapping) and _is_number(improvement.get("estimate")):
            found[metric] = {key: improvement.get(key) for key in ("estimate", "lower", "upper")}
    cost = _cost_change(past)
    return {**found, **({COST: {"estimate": -cost, "lower": None, "upper": None}} if cost is not None else {})}


def effects_of(look: Look) -> dict[str, dict[str, Any]]:
    """The success measures of a look as improvements: better above 0."""
    return {one.spec.name: _improvement(one) for one in look.results if one.spec.role == "success" and one.estimate is not None}


def _row(past: Past) -> dict[str, Any]:
    assert past.look is not None  # rows are made of retrains that met traffic
    return {
        "retrain": past.key,
        "offline": gains_of(past),
        "online": effects_of(past.look),
        "fate": past.fate.value,
        "why": past.why,
    }


def _improvement(result: MeasureResult) -> dict[str, Any]:
    relative = result.relative_estimate is not None
    estimate, ends = (
        (result.relative_estimate, (result.relative_lower, result.relative_upper))
        if relative
        else (result.estimate, (result.lower, result.upper))
    )
    assert estimate is not None  # only results with an estimate come here
    if result.spec.direction == "increase":
        return {"estimate": estimate, "lower": ends[0], "upper": ends[1], "relative": relative}
    lower, upper = (None if end is None else -end for end in (ends[1], ends[0]))
    return {"estimate": -estimate, "lower": lower, "upper": upper, "relative": relative}


def _cost_change(past: Past) -> float | None:
    for check in past.checks.values():
        for row in check["evidence"].get("decision") or ():
            if str(row.get("per_row", "")).startswith("cost at the contract's threshold") and _is_number(row.get("change")):
                return float(row["change"])
    return None


def _compared(rows: Sequence[Mapping[str, Any]], gain: str, measure: str) -> dict[str, Any]:
    both = [row for row in rows if gain in row["offline"] and measure in row["online"]]
    x = [row["offline"][gain]["estimate"] for row in both]
    y = [row["online"][measure]["estimate"] for row in both]
    order, line = spearman(x, y), pearson(x, y)
    same = sum((a > 0) == (b > 0) for a, b in zip(x, y, strict=True))
    return {
        "gain": gain,
        "measure": measure,
        "points": len(both),
        "spearman": order.to_json() if order else None,
        "pearson": line.to_json() if line else None,
        "same_sign": same,
        "sentence": _words(gain, measure, len(both), same, order.to_json() if order else None),
    }


def _words(gain: str, measure: str, points: int, same: int, order: Mapping[str, Any] | None) -> str:
    names = f"{gain} offline and {measure} online"
    if order is None:
        return f"{names}: {points} retrain{'s'[: points != 1]} with both, three or more that differ are needed"
    found = f"Spearman {order['value']:+.2f} [{order['lower']:+.2f}, {order['upper']:+.2f}] over {points} retrains"
    signs = f"the sign was the same in {same} of {points}"
    if order["lower"] > 0:
        meaning = "a larger gain did go with a larger effect"
    elif order["upper"] < 0:
        meaning = "a larger gain went with a smaller effect: the metric misleads"
    else:
        meaning = "too few points to say, whatever the value looks like" if points < 6 else "nothing is shown either way"
    return f"{names}: {found}; {signs}; {meaning}"


def _sentence(rows: Sequence[Mapping[str, Any]], compared: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "No retrain has met traffic yet, so nothing can be said of what offline gains predict."
    shown = [one for one in compared if one["spearman"] and (one["spearman"]["lower"] > 0 or one["spearman"]["upper"] < 0)]
    if shown:
        return "; ".join(one["sentence"] for one in shown) + "."
    most = max((one["points"] for one in compared), default=0)
    return (
        f"Whether an offline gain predicts the online effect is not shown: {most} retrain{'s'[: most != 1]} of this model "
        f"{'have' if most != 1 else 'has'} both."
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
