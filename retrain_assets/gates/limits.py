"""How an observed number and a limit become a verdict. Which number meets which limit is each gate's own business."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict

TABLE_ROWS = 20
"""Rows an evidence table shows at most; what is left out is always counted beside it."""


def at_most(
    gate: Gate, check: str, observed: float | None, limit: float, *, what: str, evidence: Mapping[str, Any] | None = None
) -> Verdict:
    """``pass`` when the observed number is at or below the limit.

    Args:
        gate: the gate the check belongs to.
        check: name of the rule.
        observed: the measured number; None gives ``no_data``, NaN and infinities give ``error``.
        limit: the largest number that passes, in the same unit.
        what: the observed thing in words with its unit, e.g. ``"largest share of nulls"``.
        evidence: JSON-able details.
    """
    return _bounded(gate, check, observed, upper=limit, what=what, evidence=evidence)


def at_least(
    gate: Gate, check: str, observed: float | None, limit: float, *, what: str, evidence: Mapping[str, Any] | None = None
) -> Verdict:
    """``pass`` when the observed number is at or above the limit; arguments as :func:`at_most`."""
    return _bounded(gate, check, observed, lower=limit, what=what, evidence=evidence)


def within(
    gate: Gate,
    check: str,
    observed: float | None,
    *,
    lower: float | None,
    upper: float | None,
    what: str,
    evidence: Mapping[str, Any] | None = None,
) -> Verdict:
    """``pass`` when the observed number is inside the limits that are set; arguments as :func:`at_most`."""
    return _bounded(gate, check, observed, lower=lower, upper=upper, what=what, evidence=evidence)


def _bounded(
    gate: Gate,
    check: str,
    observed: float | None,
    *,
    what: str,
    lower: float | None = None,
    upper: float | None = None,
    evidence: Mapping[str, Any] | None,
) -> Verdict:
    limit: float | str | None = lower if upper is None else upper
    if lower is not None and upper is not None:
        limit = f"{number(lower)} to {number(upper)}"
    words = " and ".join([f"at least {number(lower)}"] * (lower is not None) + [f"at most {number(upper)}"] * (upper is not None))
    if observed is None:
        outcome, message = Outcome.NO_DATA, f"{what} could not be measured; required is {words}"
    elif not math.isfinite(observed):
        outcome, message = Outcome.ERROR, f"{what} is {observed}, not a finite number; required is {words}"
    else:
        holds = (lower is None or observed >= lower) and (upper is None or observed <= upper)
        outcome = Outcome.PASS if holds else Outcome.FAIL
        message = f"{what} is {number(observed)}; required is {words}"
    return Verdict(gate, check, outcome, message, observed=observed, threshold=limit, evidence=evidence or {})


def number(value: float | None) -> str:
    """A number for a sentence: four significant digits, integers in full, ``undefined`` for None."""
    if value is None:
        return "undefined"
    value = value + 0.0  # minus zero is zero
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def listed(names: Sequence[str], *, most: int = 5) -> str:
    """Names for a sentence: the first few, and how many more there are."""
    head = ", ".join(names[:most])
    return f"{head} and {len(names) - most} more" if len(names) > most else head


def counted(count: int, noun: str) -> str:
    """``1 row``, ``2 rows``, ``1,234 rows``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
