"""Latency is what the model takes, not what the machine was doing meanwhile."""

from __future__ import annotations

import gc
from collections.abc import Callable

import polars as pl
import pytest

from retrain_assets.compute.stages import latency
from retrain_assets.compute.stages.latency import ROUNDS, ROWS_PER_ROUND, WARM_UP_ROWS, latency_of


@pytest.fixture
def scored_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], float]], Callable[[pl.DataFrame], None]]:
    """A model whose n-th call takes the given milliseconds on a clock of its own."""

    def build(milliseconds: Callable[[int], float]) -> Callable[[pl.DataFrame], None]:
        clock, calls = [0.0], [0]
        monkeypatch.setattr(latency.time, "perf_counter", lambda: clock[0])

        def score(_: pl.DataFrame) -> None:
            assert not gc.isenabled()
            clock[0] += milliseconds(calls[0]) / 1000
            calls[0] += 1

        return score

    return build


def test_rounds_that_something_else_disturbed_do_not_count(scored_in) -> None:
    quiet = range(WARM_UP_ROWS + ROWS_PER_ROUND, WARM_UP_ROWS + 2 * ROWS_PER_ROUND)
    found = latency_of(scored_in(lambda call: 2.0 if call in quiet else 9.0), pl.DataFrame({"x": range(500)}))
    assert found is not None
    assert (found.median_ms, found.p95_ms) == (pytest.approx(2.0), pytest.approx(2.0))
    assert gc.isenabled()


def test_a_model_that_is_always_slow_is_slow(scored_in) -> None:
    found = latency_of(scored_in(lambda call: 9.0 + (call % 10 == 0)), pl.DataFrame({"x": [1, 2, 3]}))
    assert found is not None
    assert found.median_ms == pytest.approx(9.0)
    assert found.p95_ms == pytest.approx(10.0)


def test_the_first_calls_warm_up(scored_in) -> None:
    found = latency_of(scored_in(lambda call: 1000.0 if call < WARM_UP_ROWS else 1.0), pl.DataFrame({"x": [1]}))
    assert found is not None
    assert found.p95_ms == pytest.approx(1.0)


def test_rows_come_from_all_over_the_hold_out() -> None:
    seen: list[int] = []
    latency_of(lambda row: seen.append(row.item()), pl.DataFrame({"x": range(10_000)}))
    assert max(seen) > 9_900
    assert len(seen) == WARM_UP_ROWS + ROUNDS * ROWS_PER_ROUND


def test_no_row_gives_no_latency() -> None:
    assert latency_of(lambda row: None, pl.DataFrame({"x": []})) is None
