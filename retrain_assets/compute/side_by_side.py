"""Work done side by side where cores allow, with results that do not depend on how many did it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timed(Generic[T]):
    """A result and the seconds of wall clock it took."""

    value: T
    seconds: float


def timed(task: Callable[[], T]) -> Timed[T]:
    """Run a task and take its time."""
    started = time.perf_counter()
    value = task()
    return Timed(value, time.perf_counter() - started)


def side_by_side(tasks: Sequence[Callable[[], T]], workers: int) -> list[Timed[T]]:
    """Results of the tasks, in their order; each is started only when one of the workers is free.

    Args:
        tasks: functions that do not depend on each other. They run in threads, so they are faster together only where they leave
            Python's lock: LightGBM does, scikit-learn's trees do, pure Python does not. With one worker they run one after the
            other in the calling thread.
        workers: tasks at the same time, at least 1; see :func:`workers_for`.

    Raises:
        Exception: what the first task, in the order of the tasks, raised; all have ended by then, those after it may not have
            been started.
    """
    if workers <= 1 or len(tasks) <= 1:
        return [timed(task) for task in tasks]
    with ThreadPoolExecutor(min(workers, len(tasks)), thread_name_prefix="side by side") as pool:
        futures = [pool.submit(timed, task) for task in tasks]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def workers_for(threads: int) -> int:
    """How many fits of so many threads fit on the cores this process may use (affinity and container quota), at least 1."""
    return max(1, usable_cores() // max(1, threads))


def usable_cores() -> int:
    """Cores this process may use: the machine's, less what affinity or a container's quota takes away."""
    from joblib import cpu_count  # type: ignore[import-untyped]

    return int(cpu_count())
