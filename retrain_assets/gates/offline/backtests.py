"""The check ``backtests_hold``: the recipe would have done well enough, and evenly, at earlier cut-offs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from statistics import fmean, stdev
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.contract.offline import BacktestThreshold
from retrain_assets.gates.limits import counted, number
from retrain_assets.gates.offline.evaluation import Backtest, OfflineEvaluation
from retrain_assets.gates.offline.limit_table import HeldLimit, judged_by, largest_allowed, smallest_allowed

CHECK = "backtests_hold"


def backtests_hold(evaluation: OfflineEvaluation, limits: BacktestThreshold, wanted: int) -> Verdict:
    """Every back-test is there, is within ``min`` and ``max``, and the best and worst differ by no more than ``max_spread``.

    Args:
        evaluation: with the back-tests and the hold-out's value of the same metric.
        limits: ``gates.offline.backtests``.
        wanted: number of back-tests, ``window.backtests``.
    """
    found = [part for part in evaluation.backtests if part.value is not None]
    comparison = evaluation.metric(limits.metric)
    evidence = backtest_evidence(evaluation.backtests, limits, comparison.candidate if comparison else None)
    if problem := evaluation.problems.get("backtests"):
        return Verdict(Gate.OFFLINE, CHECK, Outcome.ERROR, problem, None, _words(limits), evidence)
    if len(found) < wanted:
        message = f"{counted(len(found), 'back-test')} of the {wanted} that window.backtests asks for gave a value"
        return Verdict(Gate.OFFLINE, CHECK, Outcome.NO_DATA, message, len(found), wanted, evidence)
    if broken := next((part for part in found if not math.isfinite(part.value or 0.0)), None):
        message = f"{limits.metric} of the back-test of {_period(broken)} is {broken.value}, not a finite number"
        return Verdict(Gate.OFFLINE, CHECK, Outcome.ERROR, message, None, _words(limits), evidence)
    return judged_by(CHECK, list(_held(found, limits)), evidence)


def backtest_evidence(backtests: Sequence[Backtest], limits: BacktestThreshold, holdout: float | None) -> dict[str, Any]:
    """Each origin, the spread, and where the candidate's own value on the hold-out lies in it (shown, not judged)."""
    values = [part.value for part in backtests if part.value is not None and math.isfinite(part.value)]
    evidence: dict[str, Any] = {
        "backtests": [asdict(part) for part in backtests],
        "metric": limits.metric,
        "min": limits.min,
        "max": limits.max,
        "max_spread": limits.max_spread,
        "holdout": holdout,
    }
    if not values:
        return evidence
    deviation = stdev(values) if len(values) > 1 else None
    spread = {
        "mean": fmean(values),
        "standard_deviation": deviation,
        "smallest": min(values),
        "largest": max(values),
        "spread": max(values) - min(values),
    }
    return evidence | spread | ({} if holdout is None else {"holdout_lies": _place(holdout, values, deviation)})


def _held(found: Sequence[Backtest], limits: BacktestThreshold) -> Iterator[HeldLimit]:
    def value(part: Backtest) -> float:
        return float(part.value or 0.0)

    lowest, highest = min(found, key=value), max(found, key=value)
    if limits.min is not None:
        below = sum(value(part) < limits.min for part in found)
        what = f"{limits.metric} of the worst back-test ({_period(lowest)}; {below} of {len(found)} below the limit)"
        yield smallest_allowed(CHECK, "smallest back-test", value(lowest), limits.min, what=what)
    if limits.max is not None:
        above = sum(value(part) > limits.max for part in found)
        what = f"{limits.metric} of the worst back-test ({_period(highest)}; {above} of {len(found)} above the limit)"
        yield largest_allowed(CHECK, "largest back-test", value(highest), limits.max, what=what)
    if limits.max_spread is not None:
        low, high = (f"{number(value(part))} ({_period(part)})" for part in (lowest, highest))
        what = f"spread of {limits.metric} over {counted(len(found), 'back-test')}, from {low} to {high},"
        spread = largest_allowed(CHECK, "spread", value(highest) - value(lowest), limits.max_spread, what=what)
        if len(found) > 1:
            yield spread
        else:
            message = "one back-test alone has no spread; set window.backtests to 2 or more"
            yield replace(spread, verdict=replace(spread.verdict, outcome=Outcome.NO_DATA, message=message, observed=None))


def _place(holdout: float, values: Sequence[float], deviation: float | None) -> str:
    below, count = sum(value < holdout for value in values), len(values)
    place = f"above {below} of {counted(count, 'back-test')}"
    if below == 0:
        place = f"below all {count}" if count > 1 and min(values) > holdout else f"at the smallest of {count}"
    elif below == count:
        place = f"above all {count}" if count > 1 else "above the one back-test"
    if not deviation:
        return place
    away = (holdout - fmean(values)) / deviation
    return f"{place}, {abs(away):.1f} standard deviations {'above' if away >= 0 else 'below'} their mean"


def _period(part: Backtest) -> str:
    return f"{part.start[:10]} to {part.end[:10]}"


def _words(limits: BacktestThreshold) -> str:
    parts = {"at least": limits.min, "at most": limits.max, "spread at most": limits.max_spread}
    return ", ".join(f"{name} {number(value)}" for name, value in parts.items() if value is not None)
