"""Requests with latencies, units as clusters: the p95 of two arms, as the engine's own histograms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from benchmarks.study.ramps import ARMS, FIRST_REVISION, Floats, Ramp
from benchmarks.study.rules import Verdicts
from retrain_assets.experiment import MeasureSpec, MeasureState, Plan, judge
from retrain_assets.experiment.estimation.quantiles import RequestHistogram, bin_of, histograms
from retrain_assets.experiment.estimation.statistics import ArmStatistics, MeasureStatistics, Stratum, StratumStatistics

QUANTILE = 0.95
P95 = MeasureSpec("latency p95", "success", "decrease", quantile=QUANTILE)


@dataclass(frozen=True, slots=True)
class Latency:
    """Log-normal latencies. A unit has 1 to many requests and a speed of its own.

    Args:
        median: of a request's latency, ms.
        between: standard deviation of the units' log speed.
        within: standard deviation of a request's log latency around its unit's.
        mean_requests: mean of a unit's requests (geometric).
    """

    median: float = 80.0
    between: float = 0.5
    within: float = 0.6
    mean_requests: float = 3.0
    name: str = "latency p95"

    def true_quantile(self, level: float, quantile: float = QUANTILE) -> float:
        """The quantile over all requests at a level, ms (units' number of requests does not depend on their speed)."""
        return self.median * level * float(np.exp(np.hypot(self.between, self.within) * ndtri(quantile)))


@dataclass(frozen=True, slots=True)
class Traced:
    """One run at all looks: the engine's statistics, and the arms' requests pooled over stages for the naive rule."""

    statistics: tuple[MeasureStatistics, ...]
    naive_z: Floats


def simulate_latency(law: Latency, ramp: Ramp, rng: np.random.Generator, *, effect: float = 0.0) -> Traced:
    """One run of a ramp with units that come once."""
    counts = ramp.draw_counts(rng, 1)[0]
    cells = counts.size
    units = counts.ravel()
    requests = rng.geometric(1 / law.mean_requests, int(units.sum()))
    cell_of_unit = np.repeat(np.arange(cells), units)
    level = (ramp.level_of[:, None] * np.array([1.0, 1 + effect])).ravel()
    speed = np.log(law.median * level[cell_of_unit]) + rng.normal(0, law.between, len(requests))
    values = np.exp(np.repeat(speed, requests) + rng.normal(0, law.within, int(requests.sum())))
    unit_of = np.repeat(np.arange(len(requests)), requests)
    cell_of = cell_of_unit[unit_of]
    found = histograms(cell_of, unit_of, bin_of(values), cells_in_all=cells)
    return Traced(tuple(_statistics(ramp, counts, found)), _naive_z(values, cell_of, ramp))


def engine_on(traced: list[Traced], plan: Plan) -> Verdicts:
    """What ``judge`` says about the p95 at every look."""
    states = [[judge(P95, one, plan).state for one in run.statistics] for run in traced]
    better = np.array([[state is MeasureState.BETTER for state in run] for run in states])
    return Verdicts(better, np.array([[state is MeasureState.WORSE for state in run] for run in states]))


def _statistics(ramp: Ramp, counts: NDArray[np.int64], found: list[RequestHistogram]) -> list[MeasureStatistics]:
    looks: list[MeasureStatistics] = []
    complete: list[StratumStatistics] = []
    n, held = [0, 0], [RequestHistogram.empty(), RequestHistogram.empty()]
    for look, stage in enumerate(ramp.stage_of.tolist()):
        for arm in range(len(ARMS)):
            n[arm] += int(counts[look, arm])
            held[arm] = held[arm] + found[2 * look + arm]
        arms = [ArmStatistics(n[arm], (0.0,), (0.0,), 0, 0, n[arm], 0.0, held[arm]) for arm in range(len(ARMS))]
        current = StratumStatistics(Stratum(FIRST_REVISION + stage, ramp.label(stage)), arms[0], arms[1])
        looks.append(MeasureStatistics(("value",), (*complete, current)))
        if look == ramp.ends[stage]:
            complete.append(current)
            n, held = [0, 0], [RequestHistogram.empty(), RequestHistogram.empty()]
    return looks


def _naive_z(values: Floats, cell_of: NDArray[np.int64], ramp: Ramp) -> Floats:
    """Requests above the champion's p95 so far, stages pooled and requests taken as independent: what a dashboard tests."""
    z = np.zeros(len(ramp.units))
    look_of, arm_of = cell_of // 2, cell_of % 2
    for look in range(len(ramp.units)):
        here = values[look_of <= look]
        arm = arm_of[look_of <= look]
        champion, challenger = here[arm == 0], here[arm == 1]
        if min(len(champion), len(challenger)) < 30:
            continue
        above = np.quantile(champion, QUANTILE)
        error = np.sqrt(QUANTILE * (1 - QUANTILE) * (1 / len(champion) + 1 / len(challenger)))
        z[look] = ((1 - QUANTILE) - float((challenger > above).mean())) / error
    return z
