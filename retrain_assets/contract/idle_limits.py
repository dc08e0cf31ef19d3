"""Limits of gate offline that no value of their metric could break, or none could hold."""

from __future__ import annotations

import math
from collections.abc import Iterator

from retrain_assets.contract.contract import LOWER_IS_BETTER, METRICS, Contract
from retrain_assets.contract.errors import ContractError

_KNOWN = frozenset(name for names in METRICS.values() for name in names)
_FROM_MINUS_1_TO_1 = frozenset({"matthews_corrcoef"})
_UP_TO_1 = frozenset({"r2", "explained_variance"})
_RATE_LIMITS = tuple(f"max_{rate}_difference" for rate in ("selection_rate", "tpr", "fpr", "equalized_odds"))


def range_of(metric: str) -> tuple[float, float]:
    """Smallest and largest value a metric can have; of a team's own nothing is known."""
    if metric not in _KNOWN:
        return -math.inf, math.inf
    if metric in _UP_TO_1:
        return -math.inf, 1.0
    if metric in LOWER_IS_BETTER and metric != "brier_score":
        return 0.0, math.inf
    return (-1.0, 1.0) if metric in _FROM_MINUS_1_TO_1 else (0.0, 1.0)


def refuse_idle_limits(contract: Contract) -> None:
    """Refuse limits that decide nothing, when a contract is declared; contracts on record are read as they are.

    Raises:
        ContractError: naming the first such limit and why.
    """
    for field, value, why in idle_limits(contract):
        raise ContractError(
            f"{value:g} {why}", where=f"gates.offline.{field}", remedy="write a limit that can decide, or remove it"
        )


def idle_limits(contract: Contract) -> Iterator[tuple[str, float, str]]:
    """Field below ``gates.offline``, its value, and why it decides nothing."""
    offline = contract.gates.offline
    for name, limits in offline.metrics.items():
        yield from _ends(f"metrics.{name}", name, limits.min, limits.max)
        width = range_of(name)[1] - range_of(name)[0]
        if limits.max_regression is not None and limits.max_regression >= width:
            yield f"metrics.{name}.max_regression", limits.max_regression, f"could never fail: {name} cannot fall by more"
        if limits.min_improvement is not None and limits.min_improvement >= width:
            yield f"metrics.{name}.min_improvement", limits.min_improvement, f"could never pass: {name} cannot gain more"
    if (slices := offline.slices) is not None:
        low, high = range_of(slices.metric)
        if slices.max_regression >= high - low:
            yield "slices.max_regression", slices.max_regression, f"could never fail: {slices.metric} cannot fall by more"
    if (backtests := offline.backtests) is not None:
        yield from _ends("backtests", backtests.metric, backtests.min, backtests.max)
        low, high = range_of(backtests.metric)
        if backtests.max_spread is not None and backtests.max_spread >= high - low:
            yield "backtests.max_spread", backtests.max_spread, f"could never fail: {backtests.metric} cannot spread further"
    for place, group in enumerate(offline.fairness):
        for field in _RATE_LIMITS:
            if (value := getattr(group, field)) is not None and value >= 1:
                yield f"fairness[{place}].{field}", value, "could never fail: rates cannot differ by more"
    if (stability := offline.stability) is not None:
        for field in ("max_flips", "max_slice_flips"):
            if (value := getattr(stability, field)) is not None and value >= 1:
                yield f"stability.{field}", value, "could never fail: no more than all decisions can flip"


def _ends(place: str, metric: str, smallest: float | None, largest: float | None) -> Iterator[tuple[str, float, str]]:
    low, high = range_of(metric)
    if smallest is not None and smallest <= low:
        yield f"{place}.min", smallest, f"could never fail: {metric} is never below {low:g}"
    if smallest is not None and smallest > high:
        yield f"{place}.min", smallest, f"could never pass: {metric} is never above {high:g}"
    if largest is not None and largest >= high:
        yield f"{place}.max", largest, f"could never fail: {metric} is never above {high:g}"
    if largest is not None and largest < low:
        yield f"{place}.max", largest, f"could never pass: {metric} is never below {low:g}"
