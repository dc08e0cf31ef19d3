"""One look at a canary: judge every measure, check the experiment's health, and say which action follows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from retrain_assets.contract import StageError, format_duration
from retrain_assets.experiment.data import CanaryData, StageCounts
from retrain_assets.experiment.health import HealthCheck, health_checks
from retrain_assets.experiment.look import Action, Look
from retrain_assets.experiment.measures import MeasureResult, MeasureState, judge
from retrain_assets.experiment.plan import Plan
from retrain_assets.experiment.statistics import SHADOW, StratumStatistics


def analyse(
    data: CanaryData, plan: Plan, *, stage: str, revision: int, stage_started_at: datetime, armed_at: datetime, now: datetime
) -> Look:
    """One look: results, health, and the action that follows from them.

    Args:
        data: the aggregated canary.
        plan: what it was planned to show.
        stage: label of the ramp's stage the toggle is in.
        revision: toggle revision it is in.
        stage_started_at: when that stage began (timezone-aware).
        armed_at: when the toggle was armed.
        now: the time of the look.

    Raises:
        StageError: for times without a time zone.
    """
    for name, moment in (("stage_started_at", stage_started_at), ("armed_at", armed_at), ("now", now)):
        if moment.tzinfo is None:
            raise StageError(f"{name} has no time zone", where="canary", remedy="pass a timezone-aware UTC time")
    results = tuple(judge(spec, data.measures.get(spec.name, ()), plan) for spec in plan.measures)
    health = health_checks(data, plan, stage_started_at=stage_started_at, armed_at=armed_at, now=now)
    in_stage, armed = now - stage_started_at, now - armed_at
    action, reason = _action(results, health, data.stages, plan, stage=stage, in_stage=in_stage, armed=armed)
    return Look(
        at=now,
        stage=stage,
        revision=revision,
        results=results,
        health=health,
        segments=_segments(data.segments, plan),
        action=action,
        reason=reason,
        stages=data.stages,
    )


def _action(
    results: tuple[MeasureResult, ...],
    health: tuple[HealthCheck, ...],
    stages: tuple[StageCounts, ...],
    plan: Plan,
    *,
    stage: str,
    in_stage: timedelta,
    armed: timedelta,
) -> tuple[Action, str]:
    """The rules, strongest first: harm rolls back even when the look is invalid; an invalid look never advances."""
    if worse := [result for result in results if result.state is MeasureState.WORSE]:
        return Action.ROLL_BACK, "; ".join(result.message for result in worse)
    waiting = _waiting(results, health, stages, plan, stage=stage, in_stage=in_stage, armed=armed)
    if waiting is None:
        if stage != plan.ramp[-1]:
            return Action.STEP, f"stage {stage} has seen enough units for long enough and no harm is shown"
        return Action.ASK_APPROVAL, "every success measure is better and every guardrail is shown non-inferior"
    if armed >= plan.max_duration:
        return Action.REJECT, f"inconclusive after {format_duration(plan.max_duration)}: {waiting}"
    return Action.HOLD, waiting


def _waiting(
    results: tuple[MeasureResult, ...],
    health: tuple[HealthCheck, ...],
    stages: tuple[StageCounts, ...],
    plan: Plan,
    *,
    stage: str,
    in_stage: timedelta,
    armed: timedelta,
) -> str | None:
    """Why the ramp cannot go on, None when it can."""
    if failing := [check for check in health if not check.ok]:
        return "the experiment is invalid: " + "; ".join(check.message for check in failing)
    if errors := [result for result in results if result.state is MeasureState.ERROR]:
        return "a measure cannot be computed: " + "; ".join(result.message for result in errors)
    if stage not in plan.ramp:
        return f"stage {stage!r} is not a stage of the ramp ({', '.join(plan.ramp)})"
    units = stage_units(stages, stage)
    if units < plan.min_units:
        what = "shadow-scored units" if stage == SHADOW else "matured units on the challenger"
        return f"stage {stage} has {units} of {plan.min_units} {what}"
    if in_stage < plan.min_duration:
        return f"stage {stage} has lasted {in_stage.total_seconds() / 3600:.1f} h of {format_duration(plan.min_duration)}"
    if stage != plan.ramp[-1]:
        return None
    unshown = [result for result in results if result.state is not _goal(result)]
    if unshown or not results:
        return "; ".join(result.message for result in unshown) or "the plan has no measure"
    if armed < plan.min_experiment:
        lasted, needed = format_duration(armed), format_duration(plan.min_experiment)
        return f"everything is shown, but the experiment has lasted {lasted} of {needed}"
    return None


def stage_units(stages: tuple[StageCounts, ...], stage: str) -> int:
    """Units that count for leaving a stage: matured units on the challenger, in shadow the shadow-scored units."""
    counted = [one for one in stages if one.stage == stage]
    return sum(one.challenger.exposed if one.is_shadow else one.challenger.matured for one in counted)


def _goal(result: MeasureResult) -> MeasureState:
    return MeasureState.BETTER if result.spec.role == "success" else MeasureState.NON_INFERIOR


def _segments(segments: Mapping[str, tuple[StratumStatistics, ...]], plan: Plan) -> dict[str, tuple[MeasureResult, ...]]:
    """Every measure in every segment, each segment by its own; segments sorted by name."""
    names = sorted({one.stratum.segment for strata in segments.values() for one in strata if one.stratum.segment is not None})
    return {
        name: tuple(
            judge(spec, [one for one in segments.get(spec.name, ()) if one.stratum.segment == name], plan)
            for spec in plan.measures
        )
        for name in names
    }
