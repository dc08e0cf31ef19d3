"""Gate 4, canary: from one look at live traffic to verdicts. The statistics are made in ``experiment``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.experiment import (
    SHADOW,
    HealthCheck,
    Look,
    MeasureResult,
    MeasureSpec,
    MeasureState,
    Plan,
    Worth,
    stage_units,
)

_OUTCOMES = {
    MeasureState.BETTER: Outcome.PASS,
    MeasureState.NON_INFERIOR: Outcome.PASS,
    MeasureState.WORSE: Outcome.FAIL,
    MeasureState.INCONCLUSIVE: Outcome.INCONCLUSIVE,
    MeasureState.NO_DATA: Outcome.NO_DATA,
    MeasureState.ERROR: Outcome.ERROR,
}

_WORST_FIRST = (Outcome.FAIL, Outcome.ERROR, Outcome.NO_DATA, Outcome.INCONCLUSIVE)

_RECORDS = (
    *("records", "times", "counts", "clock_skew", "unknown_revisions"),
    *("outcomes_before_exposure", "late_outcomes", "duplicate_exposures"),
)


def canary_gate(look: Look, plan: Plan) -> list[Verdict]:
    """The verdicts of the canary gate, always the same checks for the same plan.

    ``sample_ratio_holds``, ``outcomes_arrive``, ``units_stay_in_one_arm``, ``records_are_sound`` (could be read, counts, times,
    shares of odd rows), ``enough_units`` (in the last stage of the ramp, for its shortest time); with one success measure
    ``wins_<measure>``, with several ``a_success_measure_wins`` and ``not_worse_<measure>`` for each; per guardrail
    ``keeps_<measure>``, and ``keeps_<measure>_in_segments`` where it has a segment margin; ``full_weeks_seen`` and
    ``worth_its_cost`` where the contract asks for them.
    """
    health = {check.name: check for check in look.health}
    ratios = [check for name, check in health.items() if name.startswith("sample_ratio")]
    return [
        _health("sample_ratio_holds", ratios),
        _health("outcomes_arrive", _named(health, "missing_outcomes", "missing_outcomes_alike")),
        _health("units_stay_in_one_arm", _named(health, "cross_arm_units")),
        _health("records_are_sound", _named(health, *_RECORDS), needs_number=False),
        _enough_units(look, plan),
        *_success(look, plan),
        *_guardrails(look, plan),
        *([_full_weeks(look, plan)] if plan.full_weeks else []),
        *([_worth(look)] if plan.economics is not None else []),
    ]


def _named(health: dict[str, HealthCheck], *names: str) -> list[HealthCheck]:
    return [health[name] for name in names if name in health]


def _health(check: str, conditions: Sequence[HealthCheck], *, needs_number: bool = True) -> Verdict:
    """The first failing condition, else the first one; what was never checked or had nothing to check is ``no_data``."""
    if not conditions:
        return Verdict(Gate.CANARY, check, Outcome.NO_DATA, "this was not checked")
    shown = next((one for one in conditions if not one.ok), conditions[0])
    outcome = Outcome.PASS if shown.ok else Outcome.FAIL
    if shown.ok and needs_number and shown.observed is None:
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


def _success(look: Look, plan: Plan) -> Iterator[Verdict]:
    """One success measure must win. Of several one must, and none may be shown worse."""
    specs = [spec for spec in plan.measures if spec.role == "success"]
    if len(specs) == 1:
        yield _shown(f"wins_{specs[0].name}", specs[0], look)
        return
    verdicts = [_shown(f"not_worse_{spec.name}", spec, look) for spec in specs]
    winners = [spec.name for spec, verdict in zip(specs, verdicts, strict=True) if verdict.passed]
    message = f"{', '.join(winners)} is shown better, one of {len(specs)} is enough"
    outcome = Outcome.PASS
    if not winners:
        outcome = next((one for one in _WORST_FIRST if any(verdict.outcome is one for verdict in verdicts)), Outcome.NO_DATA)
        message = "no success measure is shown better: " + ("; ".join(verdict.message for verdict in verdicts) or "there is none")
    evidence = {"winners": winners, "measures": [spec.name for spec in specs]}
    yield Verdict(Gate.CANARY, "a_success_measure_wins", outcome, message, float(len(winners)), 1.0, evidence)
    for verdict in verdicts:
        open_ = verdict.outcome is Outcome.INCONCLUSIVE
        yield Verdict(
            Gate.CANARY,
            verdict.check,
            Outcome.PASS if open_ else verdict.outcome,
            verdict.message,
            verdict.observed,
            verdict.threshold,
            verdict.evidence,
        )


def _guardrails(look: Look, plan: Plan) -> Iterator[Verdict]:
    for spec in plan.measures:
        if spec.role == "guardrail":
            yield _shown(f"keeps_{spec.name}", spec, look)
            if spec.segment_margin is not None:
                yield _in_segments(spec, look)


def _shown(check: str, spec: MeasureSpec, look: Look) -> Verdict:
    result = next((one for one in look.results if one.spec == spec), None)
    if result is None:
        return Verdict(Gate.CANARY, check, Outcome.ERROR, f"{spec.name}: the look has no result for this measure as planned")
    outcome = _OUTCOMES[result.state]
    if spec.role == "success" and result.state is MeasureState.NON_INFERIOR:
        outcome = Outcome.INCONCLUSIVE
    return Verdict(Gate.CANARY, check, outcome, result.message, _observed(result), _threshold(spec), {"result": result.to_json()})


def _in_segments(spec: MeasureSpec, look: Look) -> Verdict:
    """The worst judged segment decides; segments that are too small are in the evidence, and decide nothing."""
    check = f"keeps_{spec.name}_in_segments"
    found = {
        name: next((one for one in look.segments.get(name, ()) if one.spec.name == spec.name), None)
        for name in look.judged_segments
    }
    evidence = {
        "judged": {name: result.to_json() for name, result in found.items() if result is not None},
        "not_judged": sorted(set(look.segments) - set(look.judged_segments)),
    }
    if not found:
        seen = len(look.segments)
        text = f"none of {seen} segments is large enough to be judged" if seen else "no segment was seen"
        outcome = Outcome.PASS if seen else Outcome.NO_DATA
        return Verdict(Gate.CANARY, check, outcome, f"{spec.name}: {text}", 0.0, 0.0, evidence)
    missing = sorted(name for name, result in found.items() if result is None)
    if missing:
        text = f"{spec.name}: the look has no result for segment {missing[0]}"
        return Verdict(Gate.CANARY, check, Outcome.ERROR, text, evidence=evidence)
    judged = [(name, result, _OUTCOMES[result.state]) for name, result in found.items() if result is not None]
    for outcome in _WORST_FIRST:
        if those := [f"{name}: {result.message}" for name, result, one in judged if one is outcome]:
            text = "; ".join(those)
            return Verdict(Gate.CANARY, check, outcome, text, float(len(judged) - len(those)), float(len(judged)), evidence)
    text = f"{spec.name} stays within its margin {spec.segment_margin:.3g} in all {len(judged)} judged segments"
    return Verdict(Gate.CANARY, check, Outcome.PASS, text, float(len(judged)), float(len(judged)), evidence)


def _full_weeks(look: Look, plan: Plan) -> Verdict:
    weeks = look.matured / timedelta(weeks=1)
    message = f"matured traffic covers {weeks:.1f} of {plan.full_weeks} weeks"
    outcome = Outcome.PASS if weeks >= plan.full_weeks else Outcome.INCONCLUSIVE if weeks else Outcome.NO_DATA
    return Verdict(Gate.CANARY, "full_weeks_seen", outcome, message, weeks, float(plan.full_weeks))


def _worth(look: Look) -> Verdict:
    """Only a value that is shown to be too small closes the gate: an unclear one is said, and people decide."""
    value = look.net_value
    if value is None:
        return Verdict(Gate.CANARY, "worth_its_cost", Outcome.NO_DATA, "the net value cannot be computed yet")
    outcome = Outcome.FAIL if value.worth is Worth.NOT_WORTH_IT else Outcome.PASS
    return Verdict(
        Gate.CANARY, "worth_its_cost", outcome, value.message, value.upper, value.minimum, {"net_value": value.to_json()}
    )


def _observed(result: MeasureResult) -> float | None:
    spec = result.spec
    return result.estimate if spec.margin is not None or spec.min_gain else result.relative_estimate


def _threshold(spec: MeasureSpec) -> float | None:
    """The limit in the unit and sign of the observed change: the change at which the rule just does not hold."""
    sign = 1 if spec.direction == "increase" else -1
    if spec.role == "success":
        return sign * (spec.min_gain or spec.min_effect)
    tolerated = spec.margin if spec.margin is not None else spec.max_regression
    return None if tolerated is None else -sign * tolerated
