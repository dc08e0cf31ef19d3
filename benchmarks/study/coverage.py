"""Part 4: how often limits miss the true effect, at one look and at any look, from 200 to a million units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks.study.batches import Setting, in_batches
from benchmarks.study.latency import P95, Latency, simulate_latency
from benchmarks.study.laws import Conversion, Law, Revenue, RevenuePerSession, WithCovariate, simulate
from benchmarks.study.ramps import Ramp
from benchmarks.study.rules import SUCCESS, plan_for, share
from retrain_assets.experiment import MeasureSpec, Plan, judge
from retrain_assets.experiment.estimation.statistics import MeasureStatistics

SIZES = (200, 1_000, 10_000, 100_000, 1_000_000)
LATENCY_SIZES = (200, 1_000, 10_000)
LOOKS = 20
EFFECT = 0.10
NORMAL_EFFECT = 0.1
LAWS: tuple[tuple[Law, str], ...] = (
    (Conversion(0.05), "conversion 5 %"),
    (Conversion(0.001), "conversion 0.1 %"),
    (Conversion(0.995), "conversion 99.5 %"),
    (WithCovariate(), "normal, adjusted for a covariate"),
    (Revenue(0.05), "revenue, 95 % zeros"),
    (Revenue(0.01, scale=1.5), "revenue, 99 % zeros, heavier tail"),
    (RevenuePerSession(), "revenue per session (ratio)"),
)


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """How often each limit of one measure misses the true effect at one size of experiment (50/50, tuned to that size).

    Args:
        metric: the measure.
        units: units of both arms at the last look.
        share: share of the challenger.
        runs: simulated experiments.
        claimed: share of them in which an interval is claimed at the last look.
        lower_last: share whose lower limit is above the true effect at the last look.
        upper_last: share whose upper limit is below it there.
        lower_ever: the same at any of the looks.
        upper_ever: the same at any of the looks.
        error: Monte Carlo standard error of a share at the stated level of 2.5 %.
        methods: share of the claimed intervals at the last look that are exact bounds.
        width: median distance of the limits at the last look, over the true mean (a normal value: its standard deviation).
    """

    metric: str
    units: int
    share: float
    runs: int
    claimed: float
    lower_last: float
    upper_last: float
    lower_ever: float
    upper_ever: float
    error: float
    exact: float
    width: float | None


def coverage(setting: Setting) -> list[CoverageRow]:
    """Every law at every size; with the challenger at 50 %, at some also at 5 %."""
    rows = []
    for number, (law, name) in enumerate(LAWS):
        for place, units in enumerate(SIZES):
            for share_of in (0.5, 0.05) if units in (1_000, 100_000) else (0.5,):
                runs = setting.part(0.5).slow_runs if units < 1_000_000 else setting.part(0.125).slow_runs
                work = partial(_means, law, units, share_of)
                rows.append(
                    _row(name, units, share_of, in_batches(work, runs, setting, seed=(4, number, place, int(100 * share_of))))
                )
    for place, units in enumerate(LATENCY_SIZES):
        runs = setting.part(0.25 if units < 10_000 else 0.125).slow_runs
        work_latency = partial(_latencies, units)
        rows.append(_row("latency p95", units, 0.5, in_batches(work_latency, runs, setting, seed=(4, 50, place))))
    return rows


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits less the true effect at each look of each run (NaN: none claimed); whether exact at the last; width at the last."""

    lower: np.ndarray
    upper: np.ndarray
    exact: np.ndarray
    width: np.ndarray


def looks_of(units: int) -> Ramp:
    """Looks at geometrically growing sizes, the first at 40 units (or a fifth of the units)."""
    ends = np.unique(np.round(np.geomspace(min(40, units / 5), units, LOOKS)).astype(int))
    return Ramp.single(tuple(np.diff(ends, prepend=0).tolist()))


def _ramp(units: int, share_of: float) -> Ramp:
    even = looks_of(units)
    return Ramp((share_of,), even.looks, even.units, even.levels)


def _means(law: Law, units: int, share_of: float, rng: np.random.Generator, runs: int) -> Limits:
    ramp = _ramp(units, share_of)
    effect = NORMAL_EFFECT if isinstance(law, WithCovariate) else EFFECT if law.mean(1.0) < 0.9 or law.mean(1.0) > 1 else -EFFECT
    simulated = simulate(law, ramp, rng, runs, effect=effect)
    truth = law.mean(1 + effect) - law.mean(1.0)
    scale = law.mean(1.0)
    plan, spec = plan_for(ramp, planned_units=units), replace(SUCCESS, is_share=isinstance(law, Conversion))
    return _joined([_limits(spec, [one for _, one in simulated.looks(run)], plan, truth, scale) for run in range(runs)])


def _latencies(units: int, rng: np.random.Generator, runs: int) -> Limits:
    law, ramp = Latency(), _ramp(units, 0.5)
    truth = law.true_quantile(1 + EFFECT) - law.true_quantile(1.0)
    plan = plan_for(ramp, planned_units=units)
    simulated = (simulate_latency(law, ramp, rng, effect=EFFECT).statistics for _ in range(runs))
    return _joined([_limits(P95, statistics, plan, truth, law.true_quantile(1.0)) for statistics in simulated])


def _limits(
    spec: MeasureSpec, looks: list[MeasureStatistics] | tuple[MeasureStatistics, ...], plan: Plan, truth: float, scale: float
) -> Limits:
    results = [judge(spec, one, plan) for one in looks]
    lower = np.array([np.nan if one.lower is None else one.lower - truth for one in results])
    upper = np.array([np.nan if one.upper is None else one.upper - truth for one in results])
    return Limits(lower, upper, np.array(results[-1].method == "exact"), np.array((upper[-1] - lower[-1]) / scale))


def _joined(parts: list[Limits]) -> Limits:
    return Limits(*(np.stack([getattr(one, name) for one in parts]) for name in ("lower", "upper", "exact", "width")))


def _row(name: str, units: int, share_of: float, parts: list[Limits]) -> CoverageRow:
    lower, upper, exact, width = (
        np.concatenate([getattr(one, field) for one in parts]) for field in ("lower", "upper", "exact", "width")
    )
    claimed = np.isfinite(lower[:, -1]) | np.isfinite(upper[:, -1])
    with np.errstate(invalid="ignore"):
        missed = {"lower": lower > 0, "upper": upper < 0}
    usable = width[np.isfinite(width)]
    return CoverageRow(
        metric=name,
        units=units,
        share=share_of,
        runs=len(lower),
        claimed=share(claimed)[0],
        lower_last=float(missed["lower"][:, -1].mean()),
        upper_last=float(missed["upper"][:, -1].mean()),
        lower_ever=float(missed["lower"].any(axis=1).mean()),
        upper_ever=float(missed["upper"].any(axis=1).mean()),
        error=float(np.sqrt(0.025 * 0.975 / len(lower))),
        exact=float(exact[claimed].mean()) if claimed.any() else 0.0,
        width=float(np.median(usable)) if len(usable) else None,
    )
