"""Part 2: how often a real effect is found by the size at which a fixed-size test finds it in 80 %."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.special import ndtri

from benchmarks.peers import PeerMissing
from benchmarks.study import peers
from benchmarks.study.batches import Setting, in_batches
from benchmarks.study.laws import Conversion, Law, WithCovariate, simulate, without_covariates
from benchmarks.study.ramps import Ramp, Runs
from benchmarks.study.rules import ALPHA, SUCCESS, Compared, compared, engine, once, plan_for, share
from retrain_assets.experiment import MeasureState, judge
from retrain_assets.experiment.estimation.group_sequential import Spending, boundaries, spent
from retrain_assets.experiment.estimation.measures import PlannedBoundary

LOOKS = 100
PLANNED = 5
RELATIVE = 0.10
BASE = 0.05
MULTIPLES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""Effects of the power curves, in multiples of the effect the experiment is sized for."""

_PART = {0.0: 1.0, 1.0: 4.0}
"""Part of the setting's runs, where it is not the eighth a curve needs."""

FIXED = "fixed-size test at the end"
ANYTIME = "this engine, any look"
PLANNED_LOOKS = "this engine, 5 planned looks"
WITH_COVARIATE = ", with the covariate"


@dataclass(frozen=True, slots=True)
class PowerRow:
    """How often a rule finds an effect by the planned size.

    Args:
        metric: what is measured.
        rule: who judges.
        multiple: the true effect over the one the experiment is sized for; 0 is none.
        runs: simulated experiments.
        power: share that the rule calls better.
        error: its Monte Carlo standard error.
        missing: why it could not run.
    """

    metric: str
    rule: str
    multiple: float
    runs: int
    power: float | None = None
    error: float | None = None
    missing: str = ""


def fixed_size(law: Law, effect: float) -> int:
    """Units of both arms, half on each, at which a one-sided test at 2.5 % finds a relative effect with 80 %."""
    variance = law.variance(1.0) + law.variance(1 + effect)
    return _even(2 * _needed() ** 2 * variance / (law.mean(1 + effect) - law.mean(1.0)) ** 2)


def normal_units(effect: float) -> int:
    """The same for values of standard deviation 1 and an absolute effect."""
    return _even(4 * _needed() ** 2 / effect**2)


NORMAL_EFFECT = 0.1


def power(setting: Setting) -> list[PowerRow]:
    """Power curves of conversion, and of a normal value with a covariate of correlation 0.7."""
    rows: list[PowerRow] = []
    ramp = even_ramp(fixed_size(Conversion(BASE), RELATIVE))
    for number, multiple in enumerate(MULTIPLES):
        setting_here = setting.part(_PART.get(multiple, 0.125))
        work = partial(_conversion, ramp, RELATIVE * multiple)
        found = _joined(in_batches(work, setting_here.slow_runs, setting, seed=(2, number)))
        rows += _rows("conversion", multiple, found, total=int(ramp.total[-1]))
    ramp = even_ramp(normal_units(NORMAL_EFFECT))
    for number, multiple in enumerate(MULTIPLES):
        setting_here = setting.part(_PART.get(multiple, 0.125))
        work = partial(_normal, ramp, NORMAL_EFFECT * multiple)
        found = _joined(in_batches(work, setting_here.slow_runs, setting, seed=(2, 100 + number)))
        rows += _rows("normal value, covariate of correlation 0.7", multiple, found, total=None)
    return rows


def even_ramp(units: int, looks: int | None = None) -> Ramp:
    """One stage at 50 % with equal units before each look, ``LOOKS`` of them by default."""
    looks = looks or LOOKS
    ends = np.round(np.linspace(0, units, looks + 1)).astype(int)
    return Ramp.single(tuple(np.diff(ends).tolist()))


@dataclass(frozen=True, slots=True)
class Part:
    """One batch: which runs each of our rules called better, and what the peers are given."""

    better: dict[str, np.ndarray]
    given: Compared


def _conversion(ramp: Ramp, effect: float, rng: np.random.Generator, runs: int) -> Part:
    return _part(simulate(Conversion(BASE), ramp, rng, runs, effect=effect))


def _normal(ramp: Ramp, effect: float, rng: np.random.Generator, runs: int) -> Part:
    adjusted = simulate(WithCovariate(), ramp, rng, runs, effect=effect)
    plain = _part(without_covariates(adjusted))
    better = {ANYTIME + WITH_COVARIATE: _anytime(adjusted), PLANNED_LOOKS + WITH_COVARIATE: planned_looks(adjusted)}
    return Part({**plain.better, **better}, plain.given)


def _part(runs: Runs) -> Part:
    given = compared(runs, "stage")
    better = {FIXED: once(given.z).found, ANYTIME: _anytime(runs), PLANNED_LOOKS: planned_looks(runs)}
    return Part(better, given)


def _anytime(runs: Runs) -> np.ndarray:
    return engine(runs, plan_for(runs.ramp)).found


def planned_looks(runs: Runs, looks: int = PLANNED) -> np.ndarray:
    """Runs that ``judge`` calls better at one of the planned looks, with O'Brien-Fleming-like spending of 2.5 %."""
    places = [round(place) - 1 for place in np.linspace(0, len(runs.ramp.units), looks + 1)[1:]]
    plan = plan_for(runs.ramp)
    plan = replace(plan, looks=tuple(plan.max_duration * (number + 1) / looks for number in range(looks)))
    spending = spent(Spending.OBRIEN_FLEMING, [(number + 1) / looks for number in range(looks)], ALPHA)
    found = np.zeros(len(runs), dtype=bool)
    taken = np.zeros(len(runs.ramp.units), dtype=bool)
    taken[places] = True
    for run in range(len(runs)):
        information = runs.n[run, places].prod(axis=1) / runs.n[run, places].sum(axis=1)
        limits = boundaries(np.round(information / information[-1], 3).tolist(), spending)
        for number, ((_, statistics), z) in enumerate(zip(runs.looks(run, taken), limits, strict=True), start=1):
            result = judge(SUCCESS, statistics, plan, planned=PlannedBoundary(number, z))
            found[run] |= result.state is MeasureState.BETTER
    return found


def _joined(parts: list[Part]) -> Part:
    better = {name: np.concatenate([one.better[name] for one in parts]) for name in parts[0].better}
    mean, variance, n = (np.concatenate([getattr(one.given, name) for one in parts]) for name in ("mean", "variance", "n"))
    return Part(better, Compared(mean, variance, n))


def _rows(metric: str, multiple: float, found: Part, *, total: int | None) -> list[PowerRow]:
    rows = [PowerRow(metric, name, multiple, len(one), *share(one)) for name, one in found.better.items()]
    if total is None:
        return rows
    rules: list[tuple[str, Callable[[], np.ndarray]]] = [
        ("gbstats sequential, as delivered (tuned to 5,000)", lambda: peers.gbstats(found.given).found),
        ("gbstats sequential, tuned to the size", lambda: peers.gbstats(found.given, tuning=total).found),
        ("spotify-confidence sequential, 100 looks", lambda: peers.spotify_confidence(found.given).found),
    ]
    for name, rule in rules:
        try:
            flags = rule()
            rows.append(PowerRow(metric, name, multiple, len(flags), *share(flags)))
        except PeerMissing as missing:
            rows.append(PowerRow(metric, name, multiple, 0, missing=str(missing)))
    return rows


def _needed() -> float:
    return float(ndtri(1 - ALPHA) + ndtri(0.8))


def _even(units: float) -> int:
    return 2 * int(np.ceil(units / 2))
