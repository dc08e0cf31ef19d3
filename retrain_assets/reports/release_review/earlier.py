"""Which gate would have caught it earlier: for a retrain that hurt, the limits that would have stopped it and no retrain that was
kept, what they would have done to all others, and how much of that may be chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from retrain_assets.reports.release_review.history import Fate, Past
from retrain_assets.reports.release_review.prediction import COST, gains_of
from retrain_assets.reports.release_review.quantities import Path, Quantity, limit_at, quantities_of, shown_path

DIGITS = 3
"""Significant digits of a limit between two values."""


def earlier_of(past: Past, history: Sequence[Past]) -> dict[str, Any] | None:
    """What would have stopped a retrain before it hurt, as JSON; None for one that did not hurt.

    Keys: ``tried`` (limits looked at), ``kept`` and ``harmed`` (retrains of each fate so far), ``limits`` (those that separate,
    the widest gap first; see :func:`_limit`), ``by_chance`` (how many of those tried would separate if nothing meant anything),
    ``worst`` (the worst metric, slice and back-test of the retrain), ``sentence``.
    """
    if past.fate is not Fate.HARMED:
        return None
    measured = {one.key: quantities_of(one) for one in history}
    own = measured.get(past.key, {})
    limits = [found for path in own if (found := _limit(path, past, history, measured)) is not None]
    limits.sort(key=lambda one: (-one["gap"], one["path"]))
    counted = [sum(1 for one in history if one.fate is Fate.KEPT and path in measured[one.key]) for path in own]
    tried = sum(1 for kept in counted if kept)
    by_chance = math.fsum(1 / (kept + 1) for kept in counted if kept)
    kept = sum(one.fate is Fate.KEPT for one in history)
    return {
        "tried": tried,
        "kept": kept,
        "harmed": sum(one.fate is Fate.HARMED for one in history),
        "limits": limits,
        "by_chance": by_chance,
        "worst": _worst(past),
        "sentence": _sentence(past, limits, tried, kept, by_chance),
    }


def threshold_between(harmed: float, kept: Sequence[float], worse: str) -> float | None:
    """A round limit half-way between a harmful value and the worst that was kept; None where the harmful one is not worse."""
    worst = min(kept) if worse == "lower" else max(kept)
    if not (harmed < worst if worse == "lower" else harmed > worst):
        return None
    middle = (harmed + worst) / 2
    for digits in range(DIGITS, 17):
        rounded = float(f"{middle:.{digits}g}")
        inside = harmed < rounded <= worst if worse == "lower" else worst <= rounded < harmed
        if inside:
            return rounded
    return None


def _limit(
    path: Path, past: Past, history: Sequence[Past], measured: Mapping[str, Mapping[Path, Quantity]]
) -> dict[str, Any] | None:
    """A limit that stops this retrain and none that was kept, as JSON; None where there is none.

    Keys: ``path``, ``gate``, ``name``, ``value``, ``worst_kept``, ``limit``, ``now`` (the contract's own limit then), ``gap``
    (between the harmful value and the worst kept one, over the range of all values), ``kept`` (with a value), ``stopped`` (every
    other retrain with a value: ``retrain``, ``fate``, ``value``, ``stopped``), ``left_out`` (leaving one retrain out at a time,
    choosing the limit from the others: ``wrongly_stopped`` of ``kept``, ``caught`` of ``harmed``).
    """
    own = measured[past.key][path]
    values = {one.key: measured[one.key][path].value for one in history if path in measured[one.key]}
    kept = [values[one.key] for one in history if one.fate is Fate.KEPT and one.key in values]
    harmed = [values[one.key] for one in history if one.fate is Fate.HARMED and one.key in values]
    limit = threshold_between(own.value, kept, own.worse) if kept else None
    if limit is None:
        return None
    worst, extent = min(kept) if own.worse == "lower" else max(kept), max(values.values()) - min(values.values())
    others = [one for one in history if one.key in values and one.key != past.key]
    return {
        "path": shown_path(path),
        "at": list(path),
        "gate": own.gate,
        "name": own.name,
        "worse": own.worse,
        "value": own.value,
        "worst_kept": worst,
        "limit": limit,
        "now": limit_at(past.contract, path),
        "gap": abs(own.value - worst) / extent if extent else 0.0,
        "kept": len(kept),
        "stopped": [
            {
                "retrain": one.key,
                "fate": one.fate.value,
                "why": one.why,
                "value": values[one.key],
                "stopped": measured[one.key][path].stopped_by(limit),
            }
            for one in others
        ],
        "left_out": _left_out(kept, harmed, own.worse),
    }


def _left_out(kept: Sequence[float], harmed: Sequence[float], worse: str) -> dict[str, int]:
    """Leave-one-out over history: does the limit that the other retrains suggest judge the one that is left out rightly?"""
    wrongly = [_stops(_suggested(_without(kept, place), harmed, worse), one, worse) for place, one in enumerate(kept)]
    caught = [_stops(_suggested(kept, _without(harmed, place), worse), one, worse) for place, one in enumerate(harmed)]
    return {"wrongly_stopped": sum(wrongly), "kept": len(kept), "caught": sum(caught), "harmed": len(harmed)}


def _without(values: Sequence[float], place: int) -> list[float]:
    return [*values[:place], *values[place + 1 :]]


def _suggested(kept: Sequence[float], harmed: Sequence[float], worse: str) -> float | None:
    """The limit between the worst that was kept and the mildest harmful value beyond it."""
    if not kept:
        return None
    beyond = [one for one in harmed if (one < min(kept) if worse == "lower" else one > max(kept))]
    if not beyond:
        return None
    return threshold_between(max(beyond) if worse == "lower" else min(beyond), kept, worse)


def _stops(limit: float | None, value: float, worse: str) -> bool:
    return limit is not None and (value < limit if worse == "lower" else value > limit)


def _worst(past: Past) -> list[dict[str, Any]]:
    """What looked worst before traffic: the metric that gained least, the worst slice and back-test, each with its limit."""
    rows: list[dict[str, Any]] = []
    gains = {name: gain["estimate"] for name, gain in gains_of(past).items() if name != COST}
    if gains:
        metric = min(gains, key=lambda name: gains[name] or 0.0)
        rows.append({"what": "metric that gained least", "which": metric, "value": gains[metric], "limit": None})
    slices = past.checks.get("offline.slices_hold", {}).get("evidence", {}).get("slices") or ()
    judged = [row for row in slices if row.get("judged") and row.get("worse_by") is not None]
    if judged:
        worst = max(judged, key=lambda row: row["worse_by"])
        limit = past.checks["offline.slices_hold"]["threshold"]
        rows.append({"what": "worst slice, worse by", "which": worst["slice"], "value": worst["worse_by"], "limit": limit})
    tested = past.checks.get("offline.backtests_hold", {}).get("evidence", {})
    values = [row for row in tested.get("backtests") or () if row.get("value") is not None]
    if values:
        lower_is_worse = tested.get("max") is None or tested.get("min") is not None
        found = (min if lower_is_worse else max)(values, key=lambda row: row["value"])
        period = f"{str(found.get('start'))[:10]} to {str(found.get('end'))[:10]}"
        limit = tested.get("min") if lower_is_worse else tested.get("max")
        rows.append(
            {"what": f"worst back-test, {tested.get('metric')}", "which": period, "value": found["value"], "limit": limit}
        )
    return rows


def _sentence(past: Past, limits: Sequence[Mapping[str, Any]], tried: int, kept: int, by_chance: float) -> str:
    if not tried:
        return "No retrain of this model was kept so far, so nothing says which limit would have stopped this one and not that."
    if not limits:
        return (
            f"No limit before traffic would have stopped {past.key} without stopping one that was kept: by all {tried} numbers "
            "looked at it was no worse than they were. What stopped it had to be seen on traffic."
        )
    best = limits[0]
    return (
        f"{len(limits)} of {tried} limits would have stopped {past.key} and none of the {kept} kept; first {best['path']} at "
        f"{best['limit']:g} (it had {best['value']:.4g}, the worst kept {best['worst_kept']:.4g}). If nothing meant anything, "
        f"{by_chance:.1f} would do so by chance."
    )
