"""Part 3: a challenger that does harm. How often is it shipped, and how many units does it take to roll it back?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.peers import PeerMissing
from benchmarks.study import peers
from benchmarks.study.batches import Setting, in_batches
from benchmarks.study.decisions import Decided, decide_runs
from benchmarks.study.laws import Conversion, Law, Revenue, simulate
from benchmarks.study.power import even_ramp, fixed_size
from benchmarks.study.ramps import Ramp, Runs
from benchmarks.study.rules import ALPHA, NEVER, Compared, compared, engine, first_look, once, peeking, plan_for, share

SIZES = (5_000, 10_000, 40_000, 100_000)
HARM = 0.10
LAWS: tuple[Law, ...] = (Conversion(0.05), Revenue(0.05))
HARMS = (0.10, 0.20, 0.50)
LOOKS = 100
LONGEST = 4
"""Looks go on to this many times the size at which a fixed-size test finds the harm in 80 %."""

OURS = "this engine"
CONFIRMED = "this engine, harm at two looks in a row"


@dataclass(frozen=True, slots=True)
class ShippedRow:
    """What becomes of a challenger that is 10 % worse, by the size of the experiment.

    ``shipped`` and ``rolled_back`` are shares of the runs, the rest is held or rejected; None with ``missing`` saying why.
    """

    metric: str
    rule: str
    units: int
    runs: int
    shipped: float | None = None
    shipped_error: float | None = None
    rolled_back: float | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class DelayRow:
    """Units of both arms until harm is called, 50/50 traffic: quartiles over runs; None where fewer runs than that ever call it.

    ``never`` is the share of runs that do not call it by four times the fixed size, ``false_calls`` the share that call harm at
    the same looks where there is none: a rule that is quick because it cries wolf is not quick.
    """

    metric: str
    harm: float
    fixed_size: int
    rule: str
    runs: int
    lower_quartile: float | None = None
    median: float | None = None
    upper_quartile: float | None = None
    never: float | None = None
    false_calls: float | None = None
    false_calls_error: float | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Harm:
    """Both tables."""

    shipped: list[ShippedRow]
    delays: list[DelayRow]


def harm(setting: Setting) -> Harm:
    """Shares shipped at several sizes of a ramp, and units until roll-back at 50/50."""
    shipped = [
        row
        for number, law in enumerate(LAWS)
        for place, units in enumerate(SIZES)
        for row in _shipped(law, units, setting, (3, number, place))
    ]
    delays = [
        row
        for number, law in enumerate(LAWS)
        for place, size in enumerate(HARMS)
        for row in _delays(law, size, setting, (3, 10 + number, place))
    ]
    return Harm(shipped, delays)


def harm_ramp(units: int) -> Ramp:
    """A ramp 5/25/50 of 40 looks with a steady baseline."""
    return Ramp((0.05, 0.25, 0.5), (10, 10, 20), (units // 40,) * 40, (1.0, 1.0, 1.0))


def _shipped(law: Law, units: int, setting: Setting, seed: tuple[int, ...]) -> list[ShippedRow]:
    ramp = harm_ramp(units)
    rows = []
    for place, (name, planned) in enumerate((("this engine, whole decision", 0), ("this engine, 5 planned looks", 5))):
        work = partial(decide_runs, ramp, law, -HARM, planned)
        parts: list[list[Decided]] = in_batches(work, setting.part(0.25).slow_runs, setting, seed=(*seed, place))
        actions = np.array([one.action for part in parts for one in part])
        shipped, rolled_back = actions == "ask_approval", actions == "roll_back"
        rows.append(ShippedRow(law.name, name, units, len(actions), *share(shipped), float(rolled_back.mean())))
    parts_given: list[Compared] = in_batches(partial(_pooled, law, ramp), setting.part(0.5).slow_runs, setting, seed=(*seed, 2))
    given = _joined(parts_given)
    peeked = peeking(given.z)
    rows.append(
        _ship_row(law, "ship unless a t-test says worse at the end", units, lambda: (~once(given.z).worse, peeked.worse & False))
    )
    rows.append(_ship_row(law, "ship at the first look where a t-test says better", units, lambda: (peeked.better, peeked.worse)))

    def growthbook() -> tuple[np.ndarray, np.ndarray]:
        verdicts = peers.do_no_harm(peers.gbstats(given))
        return verdicts.better, verdicts.worse

    rows.append(_ship_row(law, "GrowthBook “do no harm”, gbstats sequential", units, growthbook))
    return rows


def _ship_row(law: Law, name: str, units: int, rule: Callable[[], tuple[np.ndarray, np.ndarray]]) -> ShippedRow:
    """Shipped at the first look that says so, unless rolled back before; at the last look for the rules that wait."""
    try:
        ships, worse = rule()
    except PeerMissing as missing:
        return ShippedRow(law.name, name, units, 0, missing=str(missing))
    if name.endswith("at the end"):
        shipped = ships[:, -1]
        return ShippedRow(law.name, name, units, len(shipped), *share(shipped), float((~shipped).mean()))
    first, back = first_look(ships), first_look(worse)
    shipped = (first != NEVER) & ((back == NEVER) | (first < back))
    return ShippedRow(law.name, name, units, len(shipped), *share(shipped), float(((back != NEVER) & ~shipped).mean()))


def _pooled(law: Law, ramp: Ramp, rng: np.random.Generator, runs: int) -> Compared:
    return compared(simulate(law, ramp, rng, runs, effect=-HARM), "pooled")


@dataclass(frozen=True, slots=True)
class DelayPart:
    """One batch: the first look at which each of our rules calls harm, and what the others are given."""

    first: dict[str, np.ndarray]
    given: Compared


def _delays(law: Law, size: float, setting: Setting, seed: tuple[int, ...]) -> list[DelayRow]:
    units = fixed_size(law, -size)
    ramp = even_ramp(units * LONGEST, LOOKS)
    calls = _calls(law, ramp, size, -size, units, setting.part(0.5), seed)
    false = _calls(law, ramp, size, 0.0, units, setting.part(0.5), (*seed, 9))
    rows = []
    for name, call in calls.items():
        if isinstance(call, str):
            rows.append(DelayRow(law.name, size, units, name, 0, missing=call))
            continue
        needed = np.where(call == NEVER, np.inf, ramp.total[call])
        wrong = false[name]
        quartiles = np.quantile(needed, [0.25, 0.5, 0.75], method="higher")
        low, median, high = (float(one) if np.isfinite(one) else None for one in quartiles)
        never = float(np.isinf(needed).mean())
        rate = (None, None) if isinstance(wrong, str) else share(wrong != NEVER)
        rows.append(DelayRow(law.name, size, units, name, len(call), low, median, high, never, *rate))
    return rows


def _calls(
    law: Law, ramp: Ramp, size: float, effect: float, units: int, setting: Setting, seed: tuple[int, ...]
) -> dict[str, np.ndarray | str]:
    """By rule the first look of each run at which it calls harm, given the true effect; why, where a rule could not run."""
    parts = in_batches(partial(_delay_part, law, ramp, size, effect, units), setting.slow_runs, setting, seed=seed)
    found: dict[str, np.ndarray | str] = {name: np.concatenate([one.first[name] for one in parts]) for name in parts[0].first}
    given = _joined([one.given for one in parts])
    rules: dict[str, Callable[[], np.ndarray]] = {
        "gbstats sequential, as delivered (tuned to 5,000)": lambda: first_look(peers.gbstats(given).worse),
        "gbstats sequential, tuned to the fixed size": lambda: first_look(peers.gbstats(given, tuning=units).worse),
        "spotify-confidence sequential, planned to the fixed size": lambda: first_look(
            peers.spotify_confidence(_until(given, LOOKS // LONGEST)).worse
        ),
        "t-test at every look": lambda: first_look(peeking(given.z).worse),
    }
    for name, rule in rules.items():
        try:
            found[name] = rule()
        except PeerMissing as missing:
            found[name] = str(missing)
    return found


def _delay_part(law: Law, ramp: Ramp, size: float, effect: float, units: int, rng: np.random.Generator, runs: int) -> DelayPart:
    simulated = simulate(law, ramp, rng, runs, effect=effect)
    given = compared(simulated, "stage")
    worse = engine(simulated, plan_for(ramp, planned_units=units)).worse
    confirmed = worse.copy()
    confirmed[:, 1:] &= worse[:, :-1]
    confirmed[:, 0] = False
    first = {OURS: first_look(worse), CONFIRMED: first_look(confirmed)}
    first["SPRT that knows the effect (best possible on the difference)"] = first_look(_sprt(given, law, -size))
    if isinstance(law, Conversion):
        first["SPRT that knows effect and baseline (best possible)"] = first_look(_sprt_of_events(simulated, law, -size))
    return DelayPart(first, given)


def _sprt(given: Compared, law: Law, effect: float) -> np.ndarray:
    """Wald's sequential test of the known difference against none; it crosses 1 / alpha with probability alpha at most."""
    difference = law.mean(1 + effect) - law.mean(1.0)
    information = np.divide(1, given.squared_error, out=np.zeros_like(given.squared_error), where=given.squared_error > 0)
    ready = given.n.min(axis=-1) >= 30
    ratio = difference * given.difference * information - difference**2 * information / 2
    return np.asarray(ready & (ratio > np.log(1 / ALPHA)))


def _sprt_of_events(simulated: Runs, law: Conversion, effect: float) -> np.ndarray:
    """The same on the challenger's events, when the champion's rate is known too."""
    harmed, events, n = law.rate * (1 + effect), simulated.sums[..., 1, 0], simulated.n[..., 1]
    ratio = events * np.log(harmed / law.rate) + (n - events) * np.log((1 - harmed) / (1 - law.rate))
    return np.asarray(ratio > np.log(1 / ALPHA))


def _until(given: Compared, looks: int) -> Compared:
    return Compared(given.mean[:, :looks], given.variance[:, :looks], given.n[:, :looks])


def _joined(parts: list[Compared]) -> Compared:
    mean, variance, n = (np.concatenate([getattr(one, name) for one in parts]) for name in ("mean", "variance", "n"))
    return Compared(mean, variance, n)
