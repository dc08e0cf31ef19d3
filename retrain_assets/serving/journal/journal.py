"""The traffic journal of one process: what is acknowledged survives it, and becomes Parquet files by and by."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from threading import Lock
from typing import Any

from pydantic import TypeAdapter, ValidationError

from retrain_assets.contract import SourceError
from retrain_assets.contract.quantities import ModelName
from retrain_assets.home import Home
from retrain_assets.serving.journal.lane import Call, Lane
from retrain_assets.serving.journal.lines import row_line
from retrain_assets.serving.journal.sealer import Sealer
from retrain_assets.serving.journal.segment import Segment
from retrain_assets.serving.journal.tally import Tally
from retrain_assets.serving.journal.values import JournalState, LogUnavailable, TrafficKind

_MODEL = TypeAdapter[str](ModelName)


class TrafficJournal:
    """Writes exposures, outcomes and shadow scores of all models of a home, ahead of the traffic files.

    Rows are written to segments of this process (``traffic/MODEL/.journal/*.ndjson``) and sealed to Parquet files by age and
    number. Nothing is opened before the first row of a model. Every method may be called from any thread.

    Args:
        home: where the traffic is.
        rotate_after: age at which a segment is sealed; how old the newest row may be that readers of the files do not see yet.
        rotate_rows: rows at which it is.
        max_waiting: most rows that wait for the disk; further ones are refused.
    """

    def __init__(
        self,
        home: Home,
        *,
        rotate_after: timedelta = timedelta(minutes=5),
        rotate_rows: int = 50_000,
        max_waiting: int = 20_000,
    ) -> None:
        self.home = home
        self._rotate_after = rotate_after
        self._rotate_rows = rotate_rows
        self._tally = Tally(max_waiting)
        self._lanes: dict[str, Lane] = {}
        self._turns: dict[tuple[asyncio.AbstractEventLoop, Lane], list[Call]] = {}
        self._sealer: Sealer | None = None
        self._closed = False
        self._gate = Lock()

    async def start(self) -> None:
        """Begin to seal, segments of processes that ended first; without it that begins with the first row."""
        self._sealing()

    async def append(
        self, model: str, kind: TrafficKind, rows: Sequence[Mapping[str, Any]], *, durability: str = "machine"
    ) -> None:
        """Write rows; returns when they survive what ``durability`` says. All rows of a call or none.

        Args:
            model: the model.
            kind: ``exposures``: exactly the columns of ``EXPOSURE_COLUMNS``, ``decision`` and attributes (text, number, bool or
                null); ``outcomes``: ``request_id``, ``unit_id``, ``observed_at`` and a column per measure; ``shadow``:
                ``request_id`` and ``shadow_score`` of an exposure handed over before.
            rows: the rows. Times are aware datetimes.
            durability: ``machine``: loss of power; ``process``: the end of this process.

        Raises:
            LogUnavailable: too many rows wait or the disk refuses; none of these rows is written.
            SourceError: for rows that are not as documented.
        """
        if not rows:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        lane, call = self._accepted(model, kind, rows, durability, future)
        turn = self._turns.get((loop, lane))
        if turn is None:
            self._turns[loop, lane] = [call]
            loop.call_soon(self._end_of_turn, loop, lane)
        else:
            turn.append(call)
        await future

    def append_now(
        self, model: str, kind: TrafficKind, rows: Sequence[Mapping[str, Any]], *, durability: str = "machine"
    ) -> None:
        """As :meth:`append`, for processes without an event loop: it blocks."""
        if not rows:
            return
        future: concurrent.futures.Future[None] = concurrent.futures.Future()
        lane, call = self._accepted(model, kind, rows, durability, future)
        lane.put([call])
        future.result()

    async def close(self) -> None:
        """Write what waits and seal everything; what cannot be sealed stays for whoever comes next."""
        self._closed = True
        await asyncio.sleep(0)
        await asyncio.to_thread(self.close_now)

    def close_now(self) -> None:
        """As :meth:`close`; it blocks."""
        with self._gate:
            self._closed = True
            lanes = list(self._lanes.values())
        for lane in lanes:
            lane.close()
        if self._sealer:
            self._sealer.close()
        atexit.unregister(self.close_now)

    def state(self) -> JournalState:
        """How it is doing now."""
        with self._gate:
            lanes = list(self._lanes.values())
        open_now = [segment for lane in lanes if (segment := lane.segment)] + (self._sealer.held() if self._sealer else [])
        return self._tally.state(len(open_now), sum(segment.end for segment in open_now))

    def _accepted(
        self,
        model: str,
        kind: TrafficKind,
        rows: Sequence[Mapping[str, Any]],
        durability: str,
        waiter: asyncio.Future[None] | concurrent.futures.Future[None],
    ) -> tuple[Lane, Call]:
        lane = self._lanes.get(model) or self._lane(model)
        if self._closed:
            raise LogUnavailable("the journal is closed", where=f"journal of {model}", remedy="repeat the request")
        self._tally.accept(len(rows), model)
        try:
            columns = lane.shapes.check(kind, rows)
            lines = b"".join([row_line(kind, row) for row in rows])
        except BaseException as fault:
            self._tally.settle(len(rows), written=False)
            if isinstance(fault, TypeError):
                raise SourceError(
                    str(fault), where=f"{kind} of {model}", remedy="write what docs/data-formats.md says"
                ) from fault
            raise
        return lane, Call(kind, lines, len(rows), columns, durability != "process", waiter)

    def _end_of_turn(self, loop: asyncio.AbstractEventLoop, lane: Lane) -> None:
        lane.put(self._turns.pop((loop, lane)))

    def _settled(self, model: str, calls: list[Call], fault: LogUnavailable | None) -> None:
        """From a lane's thread: its calls are written, or none of them is."""
        self._tally.settle(sum(call.rows for call in calls), written=fault is None)
        if fault:
            self._tally.fault(f"writing {model}", f"{self.home.journal_dir(model)}: {fault.what}; {fault.remedy}")
        else:
            self._tally.well(f"writing {model}")
        by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for call in calls:
            if isinstance(call.waiter, asyncio.Future):
                by_loop.setdefault(call.waiter.get_loop(), []).append(call.waiter)
            else:
                _tell([call.waiter], fault)
        for loop, futures in by_loop.items():
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(_tell, futures, fault)

    def _full(self, model: str, segment: Segment) -> None:
        self._sealing().put(model, segment)

    def _lane(self, model: str) -> Lane:
        try:
            _MODEL.validate_python(model)
        except ValidationError as fault:
            raise SourceError(f"{model!r} is not a model's name", where="journal", remedy="name a model of a contract") from fault
        self._sealing()
        with self._gate:
            if model not in self._lanes:
                self._lanes[model] = Lane(
                    model,
                    self.home.journal_dir(model),
                    rotate_after=self._rotate_after,
                    rotate_rows=self._rotate_rows,
                    full=self._full,
                    settled=self._settled,
                )
            return self._lanes[model]

    def _sealing(self) -> Sealer:
        with self._gate:
            if self._sealer is None:
                self._sealer = Sealer(self.home, self._tally, every=self._rotate_after)
                atexit.register(self.close_now)
            return self._sealer


def _tell(futures: Sequence[asyncio.Future[None] | concurrent.futures.Future[None]], fault: LogUnavailable | None) -> None:
    for future in futures:
        if future.done():
            continue
        if fault is None:
            future.set_result(None)
        else:
            future.set_exception(LogUnavailable(fault.what, where=fault.where, remedy=fault.remedy))
