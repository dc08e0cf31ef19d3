from __future__ import annotations

import threading
from typing import Any

import pytest

from retrain_assets.compute import side_by_side as module
from retrain_assets.compute.side_by_side import side_by_side, workers_for


def meeting(parties: int) -> list[Any]:
    """Tasks that end only when as many of them run at the same time."""
    barrier = threading.Barrier(parties, timeout=10)
    return [lambda number=number: (barrier.wait(), number)[1] for number in range(parties)]


def test_as_many_tasks_run_at_the_same_time_as_there_are_workers() -> None:
    assert [done.value for done in side_by_side(meeting(3), 3)] == [0, 1, 2]


def test_results_come_in_the_order_of_the_tasks_whichever_ended_first() -> None:
    last_ended = threading.Event()

    def first() -> str:
        assert last_ended.wait(10)
        return "first"

    def last() -> str:
        last_ended.set()
        return "last"

    done = side_by_side([first, last], 2)
    assert [one.value for one in done] == ["first", "last"]
    assert all(one.seconds >= 0 for one in done)


def test_one_worker_does_them_one_after_the_other_in_the_calling_thread() -> None:
    seen: list[tuple[int, str]] = []
    here = threading.current_thread().name
    side_by_side([lambda number=number: seen.append((number, threading.current_thread().name)) for number in range(3)], 1)
    assert seen == [(0, here), (1, here), (2, here)]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_error_of_the_first_task_that_has_one_is_raised_and_alone_nothing_begins_after_it(workers: int) -> None:
    later = threading.Event()
    begun: list[int] = []

    def slow_to_fail() -> None:
        assert workers == 1 or later.wait(10)
        raise ValueError("the first")

    def quick_to_fail() -> None:
        later.set()
        raise KeyError("the second")

    with pytest.raises(ValueError, match="the first"):
        side_by_side([slow_to_fail, quick_to_fail, lambda: begun.append(1)], workers)
    assert workers == 2 or not begun


@pytest.mark.parametrize(("cores", "threads", "workers"), [(8, 2, 4), (8, 3, 2), (2, 1, 2), (2, 2, 1), (1, 4, 1), (4, 0, 4)])
def test_fits_share_the_cores_and_there_is_always_one(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int, workers: int
) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: cores)
    assert workers_for(threads) == workers
