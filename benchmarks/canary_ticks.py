"""What a look costs as a canary grows: the last million of requests beside the first, and the most memory it takes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from benchmarks.canary_traffic import FIRST_REAL, NAME, Ramp, aggregated, write_traffic
from benchmarks.contract import canary_contract
from benchmarks.measure import Row, Target, absent, compared
from retrain_assets.compute.canary.batch import Batch
from retrain_assets.compute.canary.terms import Terms
from retrain_assets.compute.canary.ticks import tick

TICKS = 12
MATURED_FROM = 3
"""The first tick in which as many requests mature as come: the outcome window is over. The last one is the tenth such."""
LIMIT_MIB = 1536
STATUS = Path("/proc/self/status")
GROWTH = "CPU time of the tick in which the tenth {part} requests mature, s"
MEMORY = "peak memory of {what}, MiB"


def tick_rows(exposures: int) -> list[Row]:
    """Two series of ticks over real stages: units that come once, and units that return.

    Args:
        exposures: requests of all ticks together.
    """
    rows: list[Row] = []
    for returning, units in ((False, "units that come once"), (True, f"units drawn from {exposures:,}, that return")):
        with TemporaryDirectory() as scratch:
            write_traffic(Path(scratch), exposures, TICKS, FIRST_REAL, returning=returning)
            found = in_own_process("ticks", Path(scratch))
        part = exposures // TICKS
        rows.append(
            compared(
                NAME,
                GROWTH.format(part=f"{part:,}"),
                ours=found["last_s"],
                against=f"the first {part:,}; {units}",
                peer=found["first_s"],
                target=Target(1.25),
                rows=exposures,
                note="one process, three stages; as many rows come and stay open in each of the two ticks",
            )
        )
        rows.append(memory_row(f"{TICKS} ticks, {units}", found, exposures))
    return rows


def memory_row(what: str, found: dict[str, float], exposures: int) -> Row:
    """A row of the most memory a process held, Python and its libraries included."""
    measure = MEMORY.format(what=what)
    if "peak_mib" not in found:
        return absent(NAME, measure, against=f"limit of {LIMIT_MIB:,} MiB", reason=f"this system has no {STATUS}")
    return compared(
        NAME,
        measure,
        ours=found["peak_mib"],
        against=f"limit of {LIMIT_MIB:,} MiB",
        peer=LIMIT_MIB,
        target=Target(1),
        rows=exposures,
        note="VmHWM of a fresh process, mapped files included",
    )


def in_own_process(what: str, folder: Path) -> dict[str, float]:
    """Run ``ticks`` or ``whole`` on the traffic of a folder."""
    command = [sys.executable, "-m", "benchmarks.canary_ticks", what, str(folder)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def _ticks(folder: Path) -> dict[str, float]:
    ramp, took = FIRST_REAL, []
    terms = Terms(canary_contract(), ramp.toggle, ramp.started, ramp.shares, ramp.begin)
    with TemporaryDirectory() as cache:
        for number in range(1, TICKS + 1):
            exposures, outcomes = (
                [Batch(path.name, "1", lambda path=path: pl.scan_parquet(path)) for path in sorted(found)[:number]]  # type: ignore[misc]
                for found in ((folder / kind).glob("*.parquet") for kind in ("exposures", "outcomes"))
            )
            started = time.process_time()
            tick(Path(cache) / "ticks", exposures, outcomes, terms, ramp.begin + ramp.length * (number / TICKS))
            took.append(time.process_time() - started)
    return {"first_s": took[MATURED_FROM - 1], "last_s": took[-1]}


def _peak() -> dict[str, float]:
    """The most memory this process held since it began (its own, not that of the process it was forked from)."""
    if not STATUS.exists():
        return {}
    return {"peak_mib": int(STATUS.read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) / 1024}


def main() -> None:
    """Run what :func:`in_own_process` asks for, and print its figures."""
    what, folder = sys.argv[1], Path(sys.argv[2])
    found = _ticks(folder) if what == "ticks" else {}
    if what == "whole":
        aggregated(folder, Ramp())
    print(json.dumps({**found, **_peak()}))


if __name__ == "__main__":
    main()
