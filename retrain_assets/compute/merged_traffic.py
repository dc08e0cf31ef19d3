"""Traffic files of a closed day merged into one: what it holds, which files of a folder count, how they are taken out again.

The merged file says itself, in its Parquet metadata, what it was made of. Its files stay beside it for a while, for whoever reads
them just then; a marker beside both says so, and :func:`counting` leaves them out: no row is ever counted twice, or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import polars as pl

from retrain_assets.contract import SourceError, first_line

MERGED = re.compile(r"merged\.\d{4}-\d\d-\d\d\.[0-9a-f]{12}\.parquet")
STAYS = 3600.0
"""Seconds that the files of a merged one stay beside it: longer than any look takes."""

_KEY = "retrain_assets.members/1"


@dataclass(frozen=True, slots=True)
class Member:
    """A file that went into a merged one.

    Args:
        name: its name.
        rows: how many rows it had; they stand together, in their order.
        mtime_ns: when it was written, in nanoseconds since 1970.
        digest: ``sha256:…`` of the file.
        requests: SHA-256 of its sorted request ids, of outcomes with their times.
    """

    name: str
    rows: int
    mtime_ns: int
    digest: str
    requests: str


def counting(directory: Path) -> list[os.DirEntry[str]]:
    """The Parquet files of a folder that count, by name: all but those that a merged one there holds.

    Raises:
        SourceError: naming a merged file that does not say what it holds.
    """
    try:
        with os.scandir(directory) as found:
            entries = sorted(found, key=lambda one: one.name)
    except FileNotFoundError:
        return []
    names = {one.name for one in entries}
    files = [one for one in entries if one.name.endswith(".parquet") and not one.name.startswith(".")]
    young = time.time() - STAYS
    held: set[str] = set()
    for one in files:
        if MERGED.fullmatch(one.name) and (marker_of(one.name) in names or one.stat().st_mtime > young):
            held.update(member.name for member in members(directory / one.name))
    return [one for one in files if one.name not in held]


def marker_of(name: str) -> str:
    """Name of the marker that is there while a merged file is made and its members are still beside it."""
    return f".{name}.merging"


def members(path: Path) -> tuple[Member, ...]:
    """What a merged file holds, in the order of its rows.

    Raises:
        SourceError: when it does not say so.
    """
    told = path.stat()
    return _members(str(path), told.st_size, told.st_mtime_ns)


def holding(directory: Path, name: str) -> tuple[Path, Member] | None:
    """The merged file of a folder that holds a file of some name, and what it says of it."""
    for path in sorted(directory.glob("merged.*.parquet")):
        for member in members(path) if MERGED.fullmatch(path.name) else ():
            if member.name == name:
                return path, member
    return None


def write_merged(paths: Iterable[Path], scratch: Path) -> None:
    """Write files of one schema, one after the other, as one merged file; durable when it returns."""
    rows, found = [], []
    for path in paths:
        frame = pl.read_parquet(path, glob=False)
        rows.append(frame)
        digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        found.append(Member(path.name, frame.height, path.stat().st_mtime_ns, digest, requests_digest(frame)))
    pl.concat(rows).write_parquet(scratch, metadata={_KEY: json.dumps([asdict(one) for one in found])})
    with scratch.open("rb") as written:
        os.fsync(written.fileno())


def take_apart(path: Path, folder: Path) -> list[Path]:
    """Write the files that a merged one holds into a folder: their rows in their order, and the time they were written at.

    Raises:
        SourceError: when the file does not say what it holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows, start, made = pl.read_parquet(path, glob=False), 0, []
    for member in members(path):
        made.append(folder / member.name)
        rows[start : start + member.rows].write_parquet(made[-1])
        os.utime(made[-1], ns=(member.mtime_ns, member.mtime_ns))
        start += member.rows
    return made


def requests_digest(rows: pl.DataFrame) -> str:
    """SHA-256 of the sorted request ids, of outcomes with their times: the same batch again has the same."""
    columns = [name for name in ("request_id", "observed_at") if name in rows.columns]
    told = sorted(" ".join(map(str, row)) for row in rows.select(columns).iter_rows())
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


@lru_cache(maxsize=4096)
def _members(path: str, _size: int, _mtime_ns: int) -> tuple[Member, ...]:
    try:
        return tuple(Member(**one) for one in json.loads(pl.read_parquet_metadata(path)[_KEY]))
    except (pl.exceptions.PolarsError, KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"it does not say which files it holds ({first_line(error)})", where=path, remedy="restore it from a backup"
        ) from error
