"""The thread that seals: segments of this process when they are full or old, and those of processes that ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from retrain_assets.contract import SourceError, first_line
from retrain_assets.home import Home
from retrain_assets.serving.journal.sealing import FAULTS, seal
from retrain_assets.serving.journal.segment import Segment, journal_directories, orphans
from retrain_assets.serving.journal.tally import Tally

_LONGEST_PAUSE = 600.0


@dataclass(slots=True)
class Refusal:
    """A segment that could not be sealed.

    Args:
        again: when it is tried again, on the monotonic clock.
        pause: for how long it is left alone.
        disk: whether the disk refused; then it is tried again as soon as another segment could be sealed.
    """

    again: float
    pause: float
    disk: bool


class Sealer:
    """Seals one segment after the other; what cannot be sealed stays and is tried again, ever more rarely.

    Args:
        home: where the traffic is.
        tally: what is told of it.
        every: how often it looks for segments of processes that ended.
    """

    def __init__(self, home: Home, tally: Tally, *, every: timedelta) -> None:
        self._home = home
        self._tally = tally
        self._every = every.total_seconds()
        self._queue: SimpleQueue[tuple[str, Segment] | None] = SimpleQueue()
        self._held: dict[Segment, str] = {}
        self._refused: dict[Path, Refusal] = {}
        self._closing = False
        self._thread = Thread(target=self._run, name="journal sealing", daemon=True)
        self._thread.start()

    def put(self, model: str, segment: Segment) -> None:
        """Take a segment that is written."""
        self._held[segment] = model
        self._queue.put((model, segment))

    def held(self) -> list[Segment]:
        """The segments taken and not sealed yet."""
        return list(self._held)

    def close(self) -> None:
        """Seal what was taken; returns when that is done."""
        self._closing = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            if time.monotonic() >= due and not self._closing:
                self._round()
                due = time.monotonic() + self._every
            try:
                taken = self._queue.get(timeout=max(due - time.monotonic(), 0))
            except Empty:
                continue
            if taken is None:
                self._seal_held()
                return
            self._seal(*taken)

    def _round(self) -> None:
        self._seal_held()
        self._forget_gone()
        try:
            self._seal_orphans()
        except OSError as fault:
            self._tally.fault("orphans", f"{fault.filename}: segments of the journal cannot be looked through ({fault.strerror})")
        else:
            self._tally.well("orphans")

    def _seal_held(self) -> None:
        """Those that could neither be sealed nor given up."""
        for segment, model in list(self._held.items()):
            if segment.path in self._refused:
                self._seal(model, segment)

    def _forget_gone(self) -> None:
        for path in [path for path in self._refused if not path.exists()]:
            del self._refused[path]
            self._tally.well(_about(path))

    def _seal_orphans(self) -> None:
        """Raises OSError for a segment that cannot be opened, once its model's others are sealed."""
        now = time.monotonic()
        not_yet = {path for path, refused in self._refused.items() if refused.again > now}
        for model, directory in journal_directories(self._home.traffic_dir):
            for segment in orphans(directory, without=not_yet):
                if self._closing:
                    segment.release()
                    return
                self._seal(model, segment)

    def _seal(self, model: str, segment: Segment) -> None:
        about, path = _about(segment.path), segment.path
        try:
            sealed = seal(self._home, model, segment)
        except FAULTS as fault:
            self._tally.fault(about, f"{path}: cannot be sealed, its rows are kept there; {first_line(fault)}")
            before = self._refused.get(path)
            pause = min(2 * before.pause, _LONGEST_PAUSE) if before else self._every
            self._refused[path] = Refusal(time.monotonic() + pause, pause, disk=not isinstance(fault, SourceError))
            self._release(segment)
            return
        self._held.pop(segment, None)
        self._refused.pop(path, None)
        for refused in self._refused.values():
            if refused.disk:
                refused.again = 0
        self._tally.well(about)
        self._tally.sealed(sealed.rows, sealed.repeated, sealed.shadow_unjoined, sealed.damaged)

    def _release(self, segment: Segment) -> None:
        try:
            segment.release()
        except OSError:
            return
        self._held.pop(segment, None)


def _about(path: Path) -> str:
    return f"sealing {path}"
