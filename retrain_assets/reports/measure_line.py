"""One measure of a look as one line: state in words, change against what it must show, and how far that is from being shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrain_assets.contract.experiment import EXPOSURE_MEASURES
from retrain_assets.experiment import MeasureResult, MeasureSpec, MeasureState
from retrain_assets.experiment.loss.failure_modes import units_needed
from retrain_assets.reports import words

STATE_WORDS: Mapping[MeasureState, tuple[str, str]] = {
    MeasureState.BETTER: ("shown better", "good"),
    MeasureState.NON_INFERIOR: ("shown not worse", "good"),
    MeasureState.WORSE: ("harm shown", "bad"),
    MeasureState.INCONCLUSIVE: ("not shown yet", "warn"),
    MeasureState.NO_DATA: ("no data", "warn"),
    MeasureState.ERROR: ("cannot be computed", "bad"),
}
"""A state as a release owner says it, with its tone: ``good``, ``warn`` or ``bad``."""

METHOD_WORDS: Mapping[str | None, str] = {
    "asymptotic": "asymptotic confidence sequence",
    "exact": "exact bounds for few events",
    "quantile": "quantile limits, units as clusters",
    None: words.NOTHING,
}

MOST_UNITS = 20.0
"""Multiple of the units seen above which a number of units would promise more than is known."""


def line_of(result: MeasureResult, experiment: Mapping[str, Any]) -> dict[str, Any]:
    """One measure at one look as JSON.

    Keys: ``name``, ``role``, ``direction``, ``technical`` (read from latency or errors of the requests), ``state``, ``words`` and
    ``tone`` of the state, ``relative`` (of change and limit), ``estimate``, ``lower``, ``upper``, ``limit`` (the change at which
    the rule just does not hold), ``planned`` (the planned look's limit, else None), ``champion``, ``challenger``,
    ``n_champion``, ``n_challenger``, ``change``, ``must`` and ``distance`` in words, ``units_factor`` (multiple of the units seen
    at which it would be shown if the estimate stayed; None where it is shown or would not be), ``method``, ``variance_saved``,
    ``message``.

    Args:
        result: the measure's result.
        experiment: the contract's section ``experiment``.
    """
    spec = result.spec
    relative = is_relative(spec) and result.relative_estimate is not None
    estimate, lower, upper = changes_of(result, relative=relative)
    planned = result.planned_relative if relative else result.planned_limit
    said, tone = STATE_WORDS[result.state]
    factor = units_factor(result)
    return {
        "name": spec.name,
        "role": spec.role,
        "direction": spec.direction,
        "technical": is_technical(spec.name, experiment),
        "state": result.state.value,
        "words": said,
        "tone": tone,
        "relative": relative,
        "estimate": estimate,
        "lower": lower,
        "upper": upper,
        "limit": limit_of(spec) if relative == is_relative(spec) else None,
        "planned": planned,
        "champion": result.champion_mean,
        "challenger": result.challenger_mean,
        "n_champion": result.n_champion,
        "n_challenger": result.n_challenger,
        "change": words.change(estimate, lower, upper, relative=relative),
        "must": must_of(spec),
        "distance": _distance(result, factor, relative=relative),
        "units_factor": factor,
        "method": METHOD_WORDS.get(result.method, str(result.method)),
        "variance_saved": result.variance_saved,
        "message": result.message,
    }


def is_relative(spec: MeasureSpec) -> bool:
    """Whether a measure is held to a relative change."""
    return spec.margin is None and not spec.min_gain


def is_technical(name: str, experiment: Mapping[str, Any]) -> bool:
    """Whether a measure is about the service (latency, errors of requests) and not about what became of the units."""
    measures = {**experiment.get("success", {}), **experiment.get("guardrails", {})}
    return (measures.get(name, {}).get("column") or name) in EXPOSURE_MEASURES


def changes_of(result: MeasureResult, *, relative: bool) -> tuple[float | None, float | None, float | None]:
    """Estimate, lower and upper limit, relative or in the unit of the measure."""
    if relative:
        return result.relative_estimate, result.relative_lower, result.relative_upper
    return result.estimate, result.lower, result.upper


def limit_of(spec: MeasureSpec) -> float | None:
    """The change, in its natural sign, at which the measure's rule just does not hold."""
    sign = 1 if spec.direction == "increase" else -1
    if spec.role == "success":
        return sign * (spec.min_gain or spec.min_effect) + 0.0
    tolerated = spec.margin if spec.margin is not None else spec.max_regression
    return None if tolerated is None else -sign * tolerated


def must_of(spec: MeasureSpec) -> str:
    """What a measure must show: ``fall by more than 1 %``, ``not rise by 0.05``."""
    limit = limit_of(spec)
    if spec.role == "success":
        verb = "rise" if spec.direction == "increase" else "fall"
        return f"{verb} by more than {amount(limit, relative=is_relative(spec))}" if limit else verb
    verb = "fall" if spec.direction == "increase" else "rise"
    return f"not {verb}" + (f" by {amount(limit, relative=is_relative(spec))}" if limit is not None else "")


def amount(value: float | None, *, relative: bool, points: bool = False) -> str:
    """A size without sign: ``1 %`` or, as a difference of two changes, ``1 points``; in the unit of the measure as it is."""
    if value is None:
        return words.NOTHING
    size = f"{abs(value) * (100 if relative else 1):.2g}"
    size = size if "e" not in size else f"{abs(value) * (100 if relative else 1):.0f}" if abs(value) >= 1 else size
    return f"{size} points" if relative and points else f"{size} %" if relative else size


def units_factor(result: MeasureResult) -> float | None:
    """How many times the units seen it takes until the measure is shown, if its change stays.

    None where it is shown already, where the estimate itself does not reach the limit, and without an interval.
    """
    needed, seen = units_needed(result), result.n_champion + result.n_challenger
    return needed / seen if needed is not None and seen and seen < needed < float("inf") else None


def _distance(result: MeasureResult, factor: float | None, *, relative: bool) -> str:
    spec, state = result.spec, result.state
    estimate, lower, upper = changes_of(result, relative=relative)
    limit = limit_of(spec)
    if estimate is None or lower is None or upper is None or limit is None or relative != is_relative(spec):
        return (
            "no interval yet"
            if state in (MeasureState.INCONCLUSIVE, MeasureState.NO_DATA)
            else result.message.removeprefix(f"{spec.name}: ")
        )
    sign = 1 if spec.direction == "increase" else -1
    if state is MeasureState.WORSE:
        harm, tolerated = -upper if sign > 0 else lower, spec.max_harm if spec.role == "success" else -sign * limit
        least = f"at least {amount(harm, relative=relative)} worse" if harm > 0 else "worse"
        return f"{least}, {amount(tolerated, relative=relative)} is tolerated" if tolerated else least
    planned = result.planned_relative if relative else result.planned_limit
    reached = sign * ((planned if planned is not None else lower if sign > 0 else upper) - limit)
    gap = amount(reached, relative=relative, points=True)
    if state in (MeasureState.BETTER, MeasureState.NON_INFERIOR):
        by = " at the planned look" if planned is not None else ""
        return f"{gap} to spare{by}" if reached > 0 else "shown at a planned look"
    if reached > 0:
        return f"{gap} to spare, to be judged at a planned look"
    if sign * (estimate - limit) <= 0:
        return f"{gap} short; the estimate itself does not reach it"
    if factor is None:
        return f"{gap} short"
    more = f"more than {MOST_UNITS:g} times" if factor > MOST_UNITS else f"about {factor:.1f} times"
    return f"{gap} short; {more} the units if the change stays"
