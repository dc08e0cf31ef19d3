"""The generator's process: ``python -m benchmarks.load PLAN.json RECORDS.npy``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np
import uvloop

from benchmarks.load.generator import send_all
from benchmarks.load.plan import LoadPlan

if __name__ == "__main__":
    plan, target = Path(sys.argv[1]), Path(sys.argv[2])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        np.save(target, runner.run(send_all(LoadPlan.read(plan))))
