"""One look at a canary: judge every measure, check the experiment's health, and say which action follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from retrain_assets.contract import StageError
from retrain_assets.experiment.data import CanaryData
from retrain_assets.experiment.decision.economics import net_value
from retrain_assets.experiment.decision.judgement import Judgement, judge_all
from retrain_assets.experiment.decision.planned_looks import is_final, next_planned, take
from retrain_assets.experiment.decision.rule import Found, confirmation_due, decide
from retrain_assets.experiment.decision.streaks import Streaks
from retrain_assets.experiment.estimation.intervals import MIN_UNITS
from retrain_assets.experiment.estimation.measures import MeasureResult, MeasureState
from retrain_assets.experiment.health.checks import UNREADABLE, health_checks
from retrain_assets.experiment.health.health_check import HealthCheck
from retrain_assets.experiment.look import Look
from retrain_assets.experiment.plan import Plan


def analyse(
    data: CanaryData,
    plan: Plan,
    *,
    stage: str,
    revision: int,
    stage_started_at: datetime,
    armed_at: datetime,
    now: datetime,
    before: Look | None = None,
    training_hours: float | None = None,
) -> Look:
    """One look: results, health, and the action that follows from them (see :mod:`retrain_assets.experiment.decision.rule`).

    Args:
        data: the aggregated canary.
        plan: what it was planned to show.
        stage: label of the ramp's stage the toggle is in.
        revision: toggle revision it is in.
        stage_started_at: when that stage began (timezone-aware).
        armed_at: when the toggle was armed.
        now: the time of the look.
        before: the last recorded look of the same toggle; None for the first. It carries the planned looks taken, harm seen in a
            row, since when looks could not be judged, and alarms of the split.
        training_hours: time the retrain's training took, for its net value; None when it is not known.

    Raises:
        StageError: for times without a time zone.
    """
    for name, moment in (("stage_started_at", stage_started_at), ("armed_at", armed_at), ("now", now)):
        if moment.tzinfo is None:
            raise StageError(f"{name} has no time zone", where="canary", remedy="pass a timezone-aware UTC time")
    earlier = before.health if before else ()
    health = health_checks(data, plan, stage_started_at=stage_started_at, armed_at=armed_at, now=now, before=earlier)
    readable = all(check.ok for check in health if check.name in UNREADABLE)
    taken, started = before.planned if before else (), data.first_traffic_at
    sound = all(check.ok for check in health)
    planned = take(plan, taken, data.stages, first_traffic_at=started, now=now) if sound else None
    judged = judge_all(data, plan, planned=(*taken, planned) if planned else (), before=before)
    unjudged = tuple(_not_judged(judged.results, data))
    if planned and unjudged:  # it is taken once every measure can be computed
        planned, judged = None, judge_all(data, plan, planned=(), before=before)
    taken = (*taken, planned) if planned else taken
    unusable = (*_unsound(health), *unjudged, *_silent(data, plan, revision, now - stage_started_at))
    harm = tuple(_harm(judged)) if readable else ()
    streaks = Streaks.of(before).after(plan, now=now, harm=bool(harm) if readable else None, usable=not unusable)
    matured = _matured(data)
    value = net_value(judged.results, plan, training_hours=training_hours)
    decision = decide(
        Found(
            stage=stage,
            in_stage=now - stage_started_at,
            armed=now - armed_at,
            now=now,
            results=judged.results,
            segments=judged.guarded,
            segments_seen=len(judged.segments),
            stages=data.stages,
            harm=harm,
            unusable=unusable,
            matured=matured,
            is_final=is_final(plan, taken),
            net_value=value,
            streaks=streaks,
        ),
        plan,
    )
    upcoming = next_planned(plan, taken, first_traffic_at=started)
    if data.problem is not None and before is not None:
        upcoming = before.next_planned
    return Look(
        at=now,
        stage=stage,
        revision=revision,
        results=judged.results,
        health=health,
        segments=judged.segments,
        judged_segments=judged.judged_segments,
        action=decision.action,
        reason=decision.reason,
        cause=decision.cause,
        stages=data.stages,
        planned=taken,
        next_planned=upcoming,
        harm_looks=streaks.harm_looks,
        harm_at=streaks.harm_at,
        unusable_since=streaks.unusable_since,
        again_at=None if decision.cause else _again_at(plan, streaks, upcoming, now),
        warnings=(*_stopped(data, plan, now), *judged.warnings),
        matured=matured,
        net_value=value,
        statistics=dict(data.measures),
    )


def _unsound(health: Sequence[HealthCheck]) -> Iterator[str]:
    failing = [check.message for check in health if not check.ok]
    if failing:
        yield "the experiment is invalid: " + "; ".join(failing)


def _not_judged(results: Sequence[MeasureResult], data: CanaryData) -> Iterator[str]:
    """Measures that cannot be computed, and those without a value although units have matured in both arms."""
    if errors := [one.message for one in results if one.state is MeasureState.ERROR]:
        yield "a measure cannot be computed: " + "; ".join(errors)
    traffic = [one for one in data.stages if not one.is_shadow]
    matured = min(sum(one.champion.matured for one in traffic), sum(one.challenger.matured for one in traffic))
    empty = [one.message for one in results if one.state is MeasureState.NO_DATA]
    if matured >= MIN_UNITS and empty:
        yield f"a measure has no data although {matured} units have matured in each arm: " + "; ".join(empty)


def _silent(data: CanaryData, plan: Plan, revision: int, in_stage: timedelta) -> Iterator[str]:
    """A stage in which nobody was seen for as long as it should last at least."""
    here = [one for one in data.stages if one.revision == revision]
    seen = sum(one.champion.exposed + one.challenger.exposed for one in here)
    if data.problem is None and seen == 0 and in_stage >= max(plan.min_duration, SILENCE):
        days = in_stage / timedelta(days=1)
        yield f"no exposure was logged since the stage began {days:.1f} days ago; is traffic routed, and does its log arrive"


SILENCE = timedelta(hours=1)
"""Time without a single exposure below which a stage that just began is not called silent."""


def _stopped(data: CanaryData, plan: Plan, now: datetime) -> Iterator[str]:
    """Traffic that came and no longer comes: the numbers stand still, and nothing else would say so."""
    if plan.outcome_window is None or data.last_matured_at is None:
        return
    gap = now - plan.outcome_window - data.last_matured_at
    if gap >= STOPPED:
        newest, days = f"{data.last_matured_at:%Y-%m-%d %H:%M} UTC", gap / timedelta(days=1)
        yield f"nothing new has matured for {days:.1f} days, last of {newest}; is traffic routed, does its log arrive"


STOPPED = timedelta(days=1)
"""Time without a newly matured exposure from which on a look warns."""


def _harm(judged: Judgement) -> Iterator[str]:
    yield from (one.message for one in judged.results if one.state is MeasureState.WORSE)
    yield from (f"{name}: {one.message}" for name, one in judged.guarded if one.state is MeasureState.WORSE)


def _matured(data: CanaryData) -> timedelta:
    if data.first_traffic_at is None or data.last_matured_at is None:
        return timedelta(0)
    return max(data.last_matured_at - data.first_traffic_at, timedelta(0))


def _again_at(plan: Plan, streaks: Streaks, upcoming: datetime | None, now: datetime) -> datetime | None:
    """When the next look is due at the latest: to confirm harm, as a planned one, or when the grace of missing data ends."""
    moments = [upcoming] if upcoming else []
    if streaks.harm_looks:
        moments.append(confirmation_due(streaks, plan, now))
    if streaks.unusable_since is not None and plan.missing_fallback == "roll_back":
        moments.append(streaks.unusable_since + plan.missing_grace)
    return min((moment for moment in moments if moment > now), default=None)
