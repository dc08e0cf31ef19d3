"""What a journal counts, and what is wrong with it now. Safe from any thread."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from threading import Lock

from retrain_assets.serving.journal.values import JournalState, LogUnavailable

_LOG = logging.getLogger("retrain_assets.serving.journal")


class Tally:
    """Rows that wait, rows that were written and sealed, faults since when.

    Args:
        max_waiting: most rows that wait.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._state = JournalState()
        self._faults: dict[str, tuple[str, datetime]] = {}
        self._waiting = 0
        self._written = 0
        self._lock = Lock()

    def accept(self, rows: int, model: str) -> None:
        """Let rows wait. A call that is larger than all that may wait is let in when nothing else waits.

        Raises:
            LogUnavailable: when too many wait.
        """
        with self._lock:
            if not self._waiting or self._waiting + rows <= self._max_waiting:
                self._waiting += rows
                return
            waiting = self._waiting
        raise LogUnavailable(
            f"{waiting} rows wait to be written and {self._max_waiting} may",
            where=f"journal of {model}",
            remedy="repeat it later",
        )

    def settle(self, rows: int, *, written: bool) -> None:
        """Rows wait no longer."""
        with self._lock:
            self._waiting -= rows
            self._written += rows if written else 0

    def sealed(self, rows: int, repeated: int, shadow_unjoined: int, damaged: int) -> None:
        """A segment became files."""
        with self._lock:
            self._state = replace(
                self._state,
                rows_sealed=self._state.rows_sealed + rows,
                repeated_rows=self._state.repeated_rows + repeated,
                shadow_unjoined=self._state.shadow_unjoined + shadow_unjoined,
                damaged_lines=self._state.damaged_lines + damaged,
            )

    def fault(self, about: str, what: str) -> None:
        """Something is wrong, until :meth:`well` says otherwise; logged when it is new."""
        with self._lock:
            before = self._faults.get(about)
            if before is None or before[0] != what:
                _LOG.error("%s", what)
            self._faults[about] = (what, before[1] if before else datetime.now(UTC))

    def well(self, about: str) -> None:
        """What was wrong is not so any more."""
        if about in self._faults:
            with self._lock:
                what = self._faults.pop(about, None)
            if what:
                _LOG.warning("over since now: %s", what[0])

    def state(self, open_segments: int, open_bytes: int) -> JournalState:
        """All of it, with the oldest fault."""
        with self._lock:
            fault, since = min(self._faults.values(), key=lambda one: one[1], default=(None, None))
            return replace(
                self._state,
                waiting_rows=self._waiting,
                rows_written=self._written,
                open_segments=open_segments,
                open_bytes=open_bytes,
                fault=fault,
                since=since,
            )
