"""``python -m retrain_assets_tests.ledger.crowd URL PROCESSES APPENDS``: so many processes append at once, each its own numbers.

Run as a process of its own, because it forks before anything else happens. Prints how long each process waited at most.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime

from retrain_assets.ledger import SYSTEM, EventDraft, EventKind, Ledger


def main(url: str, processes: int, appends: int) -> int:
    """Exit status 0 where every process appended all of its events."""
    children = []
    for number in range(processes):
        if not (child := os.fork()):
            os._exit(_append(url, f"process_{number}", appends))
        children.append(child)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


def _append(url: str, name: str, appends: int) -> int:
    ledger, longest = Ledger(url), 0.0
    for number in range(appends):
        started = time.monotonic()
        ledger.append(EventDraft(datetime(2013, 7, 1, tzinfo=UTC), SYSTEM, EventKind.AUDIT_RECORDED, name, f"{number}"))
        longest = max(longest, time.monotonic() - started)
    sys.stdout.write(f"{name} {longest:.3f}\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
