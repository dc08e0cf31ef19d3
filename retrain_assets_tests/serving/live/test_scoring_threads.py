"""Deadlines of one bundle's threads: late work is given up, hanging threads are counted, nothing keeps the process alive."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from retrain_assets.serving.live.scoring_threads import AllStuck, ScoringThreads, TooLate
from retrain_assets_tests.serving.live.world import until

pytestmark = pytest.mark.anyio


async def test_work_gives_its_result_or_what_it_raised() -> None:
    threads = ScoringThreads("a model")
    assert await threads.begin(lambda job: 7, 30).result() == 7
    with pytest.raises(ZeroDivisionError):
        await threads.begin(lambda job: 1 // 0, 30).result()
    threads.close()


async def test_no_more_threads_are_started_than_work_needs() -> None:
    threads, seen = ScoringThreads("a model", 4), set[int]()
    for _ in range(20):
        await threads.begin(lambda job: seen.add(threading.get_ident()), 30).result()
    assert len(seen) <= 2
    threads.close()


async def test_threads_that_hang_are_counted_until_they_come_back() -> None:
    threads, let_go = ScoringThreads("a model", 2), threading.Event()
    jobs = [threads.begin(lambda job: let_go.wait(60), 0.05) for _ in range(2)]
    for job in jobs:
        with pytest.raises(TooLate, match=r"a model: no answer within 0\.05 s"):
            await job.result()
    assert threads.stuck == 2
    with pytest.raises(AllStuck, match="all 2 threads hang"):
        threads.begin(lambda job: 1, 30)
    let_go.set()
    await until(lambda: threads.stuck == 0)
    assert await threads.begin(lambda job: 1, 30).result() == 1
    threads.close()


async def test_work_that_waited_past_its_deadline_is_never_begun() -> None:
    threads, let_go, begun = ScoringThreads("a model", 1), threading.Event(), list[int]()
    running = threads.begin(lambda job: let_go.wait(60), 30)
    late = threads.begin(lambda job: begun.append(1), 0.02)
    with pytest.raises(TooLate):
        await late.result()
    let_go.set()
    await running.result()
    assert await threads.begin(lambda job: 5, 30).result() == 5
    assert begun == []
    assert threads.stuck == 0
    threads.close()


async def test_work_nobody_waits_for_counts_as_hanging_only_past_its_deadline() -> None:
    threads, let_go = ScoringThreads("a model", 1), threading.Event()
    job = threads.begin(lambda job: let_go.wait(60), 0.1)
    await until(lambda: job.is_running)
    waiter = asyncio.create_task(job.result())
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert threads.stuck == 0
    assert not job.is_wanted
    await until(lambda: threads.stuck == 1)
    let_go.set()
    await until(lambda: threads.stuck == 0)
    threads.close()


async def test_closed_threads_end_and_take_nothing_more() -> None:
    before = threading.active_count()
    threads = ScoringThreads("a model", 3)
    await asyncio.gather(*[threads.begin(lambda job: 1, 30).result() for _ in range(9)])
    threads.close()
    await until(lambda: threading.active_count() <= before)
    with pytest.raises(TooLate, match="is not loaded any more"):
        threads.begin(lambda job: 1, 30)


def test_a_model_that_hangs_does_not_keep_the_process_from_ending() -> None:
    code = """
import asyncio, threading
from retrain_assets.serving.live.scoring_threads import ScoringThreads, TooLate
async def main():
    try:
        await ScoringThreads("a model").begin(lambda job: threading.Event().wait(), 0.05).result()
    except TooLate:
        print("late")
asyncio.run(main())
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout == "late\n"
