"""Traffic files of closed days merged into one a day, a bounded number at a time. It may be interrupted anywhere and repeated.

A day is closed when it is over for :data:`OPEN_FOR` and no active toggle looks at it. In this order, each step durable before the
next: the merged file under a hidden name, a marker, the merged file under its name (from here on it counts and its files do not),
an hour later the files are removed, and the marker last.
"""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import polars as pl

from retrain_assets.compute.merged_traffic import MERGED, STAYS, marker_of, members, write_merged
from retrain_assets.contract import first_line
from retrain_assets.home import Home
from retrain_assets.release import ModelState
from retrain_assets.release.projection import file_lock
from retrain_assets.release.retention import watched_from
from retrain_assets.serving.directories import synchronised_directory
from retrain_assets.serving.exposure_log import ExposureLog

OPEN_FOR = timedelta(days=2)
"""How long after its end a day may still get rows as a matter of course."""
FILES_AT_ONCE = 2000
"""Files merged in one call at most, besides those of the day that passes it: what a tick of upkeep may cost."""


WORTH_MERGING = 200
"""Files of closed days that are not worth a merge yet."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What one call did.

    Args:
        merged: the merged files it made.
        files: how many files went into them.
        removed: files of earlier merged ones that it removed.
        unread: files that cannot be read, with why; they stay.
    """

    merged: tuple[Path, ...] = ()
    files: int = 0
    removed: int = 0
    unread: tuple[str, ...] = ()


def compact_traffic(
    home: Home, state: ModelState, now: datetime, *, worth: int = WORTH_MERGING, at_once: int = FILES_AT_ONCE
) -> Compacted:
    """Merge the files of a model's closed days, and remove those whose merged file has stood for an hour.

    Args:
        home: where the traffic is.
        state: the model's; what its active toggle looks at is left alone.
        now: the clock's time.
        worth: how many files of a kind have to be there for it.
        at_once: how many files to merge at most, besides those of the day that passes it.

    Raises:
        OSError: when the disk refuses; what was there counts as before.
    """
    until = min(now - OPEN_FOR, watched_from(state, now)).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    log, done = ExposureLog(home), Compacted()
    for kind in ("exposures", "outcomes"):
        directory = log.directory(state.model, kind)
        if not directory.is_dir():
            continue
        with file_lock(home.traffic_cache_dir(state.model) / f"{kind}.merging.lock"):
            removed = settle(directory)
            merged, files, unread = _merged(_days(log, state.model, kind, until), worth, at_once - done.files)
        done = Compacted((*done.merged, *merged), done.files + files, done.removed + removed, (*done.unread, *unread))
        if done.files >= at_once:
            break
    return done


def settle_whole(home: Home, model: str, kind: str) -> None:
    """:func:`settle` at once, for a reader that takes whole folders, and never while another process merges there."""
    with file_lock(home.traffic_cache_dir(model) / f"{kind}.merging.lock"):
        settle(ExposureLog(home).directory(model, kind), at_once=True)


def settle(directory: Path, *, at_once: bool = False) -> int:
    """Remove files whose merged one counts for an hour already, or at once, and what an interrupted call left; gives how many.

    Args:
        directory: the folder of exposures or of outcomes.
        at_once: also of merged files made just now, for a reader that takes whole folders.
    """
    removed = 0
    for marker in sorted(directory.glob(".merged.*.merging")):
        merged = directory / marker.name.removeprefix(".").removesuffix(".merging")
        if merged.exists():
            if not at_once and marker.stat().st_mtime > time.time() - STAYS:
                continue
            for member in members(merged):
                with suppress(FileNotFoundError):
                    (directory / member.name).unlink()
                    removed += 1
            synchronised_directory(directory)
        marker.unlink(missing_ok=True)
    for scratch in directory.glob(".merged.*.tmp"):
        scratch.unlink(missing_ok=True)
    return removed


def _merged(days: dict[str, list[Path]], worth: int, at_once: int) -> tuple[list[Path], int, list[str]]:
    made: list[Path] = []
    files, unread = 0, list[str]()
    if sum(map(len, days.values())) < worth:
        return made, files, unread
    for day, several in sorted(days.items()):
        if files >= at_once:
            break
        alike: dict[str, list[Path]] = defaultdict(list)
        for path in several:
            try:
                alike[repr(pl.read_parquet_schema(path))].append(path)
            except (OSError, pl.exceptions.PolarsError) as error:
                unread.append(f"{path}: {first_line(error)}")
        for paths in alike.values():
            if len(paths) > 1:
                made.append(_merge(day, paths))
                files += len(paths)
    return made, files, unread


def _days(log: ExposureLog, model: str, kind: str, until: datetime) -> dict[str, list[Path]]:
    """By day the files whose last row is of it, by name; those that are merged already, and a day's only one, left out."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path, last in log.files_with_last(model, kind):
        if last < until and not MERGED.fullmatch(path.name):
            found[f"{last:%Y-%m-%d}"].append(path)
    return {day: sorted(paths) for day, paths in found.items() if len(paths) > 1}


def _merge(day: str, paths: list[Path]) -> Path:
    directory = paths[0].parent
    named = sha256("\n".join(f"{path.name} {path.stat().st_mtime_ns}" for path in paths).encode()).hexdigest()[:12]
    merged = directory / f"merged.{day}.{named}.parquet"
    scratch = directory / f".{merged.name}.tmp"
    write_merged(paths, scratch)
    (directory / marker_of(merged.name)).touch()
    synchronised_directory(directory)
    scratch.replace(merged)
    synchronised_directory(directory)
    return merged
