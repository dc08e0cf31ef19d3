"""Who is promoted and who is rolled back at which look: the engine, and the rules people use instead."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from benchmarks.study.ramps import Floats, Ramp, Runs
from retrain_assets.experiment import MeasureSpec, MeasureState, Plan, judge

Flags = NDArray[np.bool_]
NEVER = -1
ALPHA = 0.025


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Per run and look: shown better, shown worse."""

    better: Flags
    worse: Flags

    @property
    def found(self) -> Flags:
        """Runs that are shown better at some look."""
        return np.asarray(self.better.any(axis=1))


def first_look(flags: Flags) -> NDArray[np.int64]:
    """The first look at which something holds in each run; ``NEVER`` where it does not."""
    return np.where(flags.any(axis=1), flags.argmax(axis=1), NEVER)


def plan_for(ramp: Ramp, *, measures: tuple[MeasureSpec, ...] = (), planned_units: int | None = None) -> Plan:
    """A plan with the ramp's stages, tuned to the units its information is worth at the share of its last stage."""
    return Plan(
        measures=measures,
        alpha=ALPHA,
        planned_units=planned_units or int(clock_units(ramp)),
        ramp=tuple(ramp.label(stage) for stage in range(len(ramp.shares))),
        min_units=30,
        min_duration=timedelta(0),
        max_duration=timedelta(days=365),
        max_missing_outcomes=0.2,
    )


def clock_units(ramp: Ramp) -> float:
    """Units at the last stage's share that hold as much information as the whole ramp."""
    information = float(np.sum(np.asarray(ramp.units) * ramp.share_of * (1 - ramp.share_of)))
    return information / (ramp.shares[-1] * (1 - ramp.shares[-1]))


SUCCESS = MeasureSpec("measure", "success", "increase", is_share=False)


SCREEN = 1.0
"""Standard errors below which a difference is not handed to ``judge`` in the runs after the first ``UNSCREENED``."""

UNSCREENED = 50
"""Runs of each batch of which every look is judged; there a difference below ``SCREEN`` must decide nothing."""


def engine(runs: Runs, plan: Plan, spec: MeasureSpec = SUCCESS) -> Verdicts:
    """What ``judge`` says at every look of every run.

    No rule that errs in 2.5 % decides on a difference of less than a standard error, and two looks in three have one: they are
    left out, but for the first runs and where a covariate makes another difference of it.

    Raises:
        AssertionError: when the engine does decide on such a difference.
    """
    better = np.zeros(runs.n.shape[:2], dtype=bool)
    worse = np.zeros_like(better)
    adjusted = set(runs.columns) - {"value", "per"}
    large = np.full(better.shape, True) if adjusted else np.abs(stratified_z(runs)) >= SCREEN
    for run in range(len(runs)):
        wanted = large[run] | (run < UNSCREENED)
        for look, statistics in runs.looks(run, wanted):
            state = judge(spec, statistics, plan).state
            better[run, look], worse[run, look] = state is MeasureState.BETTER, state is MeasureState.WORSE
    assert not ((better | worse) & ~large).any(), "the engine decides on a difference of less than a standard error"
    return Verdicts(better, worse)


@dataclass(frozen=True, slots=True)
class Compared:
    """Two arms at every look of every run: means, variances of the means' units, units. Arms are the last axis.

    A ratio is linearised: its mean is the ratio and its variance that of (value - ratio x per) / mean of per.
    """

    mean: Floats
    variance: Floats
    n: Floats

    @property
    def difference(self) -> Floats:
        """Challenger minus champion."""
        return np.asarray(self.mean[..., 1] - self.mean[..., 0])

    @property
    def squared_error(self) -> Floats:
        """Variance of the difference."""
        return np.asarray((self.variance / self.n).sum(axis=-1))

    @property
    def z(self) -> Floats:
        """The difference in standard errors, 0 where nothing varies."""
        return _z(self.difference, self.squared_error)


def compared(runs: Runs, which: str) -> Compared:
    """The arms ``pooled`` over stages, or in the ``stage`` of the look alone (earlier stages thrown away)."""
    n, sums = runs.n.astype(float), runs.sums
    if which == "pooled":
        n, sums = runs.ramp.pooled(n), runs.ramp.pooled(sums)
    n = np.maximum(n, 1e-9)
    k = len(runs.columns)
    if "per" in runs.columns:
        ratio, per = sums[..., 0] / np.maximum(sums[..., 1], 1e-9), sums[..., 1] / n
        squares = sums[..., k] - 2 * ratio * sums[..., k + 1] + ratio**2 * sums[..., k + 2]
        return Compared(ratio, squares / np.maximum(n - 1, 1) / np.maximum(per, 1e-9) ** 2, n)
    mean = sums[..., 0] / n
    return Compared(mean, np.maximum(sums[..., k] - n * mean**2, 0) / np.maximum(n - 1, 1), n)


def stratified_z(runs: Runs) -> Floats:
    """The difference inside strata, weighted by information, in standard errors: right, if it is looked at once."""
    one = compared(runs, "stage")
    weight = 1 / np.maximum((1 / one.n).sum(axis=-1), 1e-9)
    weighted, squared = weight * one.difference, weight**2 * one.squared_error
    pooled = runs.ramp.pooled
    return _z(pooled(weighted), pooled(squared))


def peeking(z: Floats) -> Verdicts:
    """A one-sided test at 2.5 % at every look, as if it were the only one."""
    limit = float(ndtri(1 - ALPHA))
    return Verdicts(z > limit, z < -limit)


def once(z: Floats) -> Verdicts:
    """The same at the last look alone."""
    verdicts = peeking(z)
    last = np.zeros(z.shape[1], dtype=bool)
    last[-1] = True
    return Verdicts(verdicts.better & last, verdicts.worse & last)


def share(flags: Flags) -> tuple[float, float]:
    """Share of runs, and its Monte Carlo standard error (that of one run more where the share is 0 or 1)."""
    runs = len(flags)
    found = float(flags.mean())
    smoothed = (float(flags.sum()) + 0.5) / (runs + 1)
    return found, math.sqrt(smoothed * (1 - smoothed) / runs)


def _z(difference: Floats, squared_error: Floats) -> Floats:
    return np.divide(difference, np.sqrt(squared_error), out=np.zeros_like(difference), where=squared_error > 0)
