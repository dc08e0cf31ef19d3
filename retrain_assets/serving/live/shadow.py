"""Scoring beside the answer: a bounded queue per model, drained when the answers have gone out; what does not fit is dropped."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retrain_assets.routing import Arm
from retrain_assets.serving.journal import TrafficJournal
from retrain_assets.serving.live.live_model import LiveModel
from retrain_assets.serving.live.meter import Meter
from retrain_assets.serving.live.scoring import Scoring
from retrain_assets.serving.live.values import LogUnavailable, Row

BATCH_ROWS = 64
"""Most rows scored in one call, so that it does not hold up the answers for long."""

LAST_SECONDS = 5.0
"""Time that a process that ends still scores beside the answers it gave."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    live: LiveModel
    arm: Arm
    row: Row


class ShadowQueue:
    """Rows of one model that wait to be scored by the arm that did not answer.

    Args:
        model: the model.
        journal: where the scores go.
        meter: told of what is dropped.
    """

    def __init__(self, model: str, journal: TrafficJournal, meter: Meter) -> None:
        self.model = model
        self._journal = journal
        self._meter = meter
        self._waiting: deque[_Waiting] = deque()
        self._drain: asyncio.Task[None] | None = None

    def offer(self, live: LiveModel, arm: Arm, rows: Sequence[Row]) -> None:
        """Have rows scored by an arm some time; those that find no room, or no bundle, are dropped."""
        room = max(live.terms.serving.shadow_queue - len(self._waiting), 0) if arm in live.seats else 0
        self._waiting.extend(_Waiting(live, arm, row) for row in rows[:room])
        if (dropped := len(rows) - room) > 0:
            self._meter.dropped(self.model, dropped)
        if self._waiting and (self._drain is None or self._drain.done()):
            self._drain = asyncio.create_task(self._score_waiting(), name=f"shadow of {self.model}")

    @property
    def waiting(self) -> int:
        """Rows that wait."""
        return len(self._waiting)

    async def close(self) -> None:
        """Score what waits, as far as a short time allows; the rest is dropped."""
        if self._drain is None:
            return
        await asyncio.wait({self._drain}, timeout=LAST_SECONDS)
        self._drain.cancel()
        await asyncio.gather(self._drain, return_exceptions=True)
        if self._waiting:
            self._meter.dropped(self.model, len(self._waiting))
            self._waiting.clear()

    async def _score_waiting(self) -> None:
        while self._waiting:
            first = self._waiting[0]
            batch: list[Row] = []
            while self._waiting and len(batch) < BATCH_ROWS and self._is_alike(self._waiting[0], first):
                batch.append(self._waiting.popleft().row)
            await self._score(first.live, first.arm, batch)

    @staticmethod
    def _is_alike(one: _Waiting, other: _Waiting) -> bool:
        return one.arm == other.arm and one.live.seats[one.arm] is other.live.seats[other.arm]

    async def _score(self, live: LiveModel, arm: Arm, rows: Sequence[Row]) -> None:
        serving = live.terms.serving
        seconds = max(serving.challenger_timeout, serving.champion_timeout).total_seconds()
        features = [row.features for row in rows]
        scored = await Scoring(live.seats[arm], f"{arm} of {self.model}, beside", features, live.features, seconds).scored()
        if scored.is_late:
            self._meter.dropped(self.model, len(rows))
        else:
            self._meter.shadowed(self.model, arm, len(rows), sum(answer is None for answer in scored.answers))
        found: list[Mapping[str, Any]] = [
            {"request_id": row.request_id, "shadow_score": answer.logged}
            for row, answer in zip(rows, scored.answers, strict=True)
            if answer is not None
        ]
        try:
            await self._journal.append(self.model, "shadow", found, durability="process")
        except LogUnavailable as error:
            _LOG.warning("%d shadow scores of %s are lost: %s", len(found), self.model, error.line)
            self._meter.dropped(self.model, len(found))
