"""Part 1: challengers without any effect, a ramp 5/25/50 and a baseline that drifts. Who is promoted, who is rolled back?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.peers import PeerMissing
from benchmarks.study import peers
from benchmarks.study.batches import Setting, in_batches
from benchmarks.study.decisions import Decided, decide_runs
from benchmarks.study.latency import Latency, engine_on, simulate_latency
from benchmarks.study.laws import Conversion, Law, Revenue, RevenuePerSession, simulate
from benchmarks.study.ramps import Ramp, Runs
from benchmarks.study.returning import Returning, simulate_returning
from benchmarks.study.rules import Compared, Verdicts, compared, engine, once, peeking, plan_for, share, stratified_z

RAMP = Ramp((0.05, 0.25, 0.5), (25, 25, 50), (400,) * 100, (1.0, 1.1, 1.2))
"""100 looks, 40,000 units; the baseline drifts 5 -> 5.5 -> 6 %."""

LATENCY_RAMP = Ramp(RAMP.shares, (5, 5, 10), (1_000,) * 20, RAMP.levels)
"""20 looks: requests are drawn one by one."""

METRICS: tuple[Law, ...] = (Conversion(0.05), Revenue(0.05), RevenuePerSession())
OURS = "this engine"
DECISION = "this engine, whole decision"
PLANNED = "this engine, 5 planned looks"
OUR_RULES = (OURS, DECISION, PLANNED)


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """How often one rule errs on one metric.

    ``promoted``: shown better at some look in the last stage, where a promotion can be asked for. ``rolled_back``: shown worse at
    some look. Both with their Monte Carlo standard errors; None with ``missing`` saying why where a rule could not run.
    """

    metric: str
    rule: str
    runs: int
    promoted: float | None = None
    promoted_error: float | None = None
    rolled_back: float | None = None
    rolled_back_error: float | None = None
    missing: str = ""


def no_effect(setting: Setting) -> list[ErrorRow]:
    """Every rule on every metric, on the same simulated canaries."""
    rows: list[ErrorRow] = []
    for number, law in enumerate(METRICS):
        rows += _rows(law.name, in_batches(partial(_once_only, law), setting.runs, setting, seed=(1, number)))
    rows += _rows(Returning().name, in_batches(_returning, setting.slow_runs, setting, seed=(1, 8)))
    rows += _latency(setting)
    return rows + _decisions(setting)


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch: our verdicts, and what the other rules are given."""

    ours: Verdicts
    stratified: np.ndarray
    pooled: Compared
    stage: Compared


def _once_only(law: Law, rng: np.random.Generator, runs: int) -> Batch:
    return _batch(simulate(law, RAMP, rng, runs))


def _returning(rng: np.random.Generator, runs: int) -> Batch:
    return _batch(simulate_returning(Returning(), RAMP, rng, runs))


def _batch(runs: Runs) -> Batch:
    return Batch(engine(runs, plan_for(RAMP)), stratified_z(runs), compared(runs, "pooled"), compared(runs, "stage"))


def _rows(metric: str, batches: list[Batch]) -> list[ErrorRow]:
    z = np.concatenate([one.stratified for one in batches])
    pooled, stage = (
        Compared(*(np.concatenate([getattr(getattr(one, which), name) for one in batches]) for name in ("mean", "variance", "n")))
        for which in ("pooled", "stage")
    )
    ours = Verdicts(*(np.concatenate([getattr(one.ours, name) for one in batches]) for name in ("better", "worse")))
    rules: list[tuple[str, Callable[[], Verdicts]]] = [
        (OURS, lambda: ours),
        ("t-test at every look, stages pooled", lambda: peeking(pooled.z)),
        ("t-test at every look, stages stratified", lambda: peeking(z)),
        ("t-test once at the end, stages pooled", lambda: once(pooled.z)),
        ("gbstats sequential, stages pooled", lambda: peers.gbstats(pooled)),
        ("gbstats sequential, last stage alone", lambda: _in_last_stage(peers.gbstats(stage))),
        ("spotify-confidence sequential, stages pooled", lambda: peers.spotify_confidence(pooled)),
        ("spotify-confidence sequential, last stage alone", lambda: _last_stage_alone(stage)),
        ("GrowthBook “do no harm” (ship unless worse)", lambda: peers.do_no_harm(peers.gbstats(pooled))),
    ]
    return [_row(metric, name, rule, RAMP) for name, rule in rules]


def _row(metric: str, name: str, rule: Callable[[], Verdicts], ramp: Ramp) -> ErrorRow:
    try:
        verdicts = rule()
    except PeerMissing as missing:
        return ErrorRow(metric, name, 0, missing=str(missing))
    promoted = np.asarray((verdicts.better & ramp.last_stage).any(axis=1))
    return ErrorRow(metric, name, len(promoted), *share(promoted), *share(np.asarray(verdicts.worse.any(axis=1))))


def _in_last_stage(verdicts: Verdicts) -> Verdicts:
    """A new phase at each step of the ramp, as GrowthBook advises: only the last one is read."""
    return Verdicts(verdicts.better & RAMP.last_stage, verdicts.worse & RAMP.last_stage)


def _last_stage_alone(stage: Compared) -> Verdicts:
    last = RAMP.last_stage
    found = peers.spotify_confidence(Compared(stage.mean[:, last], stage.variance[:, last], stage.n[:, last]))
    better, worse = np.zeros(stage.n.shape[:2], dtype=bool), np.zeros(stage.n.shape[:2], dtype=bool)
    better[:, last], worse[:, last] = found.better, found.worse
    return Verdicts(better, worse)


def _latency(setting: Setting) -> list[ErrorRow]:
    batches = in_batches(_latency_batch, setting.part(0.5).slow_runs, setting, seed=(1, 9))
    ours = Verdicts(*(np.concatenate([getattr(one[0], name) for one in batches]) for name in ("better", "worse")))
    z = np.concatenate([one[1] for one in batches])
    return [
        _row(Latency().name, OURS, lambda: ours, LATENCY_RAMP),
        _row(Latency().name, "requests above the champion's p95, tested at every look, pooled", lambda: peeking(z), LATENCY_RAMP),
    ]


def _latency_batch(rng: np.random.Generator, runs: int) -> tuple[Verdicts, np.ndarray]:
    traced = [simulate_latency(Latency(), LATENCY_RAMP, rng) for _ in range(runs)]
    return engine_on(traced, plan_for(LATENCY_RAMP)), np.array([one.naive_z for one in traced])


def _decisions(setting: Setting) -> list[ErrorRow]:
    rows = []
    for number, (name, planned) in enumerate(((DECISION, 0), (PLANNED, 5))):
        work = partial(decide_runs, RAMP, Conversion(0.05), 0.0, planned)
        batches: list[list[Decided]] = in_batches(work, setting.part(0.5).slow_runs, setting, seed=(1, 20 + number))
        ends = [one for batch in batches for one in batch]
        promoted, rolled_back = (np.array([one.action == action for one in ends]) for action in ("ask_approval", "roll_back"))
        rows.append(ErrorRow("conversion", name, len(ends), *share(promoted), *share(rolled_back)))
    return rows
