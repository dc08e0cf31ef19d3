"""The ledger's metrics as text: for whoever asks now, and as a file beside the sensors' that a scrape reads without a ledger."""

from __future__ import annotations

import time
from uuid import uuid4

from retrain_assets.home import Home
from retrain_assets.observability import exposed
from retrain_assets.release.door import Door
from retrain_assets.release.metrics import ledger_metrics

FRESH_SECONDS = 300
"""How old the file may be while nothing is recorded: days until an expiry go on all the same."""


def metrics_text(controller: Door) -> str:
    """The metrics of a home's ledger, in Prometheus' text format."""
    states, platform = controller.snapshot()
    head, _ = controller.ledger.head()
    return exposed(ledger_metrics(states, platform, controller.clock.now(), head, controller.ledger.counts()))


def keep_metrics_file(controller: Door, home: Home) -> bool:
    """Write the file anew where something was recorded since, or it is old; gives whether it was.

    Raises:
        OSError: when it cannot be written.
    """
    file, head = home.metrics_dir / "ledger.prom", controller.ledger.head()[0]
    if file.is_file() and time.time() - file.stat().st_mtime < FRESH_SECONDS and _head_in(file.read_text("utf-8")) == head:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}.{uuid4().hex}")
    scratch.write_text(metrics_text(controller), encoding="utf-8")
    scratch.replace(file)
    return True


def _head_in(text: str) -> int:
    line = next((one for one in text.splitlines() if one.startswith("retrain_release_ledger_head ")), " 0")
    return int(float(line.rpartition(" ")[2]))
