"""A process that makes processes which write to a journal, to be killed. Run as a script: imports are paid once.

Reads one JSON object a line: what to write and how. For each a process is forked; its acknowledgements, one a line, are
written to standard output as they come, ``done`` if it came to its end, then ``ended`` once it is gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from retrain_assets.home import Home
from retrain_assets.serving.journal import TrafficJournal
from retrain_assets_tests.serving.journal.rows import MODEL, exposures, outcome


def serve() -> None:
    for line in sys.stdin:
        process = os.fork()
        if not process:
            try:
                asyncio.run(write(**json.loads(line)))
            finally:
                os._exit(0)
        told(f"pid {process}")
        os.waitpid(process, 0)
        told("ended")


async def write(home: str, name: str, *, rotate_rows: int, calls: int | None = None, dies_at: int | None = None) -> None:
    """Six callers write until somebody ends this process, or the given number of calls.

    Args:
        home: the home.
        name: prefix of the requests.
        calls: how many each caller makes; None for no end.
        rotate_rows: rows of a segment.
        dies_at: the process kills itself when it touches the file system for the n-th time.
    """
    if dies_at is not None:
        sys.addaudithook(Death(dies_at, home))
    journal = TrafficJournal(Home(Path(home)), rotate_rows=rotate_rows, rotate_after=timedelta(milliseconds=15))
    await journal.start()

    async def caller(number: int) -> None:
        turn = 0
        while calls is None or turn < calls:
            request = f"{name}-{number}-{turn}"
            durability = "machine" if number % 2 else "process"
            rows = exposures(f"{request}a", f"{request}b", tier="gold" if turn % 2 else None)
            await journal.append(MODEL, "exposures", rows, durability=durability)
            told(f"exposure {request}a", f"exposure {request}b")
            await journal.append(MODEL, "shadow", [{"request_id": f"{request}a", "shadow_score": 0.5}], durability="process")
            await journal.append(MODEL, "outcomes", [outcome(f"{request}a")], durability=durability)
            told(f"outcome {request}a")
            turn += 1

    await asyncio.gather(*(caller(number) for number in range(6)))
    await journal.close()
    told("done")


class Death:
    """Kills this process when it touches its home for the n-th time."""

    def __init__(self, at: int, home: str) -> None:
        self.left = at
        self.home = home

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if event in ("open", "os.rename", "os.remove", "os.mkdir") and str(given[0]).startswith(self.home):
            self.left -= 1
            if self.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)


def told(*lines: str) -> None:
    os.write(1, "".join(f"{line}\n" for line in lines).encode())


if __name__ == "__main__":
    serve()
