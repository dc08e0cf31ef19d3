"""A simulated ramp: looks, stages, units; and the sums of many runs of it, handed to the engine look by look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from retrain_assets.experiment.estimation.statistics import (
    Arm,
    ArmStatistics,
    MeasureStatistics,
    Overlap,
    Stratum,
    StratumStatistics,
)

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

ARMS: tuple[Arm, Arm] = ("champion", "challenger")
FIRST_REVISION = 2


@dataclass(frozen=True)
class Ramp:
    """A ramp with a fixed number of looks and units.

    Args:
        shares: the challenger's share in each stage, 0..1.
        looks: looks in each stage.
        units: units of both arms that come between two looks, one number for every look.
        levels: what the baseline is multiplied by in each stage.
    """

    shares: tuple[float, ...]
    looks: tuple[int, ...]
    units: tuple[int, ...]
    levels: tuple[float, ...]

    @classmethod
    def single(cls, units: tuple[int, ...], share: float = 0.5) -> Ramp:
        """One stage with the given units before each look."""
        return cls((share,), (len(units),), units, (1.0,))

    @cached_property
    def stage_of(self) -> Counts:
        """The stage of each look."""
        return np.repeat(np.arange(len(self.shares)), self.looks)

    @cached_property
    def ends(self) -> Counts:
        """The last look of each stage."""
        return np.cumsum(self.looks) - 1

    @property
    def share_of(self) -> Floats:
        """The challenger's share at each look."""
        return np.asarray(self.shares)[self.stage_of]

    @property
    def level_of(self) -> Floats:
        """The baseline's level at each look."""
        return np.asarray(self.levels)[self.stage_of]

    @property
    def total(self) -> Counts:
        """Units of both arms up to each look."""
        return np.cumsum(self.units)

    @property
    def last_stage(self) -> NDArray[np.bool_]:
        """Which looks are in the last stage, where alone a promotion can be asked for."""
        return np.asarray(self.stage_of == len(self.shares) - 1)

    def label(self, stage: int) -> str:
        """The stage's label in a plan."""
        return f"{100 * self.shares[stage]:g}"

    def within_stages(self, increments: NDArray[np.generic]) -> NDArray[np.generic]:
        """Sums over the looks of each stage of what came between two looks; looks are axis 1."""
        parts = np.split(increments, self.ends[:-1] + 1, axis=1)
        return np.concatenate([part.cumsum(axis=1) for part in parts], axis=1)

    def pooled(self, within: Floats) -> Floats:
        """Sums over all looks so far, stages thrown together: what a tool does that knows no stages."""
        before = np.zeros_like(within)
        for stage, end in enumerate(self.ends[:-1]):
            before[:, self.stage_of > stage] += within[:, end : end + 1]
        return within + before

    def draw_counts(self, rng: np.random.Generator, runs: int) -> Counts:
        """Units of each arm that come between two looks, ``runs`` x looks x arms; assignment is by chance."""
        units = np.asarray(self.units)
        challenger = rng.binomial(units, self.share_of, (runs, len(units)))
        return np.stack([units - challenger, challenger], axis=2)


@dataclass(frozen=True, slots=True)
class Shared:
    """Sums over units that are in two cells, for many runs.

    Args:
        first: stage and arm (0 champion, 1 challenger) of the earlier cell.
        second: stage and arm of the later one.
        sums: runs x looks x (n, first sum, second sum, product).
    """

    first: tuple[int, int]
    second: tuple[int, int]
    sums: Floats


@dataclass(frozen=True, slots=True)
class Runs:
    """Sums of one measure over many runs of a ramp, within stages.

    Args:
        ramp: the ramp.
        n: units, runs x looks x arms.
        sums: sums of the k columns, then of their products (upper triangle by rows); runs x looks x arms x (k + k (k + 1) / 2).
        outside: units whose value is not in 0..1, runs x looks x arms.
        columns: names of the columns.
        first: units in their first stage and the sum of their values; by default all.
        shared: units in two cells.
    """

    ramp: Ramp
    n: Counts
    sums: Floats
    outside: Counts
    columns: tuple[str, ...] = ("value",)
    first: tuple[Counts, Floats] | None = None
    shared: tuple[Shared, ...] = field(default=())

    def __len__(self) -> int:
        """Number of runs."""
        return len(self.n)

    def arm(self, run: int, look: int, arm: int) -> ArmStatistics:
        """The engine's statistics of one arm in the stage of a look."""
        k = len(self.columns)
        n, row = int(self.n[run, look, arm]), self.sums[run, look, arm].tolist()
        first_n, first_sum = (
            (n, row[0]) if self.first is None else (int(self.first[0][run, look, arm]), float(self.first[1][run, look, arm]))
        )
        return ArmStatistics(n, tuple(row[:k]), tuple(row[k:]), int(self.outside[run, look, arm]), 0, first_n, first_sum)

    def looks(self, run: int, wanted: NDArray[np.bool_] | None = None) -> Iterator[tuple[int, MeasureStatistics]]:
        """The number of each look of one run, or of those wanted, and what the engine is given there."""
        complete: list[StratumStatistics] = []
        for look, stage in enumerate(self.ramp.stage_of.tolist()):
            if wanted is not None and not wanted[look] and look != self.ramp.ends[stage]:
                continue
            stratum = Stratum(FIRST_REVISION + stage, self.ramp.label(stage))
            current = StratumStatistics(stratum, self.arm(run, look, 0), self.arm(run, look, 1))
            overlaps = tuple(_overlap(one, run, look) for one in self.shared if one.second[0] <= stage and one.sums[run, look, 0])
            if wanted is None or wanted[look]:
                yield look, MeasureStatistics(self.columns, (*complete, current), overlaps)
            if look == self.ramp.ends[stage]:
                complete.append(current)


def _overlap(shared: Shared, run: int, look: int) -> Overlap:
    n, first, second, product = shared.sums[run, look].tolist()
    cells = [(FIRST_REVISION + stage, ARMS[arm]) for stage, arm in (shared.first, shared.second)]
    return Overlap(cells[0], cells[1], int(n), (first,), (second,), (product,))
