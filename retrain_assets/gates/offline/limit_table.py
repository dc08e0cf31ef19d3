"""A check with several limits: which one decides the verdict, and the table that shows them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.gates.limits import TABLE_ROWS, at_least, at_most


@dataclass(frozen=True, slots=True)
class HeldLimit:
    """One limit of a check and what became of it.

    Args:
        name: of the limit, as the table's first column shows it.
        verdict: of this limit alone.
        excess: by how much it is broken, relative to itself; negative where it holds.
        by_chance: the value chance alone explains; None where that was not asked.
    """

    name: str
    verdict: Verdict
    excess: float
    by_chance: float | None = None


def largest_allowed(
    check: str, name: str, observed: float | None, limit: float, *, what: str, by_chance: float | None = None
) -> HeldLimit:
    """A limit that the observed value must not exceed; arguments as :func:`retrain_assets.gates.limits.at_most`."""
    verdict = at_most(Gate.OFFLINE, check, observed, limit, what=what)
    return HeldLimit(name, verdict, 0.0 if observed is None else (observed - limit) / (abs(limit) or 1.0), by_chance)


def smallest_allowed(
    check: str, name: str, observed: float | None, limit: float, *, what: str, by_chance: float | None = None
) -> HeldLimit:
    """A limit that the observed value must reach; arguments as :func:`retrain_assets.gates.limits.at_least`."""
    verdict = at_least(Gate.OFFLINE, check, observed, limit, what=what)
    return HeldLimit(name, verdict, 0.0 if observed is None else (limit - observed) / (abs(limit) or 1.0), by_chance)


def judged_by(check: str, limits: Sequence[HeldLimit], evidence: Mapping[str, Any]) -> Verdict:
    """The verdict of a check: that of the limit broken furthest relative to itself, or nearest to it when all hold.

    A broken limit comes before one that could not be judged, as it is a fact; every other broken limit is named with it.

    Args:
        check: name of the check.
        limits: at least one.
        evidence: tables beside the table of limits.
    """
    first = min(limits, key=lambda limit: (_ORDER.index(limit.verdict.outcome), -limit.excess))
    others = [limit.name for limit in limits if limit is not first and limit.verdict.outcome is Outcome.FAIL]
    message = first.verdict.message
    if others and first.verdict.outcome is Outcome.FAIL:
        message += f"; broken as well: {', '.join(others)}"
    if first.verdict.outcome is Outcome.PASS and len(limits) > 1:
        message += f"; all {len(limits)} limits hold, this one most narrowly"
    return Verdict(
        Gate.OFFLINE,
        check,
        first.verdict.outcome,
        message,
        first.verdict.observed,
        first.verdict.threshold,
        {"limits": limit_rows(limits), **evidence},
    )


def judged_words(judged: bool, observed: float, limit: float | None, p_value: float | None, confidence: float) -> str:
    """What became of one slice under a limit of slices, for its row in a table."""
    if not judged:
        return "too few rows"
    if limit is None:
        return "no limit"
    if observed <= limit:
        return "within limit"
    return "beyond limit" if p_value is not None and p_value <= 1 - confidence else "beyond limit, by chance"


def limit_rows(limits: Sequence[HeldLimit]) -> list[dict[str, Any]]:
    """The limits as a table, in the order given."""
    rows: list[dict[str, Any]] = []
    for limit in limits[:TABLE_ROWS]:
        row = {"limit_of": limit.name, "outcome": limit.verdict.outcome.value}
        rows.append(row | {"observed": limit.verdict.observed, "limit": limit.verdict.threshold, "by_chance": limit.by_chance})
    return rows if any(row["by_chance"] is not None for row in rows) else [_without_chance(row) for row in rows]


def _without_chance(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "by_chance"}


_ORDER = (Outcome.FAIL, Outcome.ERROR, Outcome.NO_DATA, Outcome.INCONCLUSIVE, Outcome.PASS)
