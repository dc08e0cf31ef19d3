"""Many processes append at once and leave one straight chain; nobody waits for long.

With ``RETRAIN_TEST_CROWD=200`` each of the 32 appends 200 times.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from retrain_assets.ledger import Ledger

PROCESSES = 32
APPENDS = int(os.environ.get("RETRAIN_TEST_CROWD", "12"))


def test_32_processes_leave_one_straight_chain_and_no_append_is_lost(url: str) -> None:
    command = [sys.executable, "-m", "retrain_assets_tests.ledger.crowd", url, str(PROCESSES), str(APPENDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2], timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    ledger = Ledger(url)
    assert ledger.verify() == []
    assert ledger.head()[0] == PROCESSES * APPENDS
    found: dict[str, list[str]] = {}
    for event in ledger.events():
        found.setdefault(event.model, []).append(event.reason)
    wanted = [str(number) for number in range(APPENDS)]
    assert found == {f"process_{number}": wanted for number in range(PROCESSES)}
