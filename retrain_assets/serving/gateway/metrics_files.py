"""Where the workers of one gateway keep what they count, so that any of them can tell the sum; and which workers still live.

They are kept in memory where the system has a folder for that: ``prometheus_client`` writes through memory maps, which ends the
process, whatever it is doing, when the disk below has no room for the page.

Nothing here imports ``prometheus_client``: it chooses its way of counting when it is imported, by the variable set here.
"""

from __future__ import annotations

import fcntl
import hashlib
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

MEMORY = Path("/dev/shm")

RESERVED = {"counter": 64, "histogram": 256, "gauge_liveall": 64, "gauge_livesum": 64, "gauge_livemax": 64}
"""Kibibytes for each kind of metric and worker, there from its start on: 64 label sets of a histogram, hundreds of others."""

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
    root, prefix = _place(home)
    with file_lock(home.root / "cache" / ".metrics.lock"):
        root.mkdir(parents=True, exist_ok=True)
        for left in root.glob(f"{prefix}*"):
            if left.is_dir() and left.stat().st_uid == os.getuid() and not _is_held(left / "gateway.lock"):
                shutil.rmtree(left)
        path = root / f"{prefix}{os.getpid()}-{uuid4().hex[:8]}"
        path.mkdir(mode=0o700)
        folder = MetricsFolder(path, _hold(path / "gateway.lock"))
    os.environ[VARIABLE] = str(path)
    return folder


def hold_as_worker(folder: Path) -> TextIOWrapper:
    """Mark this process as a living worker until it ends, or closes what this gives."""
    return _hold(folder / f"worker_{os.getpid()}.lock")


def reserve(folder: Path) -> None:
    """Take the room that what this process counts needs, before ``prometheus_client`` does without looking.

    Raises:
        OSError: there is none.
    """
    for kind, kibibytes in RESERVED.items():
        with (folder / f"{kind}_{os.getpid()}.db").open("a") as file:
            os.posix_fallocate(file.fileno(), 0, kibibytes * 1024)


def dead_workers(folder: Path) -> list[int]:
    """Process ids of workers that have ended and whose live gauges still stand there."""
    shown = {int(found[1]) for file in folder.iterdir() if (found := _LIVE.fullmatch(file.name))}
    return [pid for pid in shown - {os.getpid()} if not _is_held(folder / f"worker_{pid}.lock")]


def _place(home: Home) -> tuple[Path, str]:
    """The folder in which gateways of a home have theirs, and how the names of these begin."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
        return MEMORY, f"retrain-{hashlib.sha256(os.fsencode(home.root.resolve())).hexdigest()[:16]}-"
    return home.root / "cache" / "metrics", ""


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
