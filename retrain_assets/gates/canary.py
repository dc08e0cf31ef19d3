"""Gate 4, canary: from one look at live traffic to verdicts. The statistics are made in ``experiment``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.experiment import SHADOW, HealthCheck, Look, MeasureResult, MeasureSpec, MeasureState, Plan, stage_units

_OUTCOMES = {
    MeasureState.BETTER: Outcome.PASS,
    MeasureState.NON_INFERIOR: Outcome.PASS,
    MeasureState.WORSE: Outcome.FAIL,
    MeasureState.INCONCLUSIVE: Outcome.INCONCLUSIVE,
    MeasureState.NO_DATA: Outcome.NO_DATA,
    MeasureState.ERROR: Outcome.ERROR,
}


def canary_gate(look: Look, plan: Plan) -> list[Verdict]:
    """The verdicts of the canary gate, always the same checks for the same plan.

    ``sample_ratio_holds``, ``outcomes_arrive``, ``units_stay_in_one_arm``, ``records_are_sound`` (counts and times),
    ``enough_units`` (in the last stage of the ramp, for its shortest time), ``wins_<measure>`` per success measure and
    ``keeps_<measure>`` per guardrail.
    """
    health = {check.name: check for check in look.health}
    ratios = [check for name, check in health.items() if name.startswith("sample_ratio")]
    return [
        _health("sample_ratio_holds", ratios),
        _health("outcomes_arrive", _named(health, "missing_outcomes", "missing_outcomes_alike")),
        _health("units_stay_in_one_arm", _named(health, "cross_arm_units")),
        _health("records_are_sound", _named(health, "times", "counts")),
        _enough_units(look, plan),
        *(_measure(spec, look.results) for spec in plan.measures),
    ]


def _named(health: dict[str, HealthCheck], *names: str) -> list[HealthCheck]:
    return [health[name] for name in names if name in health]


def _health(check: str, conditions: Sequence[HealthCheck]) -> Verdict:
    """The first failing condition, else the first one; what was never checked or had nothing to check is ``no_data``."""
    if not conditions:
        return Verdict(Gate.CANARY, check, Outcome.NO_DATA, "this was not checked")
    shown = next((one for one in conditions if not one.ok), conditions[0])
    outcome = Outcome.PASS if shown.ok else Outcome.FAIL
    if shown.ok and shown.observed is None:
        outcome = Outcome.NO_DATA
    evidence: dict[str, Any] = {"conditions": [one.to_json() for one in conditions]}
    return Verdict(Gate.CANARY, check, outcome, shown.message, shown.observed, shown.threshold, evidence)


def _enough_units(look: Look, plan: Plan) -> Verdict:
    last = plan.ramp[-1]
    units = stage_units(look.stages, look.stage)
    started = min((one.started_at for one in look.stages if one.stage == look.stage), default=look.at)
    lasted = look.at - started
    what = "shadow-scored units" if look.stage == SHADOW else "matured units on the challenger"
    message = f"stage {look.stage}: {units} of {plan.min_units} {what} in {lasted.total_seconds() / 86400:.1f} days"
    outcome = Outcome.PASS
    if look.stage != last:
        message, outcome = f"{message}; the ramp's last stage is {last}", Outcome.INCONCLUSIVE
    elif units < plan.min_units or lasted < plan.min_duration:
        outcome = Outcome.INCONCLUSIVE if units else Outcome.NO_DATA
    evidence = {"stages": [one.to_json() for one in look.stages]}
    return Verdict(Gate.CANARY, "enough_units", outcome, message, float(units), float(plan.min_units), evidence)


def _measure(spec: MeasureSpec, results: Sequence[MeasureResult]) -> Verdict:
    success = spec.role == "success"
    check = f"{'wins' if success else 'keeps'}_{spec.name}"
    result = next((one for one in results if one.spec == spec), None)
    if result is None:
        return Verdict(Gate.CANARY, check, Outcome.ERROR, f"{spec.name}: the look has no result for this measure as planned")
    outcome = _OUTCOMES[result.state]
    if success and result.state is MeasureState.NON_INFERIOR:
        outcome = Outcome.INCONCLUSIVE
    return Verdict(Gate.CANARY, check, outcome, result.message, _observed(result), _threshold(spec), {"result": result.to_json()})


def _observed(result: MeasureResult) -> float | None:
    return result.estimate if result.spec.margin is not None else result.relative_estimate


def _threshold(spec: MeasureSpec) -> float | None:
    """The limit in the unit and sign of the observed change: the change at which the rule just does not hold."""
    sign = 1 if spec.direction == "increase" else -1
    if spec.role == "success":
        return sign * spec.min_effect
    tolerated = spec.margin if spec.margin is not None else spec.max_regression
    return None if tolerated is None else -sign * tolerated
