"""How things are timed and judged: contestants take turns in one process, medians are compared, a ratio meets a target or not."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Work = Callable[[], object]
Clock = Callable[[], float]

wall_seconds: Clock = time.perf_counter
cpu_seconds: Clock = time.process_time
"""CPU time of the whole process: all threads, user and system."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a ratio must be.

    By default the ratio is our cost over the peer's; with ``at_least`` it is the peer's cost over ours, so 20 means 20 times
    faster.
    """

    limit: float
    at_least: bool = False

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"

    def ratio(self, ours: float, peer: float) -> float:
        """The ratio this target speaks of.

        Raises:
            ValueError: for a cost that is not above 0: nothing was measured.
        """
        if not (ours > 0 and peer > 0):
            raise ValueError(f"costs must be above 0, not {ours} and {peer}")
        return peer / ours if self.at_least else ours / peer

    def holds(self, ratio: float) -> bool:
        """Whether a ratio meets the target."""
        return ratio >= self.limit if self.at_least else ratio <= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table and of bench.json.

    Args:
        benchmark: name of the benchmark.
        measure: what was measured, with its unit.
        value: our cost in that unit; None where nothing was measured.
        against: the peer or the limit it is compared with.
        ratio: ours over the peer's, or the peer's over ours where the target says at least; None where nothing was compared.
        target: what the ratio must be, ``≤ 3`` or ``≥ 20``; None where none is set.
        holds: whether it is; None where no target is set or the peer could not run, never a pass.
        rows: size of the input (units, events, exposures, rows).
        note: the peer's own figure, or why there is none.
    """

    benchmark: str
    measure: str
    value: float | None
    against: str
    ratio: float | None
    target: str | None
    holds: bool | None
    rows: int
    note: str

    def to_json(self) -> dict[str, Any]:
        """The row under its field names."""
        return {name: getattr(self, name) for name in self.__slots__}


def compared(
    benchmark: str,
    measure: str,
    *,
    ours: float,
    against: str,
    peer: float,
    rows: int,
    target: Target | None = None,
    note: str = "",
) -> Row:
    """A row of two costs in the same unit; judged where there is a target."""
    ratio = (target or Target(1)).ratio(ours, peer)
    words = [f"{against}: {shown(peer)}", *([note] if note else []), *([] if target else ["no target is set"])]
    return Row(
        benchmark=benchmark,
        measure=measure,
        value=ours,
        against=against,
        ratio=ratio,
        target=str(target) if target else None,
        holds=target.holds(ratio) if target else None,
        rows=rows,
        note="; ".join(words),
    )


def absent(
    benchmark: str,
    measure: str,
    *,
    against: str,
    reason: str,
    target: Target | None = None,
    ours: float | None = None,
    rows: int = 0,
) -> Row:
    """A row whose peer could not run: not judged, and it says why."""
    return Row(benchmark, measure, ours, against, None, str(target) if target else None, None, rows, reason)


def interleaved(
    contestants: Mapping[str, Work], *, rounds: int = 9, seconds: float = 15.0, clock: Clock = wall_seconds
) -> dict[str, float]:
    """Median cost of each contestant, in seconds of the clock.

    All take one turn a round, each round in the opposite order of the one before, after one turn that is not counted. So what
    else the machine does in the meantime falls on all of them alike.

    Args:
        contestants: what to run, by name.
        rounds: most rounds.
        seconds: wall time after which no further round begins; three rounds are always run.
        clock: wall or CPU time.
    """
    for work in contestants.values():
        work()
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    order = list(contestants)
    deadline = wall_seconds() + seconds
    for turn in range(rounds):
        if turn >= 3 and wall_seconds() > deadline:
            break
        for name in order:
            started = clock()
            contestants[name]()
            taken[name].append(clock() - started)
        order.reverse()
    return {name: statistics.median(times) for name, times in taken.items()}


def fresh_process(code: Sequence[str], *, environment: Mapping[str, str] | None = None, directory: str | None = None) -> Work:
    """Work that runs this Python with the given arguments in a process of its own.

    The work raises ``subprocess.CalledProcessError`` where the process fails, with what it printed.
    """

    def run() -> object:
        return subprocess.run(
            [sys.executable, *code],
            check=True,
            capture_output=True,
            cwd=directory,
            env={**os.environ, **(environment or {})},
        )

    return run


def shown(value: float) -> str:
    """A figure with three significant digits, without an exponent below a million."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
