"""Single canaries look by look, for a plot: the interval, the true effect, and the first looks at which other rules would act."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.study.batches import SEED, Setting
from benchmarks.study.laws import Conversion, simulate
from benchmarks.study.no_effect import RAMP
from benchmarks.study.rules import SUCCESS, compared, peeking, plan_for
from retrain_assets.experiment import judge

EFFECTS = (0.0, 0.25, -0.25)


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One look of one canary: relative change in the conversion rate with its limits, and the pooled change with a t interval."""

    effect: float
    look: int
    stage: str
    units: int
    estimate: float | None
    lower: float | None
    upper: float | None
    state: str
    pooled: float | None
    pooled_lower: float | None
    pooled_upper: float | None
    pooled_better: bool


def traces(setting: Setting) -> list[TraceRow]:
    """One canary without an effect, one with a gain and one with a harm of 25 %; the baseline drifts as in part 1."""
    del setting
    return [row for number, effect in enumerate(EFFECTS) for row in _trace(effect, np.random.default_rng((SEED, 5, number)))]


def _trace(effect: float, rng: np.random.Generator) -> list[TraceRow]:
    runs = simulate(Conversion(0.05), RAMP, rng, 1, effect=effect)
    plan = plan_for(RAMP)
    pooled = compared(runs, "pooled")
    wins = peeking(pooled.z).better[0]
    rows = []
    for look, statistics in runs.looks(0):
        found = judge(SUCCESS, statistics, plan)
        base = float(pooled.mean[0, look, 0])
        difference, error = float(pooled.difference[0, look]), float(np.sqrt(pooled.squared_error[0, look]))
        change, low, high = ((difference + k * error) / base if base else None for k in (0.0, -1.96, 1.96))
        rows.append(
            TraceRow(
                effect,
                look + 1,
                RAMP.label(int(RAMP.stage_of[look])),
                int(RAMP.total[look]),
                found.relative_estimate,
                found.relative_lower,
                found.relative_upper,
                found.state.value,
                change,
                low,
                high,
                bool(wins[look]),
            )
        )
    return rows
