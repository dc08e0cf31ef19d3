"""The clock. Production reads the system's; a replay of historical traffic runs on data time kept in the home."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """What time it is for every decision, expiry and record."""

    def now(self) -> datetime:
        """The current time, timezone-aware UTC."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """The current time, timezone-aware UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class FixedClock:
    """A clock that stands still, for tests."""

    at: datetime

    def now(self) -> datetime:
        """The time it was made with."""
        return self.at


class ReplayClock:
    """Data time of a replay, kept in a file so that every process of the replayed home agrees on it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def now(self) -> datetime:
        """The replay's current data time."""
        return datetime.fromisoformat(json.loads(self.path.read_text())["replay_now"])

    def set(self, moment: datetime) -> None:
        """Move data time; written by atomic rename."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.path.with_suffix(f".{os.getpid()}.tmp")
        scratch.write_text(json.dumps({"replay_now": moment.astimezone(UTC).isoformat()}))
        scratch.replace(self.path)


@dataclass(frozen=True)
class HomeClock:
    """The clock of a home: the replay's while its file exists, otherwise the system's."""

    replay: Path

    def now(self) -> datetime:
        """The current time, timezone-aware UTC."""
        return ReplayClock(self.replay).now() if self.replay.exists() else SystemClock().now()
