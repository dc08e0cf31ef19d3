"""The threads one loaded bundle scores in: few, with deadlines; a model that hangs takes its own threads and nobody else's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

from retrain_assets.contract import RetrainError

Result = TypeVar("Result")

THREADS = 4
"""Threads of one bundle. Each is started when it is first needed."""


class TooLate(RetrainError):
    """The model did not answer by the deadline."""


class AllStuck(TooLate):
    """Every thread still works on something past its deadline; nothing new is begun."""


class Job(Generic[Result]):
    """One piece of work: waits, runs, ends. One that is late, or that nobody waits for any more, is not begun.

    What runs already goes on in its thread, which nobody can stop; what comes of it is thrown away.
    """

    def __init__(self, threads: ScoringThreads, work: Callable[[Job[Result]], Result], seconds: float) -> None:
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Result] = self._loop.create_future()
        self._timer = self._loop.call_later(seconds, self._be_late, seconds)
        self.work: Callable[[Job[Result]], Result] | None = work
        self.is_running = False
        self.is_stuck = False
        self.is_wanted = True

    async def result(self) -> Result:
        """What the work gave.

        Raises:
            TooLate: when the deadline passed.
            Exception: whatever the work raised.
        """
        try:
            return await self._answer
        finally:
            self.give_up()

    def give_up(self) -> None:
        """Nobody waits for it any more; does nothing to a job that has ended."""
        self.is_wanted = False
        if not self._answer.cancel() and not self._answer.cancelled():
            self._answer.exception()  # it may have failed with nobody there to see it
        if self._threads.withdraw(self):
            self._timer.cancel()

    def end(self, result: Result | None, fault: BaseException | None) -> None:
        """Hand the end of the work to who waits for it; called in the thread."""
        try:
            self._loop.call_soon_threadsafe(self._settle, result, fault)
        except RuntimeError:
            if not self._loop.is_closed():
                raise

    def _be_late(self, seconds: float) -> None:
        self.is_wanted = False
        if not self._answer.done():
            self._answer.set_exception(TooLate(f"no answer within {seconds:g} s", where=self._threads.name))
        if not self._threads.withdraw(self):
            self._threads.hangs(self)

    def _settle(self, result: Result | None, fault: BaseException | None) -> None:
        self._timer.cancel()
        if self._answer.done():
            return
        if fault is None:
            self._answer.set_result(result)  # type: ignore[arg-type]
        else:
            self._answer.set_exception(fault)


class ScoringThreads:
    """A fixed number of threads, which do not keep the process from ending.

    Args:
        name: whose, for messages.
        threads: how many at most.
    """

    def __init__(self, name: str, threads: int = THREADS) -> None:
        self.name = name
        self.threads = threads
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Job | None] = SimpleQueue()  # type: ignore[type-arg]
        self._started = 0
        self._unfinished = 0
        self._stuck = 0
        self._closed = False

    @property
    def stuck(self) -> int:
        """Threads that work on something past its deadline."""
        return self._stuck

    def begin(self, work: Callable[[Job[Result]], Result], seconds: float) -> Job[Result]:
        """Have something done within a time, counted from now; call it in an event loop.

        Raises:
            AllStuck: when every thread hangs.
        """
        with self._lock:
            if self._stuck >= self.threads:
                raise AllStuck(f"all {self.threads} threads hang", where=self.name)
            if self._closed:
                raise TooLate("is not loaded any more", where=self.name)
            job = Job(self, work, seconds)
            self._unfinished += 1
            starts = self._started < min(self.threads, self._unfinished)
            self._started += starts
        self._queue.put(job)
        if starts:
            threading.Thread(target=self._run, name=f"scoring {self.name}", daemon=True).start()
        return job

    def close(self) -> None:
        """Let the threads end as soon as they are through with what they do."""
        with self._lock:
            self._closed = True
            started = self._started
        for _ in range(started):
            self._queue.put(None)

    def withdraw(self, job: Job[Result]) -> bool:
        """Have a job not begun, or throw away what it holds; False for one that runs."""
        with self._lock:
            if not job.is_running:
                job.work = None
            return not job.is_running

    def hangs(self, job: Job[Result]) -> None:
        """Note that a job still runs past its deadline."""
        with self._lock:
            if job.is_running and not job.is_stuck:
                job.is_stuck = True
                self._stuck += 1

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            if (work := self._take(job)) is None:
                continue
            try:
                result, fault = work(job), None
            except BaseException as error:  # noqa: BLE001 (handed to who waits; a model may raise anything)
                result, fault = None, error
            self._put_back(job)
            job.end(result, fault)
            del job, work, result, fault

    def _take(self, job: Job[Result]) -> Callable[[Job[Result]], Result] | None:
        with self._lock:
            work = job.work
            job.is_running = work is not None
            self._unfinished -= work is None
            return work

    def _put_back(self, job: Job[Result]) -> None:
        with self._lock:
            job.is_running = False
            job.work = None
            self._unfinished -= 1
            self._stuck -= job.is_stuck
