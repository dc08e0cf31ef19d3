"""One segment of the journal: a file that one process appends to and holds the lock of while it lives."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from retrain_assets.serving.directories import made_directory, synchronised_directory
from retrain_assets.serving.journal.lines import Columns, Found, read_lines
from retrain_assets.serving.journal.values import TrafficKind

SUFFIX, UNBORN = ".ndjson", ".new"


class Segment:
    """A segment this process holds.

    Args:
        path: the file; its stem is the name of the Parquet files it is sealed to.
        file: its open descriptor, locked.
        end: bytes that were written completely; what stands behind them is not of this journal.
    """

    def __init__(self, path: Path, file: int, end: int) -> None:
        self.path = path
        self.end = end
        self.rows = 0
        self.columns: dict[TrafficKind, Columns] = {}
        self.opened = time.monotonic()
        self._file = file

    @property
    def name(self) -> str:
        """Name of the Parquet files it is sealed to."""
        return self.path.stem

    @classmethod
    def create(cls, directory: Path, at: datetime) -> Segment:
        """A new, empty segment, whose existence survives a loss of power.

        It gets the name others look for only when it is locked, so nobody takes it for an orphan.

        Raises:
            OSError: when the disk refuses.
        """
        made_directory(directory)
        while True:
            path = directory / f"{at:%Y%m%dT%H%M%S}-{uuid4().hex[:16]}{SUFFIX}"
            unborn = path.with_suffix(UNBORN)
            file = os.open(unborn, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
            try:
                if _lock(file) and unborn.exists():
                    unborn.rename(path)
                    synchronised_directory(directory)
                    return cls(path, file, 0)
            except OSError:
                for left in (unborn, path):
                    with suppress(OSError):
                        left.unlink()
                os.close(file)
                raise
            os.close(file)

    @classmethod
    def orphan(cls, path: Path) -> Segment | None:
        """The segment of a process that ended; None if its process lives or somebody else has sealed it."""
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        if _lock(file) and os.fstat(file).st_nlink:
            return cls(path, file, os.fstat(file).st_size)
        os.close(file)
        return None

    def write(self, data: bytes, *, synchronised: bool) -> None:
        """Append all of the data, or leave the segment as it was.

        Args:
            data: complete lines.
            synchronised: whether they must be on the disk when this returns.

        Raises:
            OSError: when the disk refuses.
        """
        try:
            rest, at = memoryview(data), self.end
            while rest:
                written = os.pwrite(self._file, rest, at)
                rest, at = rest[written:], at + written
            if synchronised:
                os.fdatasync(self._file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self.end)
            raise
        self.end += len(data)

    def read(self) -> Found:
        """What it holds.

        Raises:
            OSError: when the disk refuses.
        """
        pieces, at = [], 0
        while at < self.end and (piece := os.pread(self._file, self.end - at, at)):
            pieces.append(piece)
            at += len(piece)
        return read_lines(b"".join(pieces))

    def remove(self) -> None:
        """Delete it and give up its lock.

        Raises:
            OSError: when the disk refuses; the lock is still held.
        """
        self.path.unlink(missing_ok=True)
        os.close(self._file)

    def release(self) -> None:
        """Leave it to whoever seals orphans.

        Raises:
            OSError: when what was never acknowledged cannot be cut off; the lock is still held.
        """
        if os.fstat(self._file).st_size > self.end:
            os.ftruncate(self._file, self.end)
        os.close(self._file)


def orphans(directory: Path, *, without: Collection[Path] = ()) -> Iterator[Segment]:
    """The segments below a directory that no living process holds, the oldest first; each is locked when it is given.

    Files of processes that ended before their segment began are removed.

    Raises:
        OSError: when a file cannot be opened, after all others were given.
    """
    refusals: list[OSError] = []
    for path in (*sorted(directory.glob(f"*{UNBORN}")), *sorted(directory.glob(f"*{SUFFIX}"))):
        if path in without:
            continue
        try:
            found = Segment.orphan(path)
            if found and path.suffix == UNBORN:
                found.remove()
        except OSError as fault:
            refusals.append(fault)
            continue
        if found and path.suffix == SUFFIX:
            yield found
    if refusals:
        raise refusals[0]


def journal_directories(traffic: Path) -> list[tuple[str, Path]]:
    """The models that have a journal, each with its directory."""
    return [(path.parent.name, path) for path in sorted(traffic.glob("*/.journal")) if re.fullmatch(r"\w+", path.parent.name)]


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
