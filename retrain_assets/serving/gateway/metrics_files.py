"""Where the workers of one gateway keep what they count, so that any of them can tell the sum; and which workers still live.

Nothing here imports ``prometheus_client``: it chooses its way of counting when it is imported, by the variable set here.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from uuid import uuid4

from retrain_assets.home import Home
from retrain_assets.release.projection import file_lock

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_LIVE = re.compile(r"gauge_live[a-z]*_(\d+)\.db")


@dataclass(frozen=True)
class MetricsFolder:
    """A folder that is its gateway's as long as the process that keeps this value lives."""

    path: Path
    lock: TextIOWrapper

    def close(self) -> None:
        """Take the folder away; the gateway has ended."""
        if os.environ.get(VARIABLE) == str(self.path):
            del os.environ[VARIABLE]
        shutil.rmtree(self.path, ignore_errors=True)
        self.lock.close()


def fresh_metrics_folder(home: Home) -> MetricsFolder:
    """A new folder for the workers about to be started, named to them by ``PROMETHEUS_MULTIPROC_DIR``.

    To be called in the process that starts the workers, and kept there. What gateways that have ended left behind goes; another
    gateway that runs on the same home keeps its own.
    """
    root = home.root / "cache" / "metrics"
    with file_lock(root / ".lock"):
        for left in root.iterdir():
            if left.is_dir() and not _is_held(left / "gateway.lock"):
                shutil.rmtree(left)
        path = root / f"{os.getpid()}-{uuid4().hex[:8]}"
        path.mkdir()
        folder = MetricsFolder(path, _hold(path / "gateway.lock"))
    os.environ[VARIABLE] = str(path)
    return folder


def hold_as_worker(folder: Path) -> TextIOWrapper:
    """Mark this process as a living worker until it ends, or closes what this gives."""
    return _hold(folder / f"worker_{os.getpid()}.lock")


def dead_workers(folder: Path) -> list[int]:
    """Process ids of workers that have ended and whose live gauges still stand there."""
    shown = {int(found[1]) for file in folder.iterdir() if (found := _LIVE.fullmatch(file.name))}
    return [pid for pid in shown - {os.getpid()} if not _is_held(folder / f"worker_{pid}.lock")]


def _hold(path: Path) -> TextIOWrapper:
    file = path.open("a")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _is_held(path: Path) -> bool:
    try:
        with path.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
