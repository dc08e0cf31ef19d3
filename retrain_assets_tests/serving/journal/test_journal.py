"""What is acknowledged is in the segment, what is refused is not; segments become files by age and number."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.contract import SourceError
from retrain_assets.home import Home
from retrain_assets.serving import ExposureLog
from retrain_assets.serving.journal import JournalState, LogUnavailable, TrafficJournal, recover
from retrain_assets_tests.serving.journal.patience import until_then
from retrain_assets_tests.serving.journal.rows import MODEL, NOON, exposure, exposures, outcome

LONG = timedelta(hours=1)
AMSTERDAM_1936 = timezone(timedelta(minutes=19, seconds=32))


@pytest.fixture
def home(retrain_home: Path) -> Home:
    return Home(retrain_home)


def using(home: Home, work: Callable[[TrafficJournal], Coroutine[Any, Any, Any]], **terms: Any) -> JournalState:
    async def run() -> JournalState:
        journal = TrafficJournal(home, **{"rotate_after": LONG, **terms})
        await journal.start()
        try:
            await work(journal)
        finally:
            await journal.close()
        return journal.state()

    return asyncio.run(run())


def logged(home: Home) -> list[str]:
    return sorted(ExposureLog(home).read_exposures(MODEL)["request_id"])


def segments(home: Home) -> list[Path]:
    return sorted(home.journal_dir(MODEL).glob("*.ndjson"))


def test_what_was_acknowledged_is_in_the_files_once_the_journal_is_closed(home: Home) -> None:
    async def work(journal: TrafficJournal) -> None:
        await journal.append(MODEL, "exposures", exposures(1, 2))
        await journal.append(MODEL, "outcomes", [outcome(1)], durability="process")
        await journal.append(MODEL, "exposures", [])

    state = using(home, work)
    assert logged(home) == ["1", "2"]
    assert ExposureLog(home).read_outcomes(MODEL)["cost"].to_list() == [30.0]
    assert segments(home) == []
    assert state == JournalState(rows_written=3, rows_sealed=3)


def test_what_was_acknowledged_is_in_the_segment_at_once_and_nobody_else_may_seal_it(home: Home) -> None:
    async def work(journal: TrafficJournal) -> None:
        await journal.append(MODEL, "exposures", exposures(1))
        (segment,) = segments(home)
        assert segment.read_bytes().count(b"\n") == 1
        assert recover(home) == []
        assert segments(home) == [segment]
        state = journal.state()
        assert (state.open_segments, state.open_bytes, state.rows_sealed) == (1, segment.stat().st_size, 0)

    using(home, work)


@pytest.mark.parametrize(("durability", "synchronised"), [("machine", 1), ("process", 0)])
def test_all_that_waits_in_one_turn_is_written_at_once_and_synchronised_once(
    home: Home, durability: str, synchronised: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("pwrite", "fdatasync"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *given, name=name, real=real: calls.append(name) or real(*given))

    async def work(journal: TrafficJournal) -> None:
        await journal.append(MODEL, "exposures", exposures("first"))
        calls.clear()
        rows = (journal.append(MODEL, "exposures", exposures(n), durability=durability) for n in range(64))
        await asyncio.gather(*rows)

    using(home, work)
    assert calls == ["pwrite", *["fdatasync"] * synchronised]
    assert len(logged(home)) == 65


def test_rows_handed_over_one_after_the_other_are_acknowledged_in_that_order(home: Home) -> None:
    told: list[int] = []

    async def work(journal: TrafficJournal) -> None:
        async def one(number: int) -> None:
            await journal.append(MODEL, "exposures", exposures(number))
            told.append(number)

        await asyncio.gather(*(one(number) for number in range(200)))

    using(home, work)
    assert told == list(range(200))


def test_a_segment_is_sealed_when_it_has_enough_rows(home: Home) -> None:
    async def work(journal: TrafficJournal) -> None:
        for number in range(7):
            await journal.append(MODEL, "exposures", exposures(number))
        await until_then(lambda: journal.state().rows_sealed == 6)
        assert logged(home) == [str(number) for number in range(6)]
        assert len(segments(home)) == 1

    using(home, work, rotate_rows=3)
    assert len(list(home.exposures_dir(MODEL).glob("*.parquet"))) == 3


def test_a_segment_is_sealed_when_it_is_old_though_nothing_more_comes(home: Home) -> None:
    async def work(journal: TrafficJournal) -> None:
        await journal.append(MODEL, "exposures", exposures(1))
        await until_then(lambda: journal.state().rows_sealed == 1)

    using(home, work, rotate_after=timedelta(milliseconds=20))
    assert logged(home) == ["1"]


def test_many_callers_of_several_models_threads_and_loops_lose_nothing(home: Home) -> None:
    journal = TrafficJournal(home, rotate_rows=50, rotate_after=LONG)

    def caller(number: int) -> None:
        model = f"model_{number % 3}"
        if number % 2:
            for row in range(40):
                journal.append_now(model, "exposures", [exposure(f"{number}-{row}", model=model)], durability="process")
        else:

            async def run() -> None:
                rows = (exposure(f"{number}-{row}", model=model) for row in range(40))
                await asyncio.gather(*(journal.append(model, "exposures", [row]) for row in rows))

            asyncio.run(run())

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(caller, range(12)))
    journal.close_now()
    found = [request for one in range(3) for request in ExposureLog(home).read_exposures(f"model_{one}")["request_id"]]
    assert sorted(found) == sorted(f"{number}-{row}" for number in range(12) for row in range(40))
    assert journal.state() == JournalState(rows_written=480, rows_sealed=480)


def test_two_processes_of_one_home_write_side_by_side_and_seal_their_own(home: Home) -> None:
    async def run() -> None:
        one, other = TrafficJournal(home, rotate_after=LONG), TrafficJournal(home, rotate_after=LONG)
        await asyncio.gather(one.start(), other.start())
        for number in range(20):
            await asyncio.gather(
                one.append(MODEL, "exposures", exposures(f"one {number}")),
                other.append(MODEL, "exposures", exposures(f"other {number}")),
            )
        await one.close()
        assert logged(home) == sorted(f"one {number}" for number in range(20))
        await other.close()

    asyncio.run(run())
    assert len(logged(home)) == 40


def test_a_caller_who_gave_up_disturbs_nobody(home: Home) -> None:
    async def work(journal: TrafficJournal) -> None:
        given_up = asyncio.create_task(journal.append(MODEL, "exposures", exposures("given up")))
        stayed = asyncio.create_task(journal.append(MODEL, "exposures", exposures("stayed")))
        await asyncio.sleep(0)
        given_up.cancel()
        await stayed
        with pytest.raises(asyncio.CancelledError):
            await given_up

    assert using(home, work).waiting_rows == 0
    assert "stayed" in logged(home)


def test_a_closed_journal_refuses_and_what_was_handed_over_before_is_written(home: Home) -> None:
    async def run() -> None:
        journal = TrafficJournal(home)
        handed_over = asyncio.create_task(journal.append(MODEL, "exposures", exposures(1)))
        await asyncio.sleep(0)
        await journal.close()
        await handed_over
        with pytest.raises(LogUnavailable, match="the journal is closed"):
            await journal.append(MODEL, "exposures", exposures(2))

    asyncio.run(run())
    assert logged(home) == ["1"]


def test_a_stalled_disk_makes_no_queue_longer_than_was_said(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    stalled, real = threading.Event(), os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda file: stalled.wait() and real(file))

    async def work(journal: TrafficJournal) -> None:
        rows = [asyncio.create_task(journal.append(MODEL, "exposures", exposures(f"{n}a", f"{n}b"))) for n in range(50)]
        await until_then(lambda: sum(row.done() for row in rows) == 45)
        assert journal.state().waiting_rows == 10
        refused = [row for row in rows if row.done()]
        assert all("10 rows wait to be written" in str(row.exception()) for row in refused)
        assert {type(row.exception()) for row in refused} == {LogUnavailable}
        stalled.set()
        await asyncio.gather(*(row for row in rows if row not in refused))
        await journal.append(MODEL, "exposures", exposures("later"))

    try:
        state = using(home, work, max_waiting=10)
    finally:
        stalled.set()
    assert logged(home) == sorted(["later", *(f"{n}{letter}" for n in range(5) for letter in "ab")])
    assert (state.waiting_rows, state.rows_written) == (0, 11)


def test_one_call_may_be_larger_than_all_that_may_wait(home: Home) -> None:
    using(home, lambda journal: journal.append(MODEL, "exposures", exposures(*range(30))), max_waiting=10)
    assert len(logged(home)) == 30


@pytest.mark.parametrize(
    ("kind", "row", "says"),
    [
        ("exposures", exposure(1, exposed_at=NOON.replace(tzinfo=None)), "a time without zone"),
        ("exposures", exposure(1, model="pricing"), "model 'pricing' does not belong there"),
        ("exposures", exposure(1, arm="control"), "arm 'control' does not belong there"),
        ("exposures", exposure(1, latency_ms=float("nan")), "latency_ms is negative or not a number"),
        ("exposures", exposure(1, latency_ms=float("inf")), "latency_ms is negative or not a number"),
        ("exposures", exposure(1, exposed_at=NOON.astimezone(AMSTERDAM_1936)), "a zone whose offset is no whole minutes"),
        ("exposures", exposure(1, revision=1 << 63), "revision has more than 64 bits"),
        ("exposures", exposure(1, version=None), "column version is null, not text"),
        ("exposures", exposure(1, score="high"), "column score is 'high', not a number"),
        ("exposures", exposure(1, error=0), "column error is 0, not true or false"),
        ("exposures", exposure(1, decision=1), "column decision is 1, not true or false"),
        ("exposures", exposure(1, tags=["a"]), r"column tags is \['a'\], not text, number or bool"),
        ("exposures", exposure(1, distance=1 << 64), "exceeds 64-bit range"),
        ("exposures", exposure(1, origin="\ud800"), "surrogates not allowed"),
        ("exposures", {"request_id": "1"}, "column model is missing; column unit_id is missing"),
        ("outcomes", {"request_id": "1", "unit_id": "u", "observed_at": NOON}, "there is no measure"),
        ("outcomes", outcome(1, cost="much"), "column cost is 'much', not a number"),
        ("outcomes", outcome(1, cost=1.0, unit_id=None), "column unit_id is null, not text"),
        ("shadow", {"request_id": "1", "shadow_score": 0.5, "arm": "x"}, "column arm is 'x', not part of a shadow record"),
    ],
)
def test_a_row_that_is_not_as_documented_is_refused_with_all_of_its_call(home: Home, kind: Any, row: Any, says: str) -> None:
    good = {"exposures": exposure(0), "outcomes": outcome(0), "shadow": {"request_id": "0", "shadow_score": 0.5}}[kind]
    journal = TrafficJournal(home, rotate_after=LONG)
    for rows in ([row], [good, row]):
        with pytest.raises(SourceError, match=f"{kind} of {MODEL}: .*{says}"):
            journal.append_now(MODEL, kind, rows)
    journal.append_now(MODEL, kind, [good])
    assert (journal.state().waiting_rows, journal.state().rows_written) == (0, 1)
    journal.close_now()


def test_a_column_of_two_kinds_in_one_call_is_refused(home: Home) -> None:
    journal = TrafficJournal(home)
    with pytest.raises(SourceError, match="column tier is text in one row and number in another"):
        journal.append_now(MODEL, "exposures", [exposure(1, tier="gold"), exposure(2, tier=3)])
    journal.close_now()


@pytest.mark.parametrize("name", ["../escape", "Upper", "", "a"])
def test_what_is_no_name_of_a_model_makes_no_folder(home: Home, name: str) -> None:
    journal = TrafficJournal(home)
    with pytest.raises(SourceError, match="is not a model's name"):
        journal.append_now(name, "exposures", exposures(1))
    journal.close_now()
    assert not home.traffic_dir.exists()
