"""What the generator saw of each request, as one NumPy record array; and the figures of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

RECORD = np.dtype(
    [
        ("number", "i8"),  # of the request; its body is number modulo bodies
        ("due", "f8"),  # monotonic seconds: when it was to be sent
        ("sent", "f8"),
        ("received", "f8"),
        ("status", "i2"),  # HTTP status; 0: the connection broke, -1: never answered, -2: the answer was another request's
        ("arm", "i1"),  # 0 champion, 1 challenger, -1 the answer names none
        ("version", "i4"),
        ("revision", "i4"),
        ("error", "?"),  # the arm's own model failed
    ]
)
ANSWERED, BROKEN, UNANSWERED, MIXED_UP = 200, 0, -1, -2
ARMS = {"champion": 0, "challenger": 1}
MILLISECONDS = 1e3


@dataclass(frozen=True, slots=True)
class Records:
    """Requests in the order they were answered."""

    rows: npt.NDArray[Any]

    @classmethod
    def read(cls, path: Path) -> Records:
        """The generator's file."""
        return cls(np.load(path))

    def after(self, warm_up: float) -> Records:
        """Without requests that were due in the first seconds."""
        first = self.rows["due"].min(initial=np.inf)
        return Records(self.rows[self.rows["due"] >= first + warm_up])

    @property
    def answered(self) -> Records:
        """Requests with status 200."""
        return Records(self.rows[self.rows["status"] == ANSWERED])

    @property
    def failed(self) -> dict[int, int]:
        """Requests without status 200, by status."""
        statuses, counts = np.unique(self.rows["status"][self.rows["status"] != ANSWERED], return_counts=True)
        return {int(status): int(count) for status, count in zip(statuses, counts, strict=True)}

    @property
    def throughput(self) -> float:
        """Answered requests a second, between the first sent and the last received."""
        rows = self.answered.rows
        return len(rows) / float(rows["received"].max() - rows["sent"].min()) if len(rows) > 1 else 0.0

    def latency_ms(self, quantile: float) -> float:
        """Latency of answered requests from when they were due, in milliseconds."""
        rows = self.answered.rows
        return float(np.quantile((rows["received"] - rows["due"]) * MILLISECONDS, quantile))

    def __len__(self) -> int:
        return len(self.rows)
