"""From what a team's own check answers to one verdict: nothing but well-formed verdicts of that very check count."""

from __future__ import annotations

import inspect
import math
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from retrain_assets.contract import Outcome, Verdict, canonical_json, overall
from retrain_assets.contract.own_checks import OwnCheck
from retrain_assets.gates.limits import counted
from retrain_assets.gates.own import Evidence

Function = Callable[..., Any]
Scrub = Callable[[str], str]


def own_verdict(own: OwnCheck, function: Function, evidence: Evidence, scrub: Scrub = str) -> Verdict:
    """The verdict of one own check.

    Args:
        own: the check as the contract has it.
        function: its function.
        evidence: of its gate and name.
        scrub: takes what may have been copied from rows out of the message of an error.

    Returns:
        What the function says. Of several findings the worst, with all of them as a table. ``error``, naming function and line,
        when it raises, says nothing, says something else than a verdict of this check, or a number that is not finite.
    """
    try:
        said = function(evidence, **own.parameters)
    except Exception as error:  # noqa: BLE001 (the team's code may raise anything; the verdict says so)
        what = f"raised {type(error).__name__}: {scrub(str(error))}".rstrip(": ")
        return _error(evidence, f"{place_of_fault(function, error)} {what}")
    found = list(said) if isinstance(said, list | tuple) else [said]
    if not found:
        return _error(evidence, f"{place_of(function)} returned no verdict; return one, such as evidence.passes(…)")
    for one in found:
        if wrong := _wrong(one, evidence):
            return _error(evidence, f"{place_of(function)} {wrong}")
    return found[0] if len(found) == 1 else _together(found)


def place_of(function: Function) -> str:
    """A function with its file and line, for a message: ``checks.seasons (checks.py:12)``."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    where = f" ({Path(code.co_filename).name}:{code.co_firstlineno})" if code is not None else ""
    return f"{_name(function)}{where}"


def place_of_fault(function: Function, error: BaseException) -> str:
    """A function with the line of its file that an error went through last."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if code is not None and frame.filename == code.co_filename]
    return f"{_name(function)} ({Path(code.co_filename).name}:{lines[-1]})" if code is not None and lines else place_of(function)


def _name(function: Function) -> str:
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__name__', repr(function))}"


def _wrong(said: Any, evidence: Evidence) -> str:
    """What is wrong with an answer; empty when nothing is."""
    if not isinstance(said, Verdict):
        return f"returned {type(said).__name__}, not a verdict; return one, such as evidence.passes(…)"
    if (said.gate, said.check) != (evidence.gate, evidence.check):
        return f"returned a verdict of check {said.gate} {said.check}, not of {evidence.gate} {evidence.check}"
    if not isinstance(said.outcome, Outcome):
        return f"returned the outcome {said.outcome!r}; take one of {', '.join(f'Outcome.{one.name}' for one in Outcome)}"
    if not isinstance(said.message, str) or not said.message.strip():
        return "returned a verdict without a message"
    for name, value in (("observed", said.observed), ("threshold", said.threshold)):
        if isinstance(value, bool) or not isinstance(value, int | float | str | None):
            return f"returned {name} of type {type(value).__name__}; a number or a text is needed"
        if isinstance(value, float) and not math.isfinite(value):
            return f"returned {name} {value}, not a finite number"
    try:
        canonical_json(said.to_json())
    except (ValueError, TypeError, AttributeError) as error:
        return f"returned evidence that is not JSON ({error})"
    return ""


def _together(found: Sequence[Verdict]) -> Verdict:
    worst = overall(found)
    those = [one for one in found if one.outcome is worst]
    findings = [
        {"outcome": one.outcome.value, "message": one.message, "observed": one.observed, "threshold": one.threshold}
        for one in found
    ]
    message = those[0].message if len(those) == 1 else "; ".join(one.message for one in those[:5])
    if len(those) > 5:
        message += f"; and {len(those) - 5} more"
    if worst is Outcome.PASS:
        message = f"{counted(len(found), 'finding')}: {message}"
    return replace(those[0], message=message, evidence={**those[0].evidence, "findings": findings})


def _error(evidence: Evidence, message: str) -> Verdict:
    return Verdict(evidence.gate, evidence.check, Outcome.ERROR, message)
