"""The writer of one model: a thread that writes whatever waits in one piece, synchronises it once, and tells all who wait."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from retrain_assets.serving.journal.lines import Columns, together
from retrain_assets.serving.journal.segment import Segment
from retrain_assets.serving.journal.shapes import Shapes, clashing, merged
from retrain_assets.serving.journal.values import LogUnavailable, TrafficKind


@dataclass(slots=True)
class Call:
    """Rows handed over together.

    Args:
        kind: what they are.
        lines: their lines.
        rows: how many.
        columns: kind of each further column.
        synchronised: whether they must be on the disk before they are acknowledged.
        waiter: told when they are written, or why not.
    """

    kind: TrafficKind
    lines: bytes
    rows: int
    columns: Columns
    synchronised: bool
    waiter: asyncio.Future[None] | concurrent.futures.Future[None]


class Lane:
    """Everything of one model that is on its way to the disk.

    Args:
        model: the model.
        directory: where its segments are.
        rotate_after: age at which a segment is given on.
        rotate_rows: rows at which it is.
        full: takes a segment that is written; called from the lane's thread.
        settled: called from the lane's thread after each group with its calls and what went wrong.
    """

    def __init__(
        self,
        model: str,
        directory: Path,
        *,
        rotate_after: timedelta,
        rotate_rows: int,
        full: Callable[[str, Segment], None],
        settled: Callable[[str, list[Call], LogUnavailable | None], None],
    ) -> None:
        self.model = model
        self.shapes = Shapes(model)
        self.segment: Segment | None = None
        self._ended = False
        self._lock = Lock()
        self._directory = directory
        self._rotate_after = rotate_after.total_seconds()
        self._rotate_rows = rotate_rows
        self._full = full
        self._settled = settled
        self._known: dict[TrafficKind, Columns] = {}
        self._queue: SimpleQueue[list[Call] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=f"journal of {model}", daemon=True)
        self._thread.start()

    def put(self, calls: list[Call]) -> None:
        """Hand over calls; they are written together with whatever else waits."""
        with self._lock:
            if not self._ended:
                self._queue.put(calls)
                return
        self._settled(self.model, calls, self._over())

    def close(self) -> None:
        """Write what waits and give the segment on; returns when that is done."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        calls: list[Call] = []
        closing = False
        try:
            while not closing:
                calls, closing = self._next()
                while calls:
                    calls = self._write(calls)
                if self.segment and (closing or self._due(self.segment) <= 0):
                    self._rotate()
        finally:
            with self._lock:
                self._ended = True
            while not self._queue.empty():
                calls += self._queue.get() or []
            if calls:
                self._settled(self.model, calls, self._over())

    def _next(self) -> tuple[list[Call], bool]:
        """All that waits; waits for it until the segment is due."""
        calls: list[Call] = []
        try:
            found = self._queue.get(timeout=max(self._due(self.segment), 0) if self.segment else None)
            while found is not None:
                calls += found
                found = self._queue.get_nowait()
        except Empty:
            return calls, False
        return calls, True

    def _due(self, segment: Segment) -> float:
        return 0 if segment.rows >= self._rotate_rows else segment.opened + self._rotate_after - time.monotonic()

    def _write(self, calls: list[Call]) -> list[Call]:
        """Write the calls that fit the segment's columns, and give the others."""
        group, rest, columns = self._fitting(calls)
        if not group:
            self._rotate()
            return rest
        fault: LogUnavailable | None = None
        try:
            if self.segment is None:
                self.segment = Segment.create(self._directory, datetime.now(UTC))
            changed = {kind: found for kind, found in columns.items() if found != self.segment.columns.get(kind, {})}
            pieces = []
            for kind in dict.fromkeys(call.kind for call in group):
                calls = [call for call in group if call.kind == kind]
                lines = b"".join([call.lines for call in calls])
                pieces.append(together(kind, lines, sum(call.rows for call in calls), changed.get(kind)))
            self.segment.write(b"".join(pieces), synchronised=any(call.synchronised for call in group))
            self.segment.columns |= changed
            self.segment.rows += sum(call.rows for call in group)
        except (OSError, MemoryError) as refusal:
            fault = _unavailable(refusal, self.model)
            if self.segment and self.segment.rows:
                self._rotate()
        self._settled(self.model, group, fault)
        return rest

    def _fitting(self, calls: list[Call]) -> tuple[list[Call], list[Call], dict[TrafficKind, Columns]]:
        columns = dict(self.segment.columns) if self.segment else {}
        for place, call in enumerate(calls):
            before = columns.get(call.kind, {})
            if not call.columns.items() <= before.items():
                if clashing(before, call.columns):
                    return calls[:place], calls[place:], columns
                remembered = {name: self._known.get(call.kind, {}).get(name) for name in call.columns}
                columns[call.kind] = merged(before, merged(remembered, call.columns))
                self._known[call.kind] = merged(self._known.get(call.kind, {}), call.columns)
        return calls, [], columns

    def _over(self) -> LogUnavailable:
        return LogUnavailable("its writer has ended", where=f"journal of {self.model}", remedy="repeat the request")

    def _rotate(self) -> None:
        if self.segment:
            segment, self.segment = self.segment, None
            self._full(self.model, segment)


def _unavailable(fault: OSError | MemoryError, model: str) -> LogUnavailable:
    why = fault.strerror if isinstance(fault, OSError) else "no memory"
    return LogUnavailable(
        f"the journal cannot be written ({why})",
        where=f"journal of {model}",
        remedy="free space or repair the disk",
    )
