"""Many runs in batches on two processes: each batch has a seed of its own, so results do not depend on who computes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from typing import Any, TypeVar

import numpy as np

SEED = 20261123
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Setting:
    """How much is simulated.

    Args:
        name: ``short`` for every day, ``full`` for the page.
        runs: runs where a run is cheap.
        slow_runs: runs where units or requests are drawn one by one.
        batch: runs in a batch.
        processes: processes that share the batches; 1 computes them here.
    """

    name: str
    runs: int
    slow_runs: int
    batch: int
    processes: int

    def part(self, share: float) -> Setting:
        """The same with a share of the runs."""
        return Setting(self.name, max(int(self.runs * share), 1), max(int(self.slow_runs * share), 1), self.batch, self.processes)


FULL = Setting("full", 20_000, 2_000, 500, 2)
SHORT = Setting("short", 100, 24, 50, 1)


def in_batches(
    work: Callable[[np.random.Generator, int], Found], runs: int, setting: Setting, *, seed: Sequence[int]
) -> list[Found]:
    """What ``work`` finds in each batch, given a random generator and a number of runs; in the order of the batches."""
    sizes = [min(setting.batch, runs - done) for done in range(0, runs, setting.batch)]
    tasks: list[Any] = [(work, (SEED, *seed, number), size) for number, size in enumerate(sizes)]
    if setting.processes == 1:
        return [_one(task) for task in tasks]
    return list(_pool(setting.processes).map(_one, tasks))


@cache
def _pool(processes: int) -> ProcessPoolExecutor:
    """One pool for all parts: starting a process takes seconds."""
    return ProcessPoolExecutor(max_workers=processes, mp_context=get_context("spawn"))


def _one(task: tuple[Callable[[np.random.Generator, int], Found], tuple[int, ...], int]) -> Found:
    work, seed, runs = task
    return work(np.random.default_rng(seed), runs)
