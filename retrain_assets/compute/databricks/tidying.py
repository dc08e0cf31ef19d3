"""The housekeeping of the volume, run there by a job of its own: orders of runs long ended are removed, results never."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from retrain_assets.compute.places import is_on_volume, located
from retrain_assets.contract import RetrainError, StageError, parse_duration

USAGE = "usage: retrain-tidy /Volumes/CATALOG/SCHEMA/VOLUME OLDER_THAN, such as 30d"
SHORTEST = timedelta(days=1)
"""A run may take hours; nothing younger than this is removed, whatever is asked."""


def tidy(volume: str, older_than: timedelta, now: float) -> list[str]:
    """Remove the orders below a volume's folder in which nothing was written for some time.

    Orders hold requests, Pipes contexts and messages. Results lie beside them, below ``stages``, and stay.

    Args:
        volume: the contract's ``compute.databricks.volume``.
        older_than: how long nothing was written.
        now: seconds since the epoch, by the clock of the file system.

    Returns:
        The removed orders as ``MODEL/RETRAIN/ORDER``, sorted.

    Raises:
        StageError: when the folder is not there, or the time is shorter than a run may take.
    """
    if older_than < SHORTEST:
        raise StageError("would remove orders of runs under way", where="OLDER_THAN", remedy="write 1d or more")
    if not is_on_volume(volume) or not located(volume).is_dir():
        raise StageError("is no folder of a volume", where=volume, remedy="write compute.databricks.volume of the contract")
    orders, limit = located(volume) / "orders", now - older_than.total_seconds()
    gone = sorted(order for order in orders.glob("*/*/*") if order.is_dir() and _last_written(order) < limit)
    for order in gone:
        shutil.rmtree(order)
    return [str(order.relative_to(orders)) for order in gone]


def console() -> None:
    """The entry point ``retrain-tidy VOLUME OLDER_THAN``."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Tidy and say what was removed; gives the exit code."""
    try:
        volume, older_than = arguments
        gone = tidy(volume, parse_duration(older_than), time.time())
    except RetrainError as error:
        sys.stderr.write(f"{error.line}\n")
        return 1
    except ValueError as error:
        sys.stderr.write(f"{USAGE} ({error})\n")
        return 2
    sys.stdout.write(f"{len(gone)} order{'s'[: len(gone) != 1]} removed\n" + "".join(f"{order}\n" for order in gone))
    return 0


def _last_written(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
