"""What the journal says of itself, and its refusal. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from retrain_assets.contract import RetrainError

TrafficKind = Literal["exposures", "outcomes", "shadow"]
Durability = Literal["machine", "process"]


class LogUnavailable(RetrainError):
    """Exposures cannot be written now: too many wait, or the disk refuses; the request may be repeated later."""


@dataclass(frozen=True, slots=True)
class JournalState:
    """How a journal of one process is doing.

    Args:
        waiting_rows: rows handed over that are not acknowledged yet.
        open_segments: segments this process holds: those written to and those waiting to be sealed.
        open_bytes: their size.
        rows_written: rows acknowledged since the process began, records of shadow scores included.
        rows_sealed: rows this process brought into Parquet files, those of orphaned segments included.
        repeated_rows: exposures left out by sealing because the same request and unit stood in the same segment before.
        shadow_unjoined: shadow scores that found no exposure in their segment.
        damaged_lines: lines that could not be read when sealing; they are kept in ``*.damaged`` files.
        fault: what is wrong now, in one line; None when nothing is.
        since: when it began, UTC.
    """

    waiting_rows: int = 0
    open_segments: int = 0
    open_bytes: int = 0
    rows_written: int = 0
    rows_sealed: int = 0
    repeated_rows: int = 0
    shadow_unjoined: int = 0
    damaged_lines: int = 0
    fault: str | None = None
    since: datetime | None = None
