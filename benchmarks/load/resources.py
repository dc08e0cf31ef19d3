"""Memory and open files of a server's workers, looked at once a second."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.load.running import Running

EVERY_SECONDS = 1.0
MB = 1e6


class Resources:
    """What was seen: one row a look, one column a worker."""

    def __init__(self, workers: list[int]) -> None:
        self.workers = workers
        self.seconds = 0.0
        self._memory: list[list[float]] = []
        self._files: list[list[float]] = []

    def look(self) -> None:
        """Look once."""
        page = os.sysconf("SC_PAGE_SIZE")
        memory = [int(Path(f"/proc/{one}/statm").read_text().split()[1]) * page / MB for one in self.workers]
        files = [float(len(os.listdir(f"/proc/{one}/fd"))) for one in self.workers]  # noqa: PTH208 (counts, a path each costs more)
        self._memory.append(memory)
        self._files.append(files)

    @property
    def memory_mb(self) -> npt.NDArray[np.float64]:
        """(looks, workers) resident memory."""
        return np.array(self._memory)

    @property
    def files(self) -> npt.NDArray[np.float64]:
        """(looks, workers) open file descriptors."""
        return np.array(self._files)

    def thirds(self, samples: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """(workers,) medians of the middle third and of the last; the first third is for warming up."""
        third = len(samples) // 3
        return np.median(samples[third : 2 * third], axis=0), np.median(samples[2 * third :], axis=0)


@contextmanager
def watched(server: Running) -> Iterator[Resources]:
    """Look at a server's workers until the end of the block."""
    resources, over, begun = Resources(server.workers), threading.Event(), time.monotonic()

    def watch() -> None:
        while not over.wait(EVERY_SECONDS):
            resources.look()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield resources
    finally:
        over.set()
        watcher.join()
        resources.seconds = time.monotonic() - begun
