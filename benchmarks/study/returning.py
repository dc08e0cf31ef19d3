"""Units that come back in every stage: strata share units, and a unit's mean moves as its requests mature."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.ramps import Counts, Floats, Ramp, Runs, Shared


@dataclass(frozen=True, slots=True)
class Returning:
    """A fixed population that returns in every stage; units differ strongly in how often their requests end well.

    Args:
        population: units.
        activity: chance of a request of a unit between two looks.
        rate: mean share of good requests of a unit.
        spread: concentration of the units' own rates (Beta); small means that units differ much.
    """

    population: int = 2_000
    activity: float = 0.1
    rate: float = 0.05
    spread: float = 2.0
    name: str = "returning units"


def simulate_returning(law: Returning, ramp: Ramp, rng: np.random.Generator, runs: int, *, effect: float = 0.0) -> Runs:
    """Runs of a ramp over one population each. A unit once on the challenger stays there as the ramp grows."""
    looks = len(ramp.stage_of)
    n, sums = np.zeros((runs, looks, 2), dtype=np.int64), np.zeros((runs, looks, 2, 2))
    first_n, first_sum = np.zeros_like(n), np.zeros((runs, looks, 2))
    pairs = [(early, late) for early, late in combinations(range(len(ramp.shares)), 2)]
    arms = ((0, 0), (0, 1), (1, 1))
    shared = np.zeros((len(pairs), len(arms), runs, looks, 4))
    for run in range(runs):
        values, members = _population(law, ramp, rng, effect)
        seen = np.zeros(law.population, dtype=bool)
        for stage, (mean, come) in enumerate(values):
            inside = ramp.stage_of == stage
            for arm in (0, 1):
                mine = members[stage] == arm
                n[run, inside, arm] = come[mine].sum(axis=0)
                sums[run, inside, arm, 0] = mean[mine].sum(axis=0)
                sums[run, inside, arm, 1] = (mean[mine] ** 2).sum(axis=0)
                new = mine & ~seen
                first_n[run, inside, arm] = come[new].sum(axis=0)
                first_sum[run, inside, arm] = mean[new].sum(axis=0)
            seen |= come[:, -1]
        for place, (early, late) in enumerate(pairs):
            for kind, (before, after) in enumerate(arms):
                both = (members[early] == before) & (members[late] == after)
                shared[place, kind, run] = _in_both(ramp, values[early], values[late], both, late)
    overlaps = tuple(
        Shared((early, before), (late, after), shared[place, kind])
        for place, (early, late) in enumerate(pairs)
        for kind, (before, after) in enumerate(arms)
    )
    return Runs(ramp, n, sums, np.zeros_like(n), first=(first_n, first_sum), shared=overlaps)


def _population(
    law: Returning, ramp: Ramp, rng: np.random.Generator, effect: float
) -> tuple[list[tuple[Floats, NDArray[np.bool_]]], list[Counts]]:
    """Per stage the units' means so far and whether they came (units x looks of the stage), and the units' arms."""
    bucket = rng.random(law.population)
    own = rng.beta(law.rate * law.spread, (1 - law.rate) * law.spread, law.population)
    values, members = [], []
    for share, looks, level in zip(ramp.shares, ramp.looks, ramp.levels, strict=True):
        arm = (bucket < share).astype(np.int64)
        chance = np.minimum(own * level * np.where(arm, 1 + effect, 1.0), 1.0)
        requests = rng.random((law.population, looks)) < law.activity
        good = requests & (rng.random((law.population, looks)) < chance[:, None])
        count, total = requests.cumsum(axis=1), good.cumsum(axis=1)
        values.append((total / np.maximum(count, 1), count > 0))
        members.append(arm)
    return values, members


def _in_both(
    ramp: Ramp,
    early: tuple[Floats, NDArray[np.bool_]],
    late: tuple[Floats, NDArray[np.bool_]],
    both: NDArray[np.bool_],
    stage: int,
) -> Floats:
    """Sums over units that came in both stages, at every look: nothing before the later stage, its end after it."""
    first, came = early[0][both, -1][:, None], early[1][both, -1][:, None]
    second, comes = late[0][both], late[1][both]
    here = came & comes
    rows = np.stack([here.sum(0), (first * here).sum(0), (second * here).sum(0), (first * second * here).sum(0)], axis=-1)
    found = np.zeros((len(ramp.stage_of), 4))
    inside = np.flatnonzero(ramp.stage_of == stage)
    found[inside] = rows
    found[inside[-1] + 1 :] = rows[-1]
    return found
