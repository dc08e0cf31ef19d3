"""How much memory this process held at most while something ran."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""What proc(5) wants written to clear_refs to set the high-water mark back to the memory in use."""


@dataclass(slots=True)
class PeakMemory:
    """A peak in MiB, and what it covers: ``fit`` (the measured work) or ``process`` (everything since its start)."""

    mb: float | None = None
    of: str | None = None


@contextmanager
def peak_memory() -> Iterator[PeakMemory]:
    """The peak of this process's resident memory while the block runs; filled in when the block ends.

    It is all the process holds, not only what the block asked for: data loaded before is in it, and so is what other threads
    hold; child processes and swapped-out pages are not. On Linux the kernel's high-water mark is set back first, so that nothing
    before counts. Where that is not possible, it is the high-water mark since the process began, which may stem from earlier
    work: an upper bound (``of`` is ``process``). Where the system has none (Windows), ``mb`` stays None. Source: proc(5),
    clear_refs and VmHWM; getrusage(2), ru_maxrss.
    """
    peak = PeakMemory()
    alone = _set_back()
    try:
        yield peak
    finally:
        peak.mb = _high_water_mb() if alone else _since_start_mb()
        peak.of = None if peak.mb is None else "fit" if alone else "process"


def _set_back() -> bool:
    try:
        _RESET.write_text(_RESET_PEAK)
    except OSError:
        return False
    return _high_water_mb() is not None


def _high_water_mb() -> float | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), None)


def _since_start_mb() -> float | None:
    try:
        import resource
    except ImportError:
        return None
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
