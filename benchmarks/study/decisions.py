"""Whole canaries through ``analyse``: a success measure, a guardrail, health, harm confirmed by a second look, planned looks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.study.laws import Conversion, Law, simulate
from benchmarks.study.ramps import FIRST_REVISION, Ramp, Runs
from benchmarks.study.rules import SUCCESS, plan_for
from retrain_assets.experiment import Action, ArmCounts, CanaryData, Look, MeasureSpec, Plan, StageCounts, analyse

ARMED = datetime(2026, 7, 1, tzinfo=UTC)
EVERY = timedelta(hours=6)
GUARDRAIL = MeasureSpec("error", "guardrail", "decrease", margin=0.005)
ERRORS = Conversion(0.01, name="error")
ENDS = (Action.ASK_APPROVAL, Action.ROLL_BACK, Action.REJECT)


@dataclass(frozen=True, slots=True)
class Decided:
    """How a canary ended: the action, and the units of both arms it had seen; ``hold`` when nothing ended it."""

    action: str
    units: int


def decision_plan(ramp: Ramp, planned_looks: int) -> Plan:
    """A success measure and a guardrail; planned looks are spread over the last stage."""
    plan = replace(plan_for(ramp, measures=(SUCCESS, GUARDRAIL)), harm_looks=2)
    if not planned_looks:
        return plan
    looks = len(ramp.stage_of)
    first = looks - int(ramp.looks[-1] * 0.9) if len(ramp.looks) > 1 else looks // planned_looks
    at = sorted({round(place) for place in np.linspace(first, looks, planned_looks)})
    return replace(plan, looks=tuple(EVERY * place for place in at))


def decide_runs(ramp: Ramp, law: Law, effect: float, planned_looks: int, rng: np.random.Generator, runs: int) -> list[Decided]:
    """How canaries end whose success measure has the law and the relative effect; their guardrail is not touched."""
    counts = ramp.draw_counts(rng, runs)
    value = simulate(law, ramp, rng, runs, effect=effect, counts=counts)
    errors = simulate(ERRORS, ramp, rng, runs, counts=counts)
    plan = decision_plan(ramp, planned_looks)
    return [_decide(ramp, value, errors, plan, run) for run in range(runs)]


def _decide(ramp: Ramp, value: Runs, errors: Runs, plan: Plan, run: int) -> Decided:
    before: Look | None = None
    for (look, one), (_, other) in zip(value.looks(run), errors.looks(run), strict=True):
        now = ARMED + EVERY * (look + 1)
        stage = int(ramp.stage_of[look])
        data = CanaryData(
            stages=tuple(_counts(ramp, value, run, place, look) for place in range(stage + 1)),
            measures={SUCCESS.name: one, GUARDRAIL.name: other},
            first_traffic_at=ARMED,
            last_matured_at=now,
        )
        before = analyse(
            data,
            plan,
            stage=ramp.label(stage),
            revision=FIRST_REVISION + stage,
            stage_started_at=_started(ramp, stage),
            armed_at=ARMED,
            now=now,
            before=before,
        )
        if before.action in ENDS:
            return Decided(before.action.value, int(ramp.total[look]))
    return Decided(Action.HOLD.value, int(ramp.total[-1]))


def _counts(ramp: Ramp, value: Runs, run: int, stage: int, look: int) -> StageCounts:
    at = min(look, int(ramp.ends[stage]))
    champion, challenger = (ArmCounts(n, n, n) for n in value.n[run, at].tolist())
    return StageCounts(FIRST_REVISION + stage, ramp.label(stage), ramp.shares[stage], champion, challenger, _started(ramp, stage))


def _started(ramp: Ramp, stage: int) -> datetime:
    return ARMED + EVERY * int(sum(ramp.looks[:stage]))
