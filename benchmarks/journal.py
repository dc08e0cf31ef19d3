"""The traffic journal against bare writes and synchronisations of the same bytes; sealing against reading and writing alone."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Coroutine
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import uvloop

from benchmarks.measure import Row, Target, compared, cpu_seconds, interleaved, wall_seconds
from retrain_assets.home import Home
from retrain_assets.serving.journal import TrafficJournal
from retrain_assets.serving.journal.lines import row_line, together
from retrain_assets.serving.journal.sealing import seal
from retrain_assets.serving.journal.segment import Segment

NAME = "journal"
MODEL = "flight_delay"
LONG = timedelta(hours=1)
ONE = Target(3)
GROUP = Target(1)
SEALING = Target(2)
SEALED_ROWS, TOGETHER = 50_000, 16
TURNS = 200
NOTE = "on the disk of RETRAIN_HOME, durability machine"


def run() -> list[Row]:
    root = Home.from_environment().root
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="bench-") as folder, closing(_Loop()) as loop:
        return [
            _append(Path(folder), loop, 1, ONE, "one write and fdatasync"),
            _append(Path(folder), loop, 16, GROUP, "16 of them one after the other"),
            _append(Path(folder), loop, 64, GROUP, "64 of them one after the other"),
            _cpu(Path(folder), loop),
            *_sealing(Path(folder)),
        ]


def exposure(number: int) -> dict[str, Any]:
    return {
        "request_id": f"0190{number:028x}",
        "model": MODEL,
        "unit_id": f"N{number % 5000}",
        "toggle": "flight_delay-2013-07-01",
        "revision": 4,
        "stage": "25",
        "arm": "challenger" if number % 4 == 0 else "champion",
        "version": "4" if number % 4 == 0 else "3",
        "bundle": "sha256:" + "ab" * 32,
        "exposed_at": datetime(2013, 7, 1, tzinfo=UTC) + timedelta(milliseconds=number),
        "latency_ms": 0.31 + number % 7 / 10,
        "error": False,
        "score": number % 997 / 997,
        "shadow_score": None,
        "decision": number % 3 == 0,
        "origin": ("JFK", "LGA", "EWR")[number % 3],
        "distance": number % 2000,
    }


class _Loop:
    """An event loop that runs in a thread of its own, as in a gateway."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _append(folder: Path, loop: _Loop, group: int, target: Target, against: str) -> Row:
    """Work of many turns each, so that handing a turn to the loop's thread does not count."""
    journal = TrafficJournal(Home(folder / f"home-{group}"), rotate_after=LONG)
    numbers, line = count(), row_line("exposures", exposure(0))
    turns = max(TURNS // group, 20)
    bare = os.open(folder / f"bare-{group}", os.O_RDWR | os.O_CREAT)

    async def ours() -> None:
        for _ in range(turns):
            rows = [exposure(next(numbers)) for _ in range(group)]
            await asyncio.gather(*(journal.append(MODEL, "exposures", [row]) for row in rows))

    def alone() -> None:
        for _ in range(turns * group):
            os.write(bare, line)
            os.fdatasync(bare)

    took = interleaved({"ours": lambda: loop.run(ours()), "bare": alone}, rounds=9, seconds=12)
    os.close(bare)
    journal.close_now()
    return compared(
        NAME,
        "append one exposure, µs" if group == 1 else f"append {group} exposures of as many requests at once, µs",
        ours=took["ours"] / turns * 1e6,
        against=against,
        peer=took["bare"] / turns * 1e6,
        target=target,
        rows=turns * group,
        note=NOTE,
    )


def _cpu(folder: Path, loop: _Loop) -> Row:
    """Against writing JSON of the same rows, which anything that logs has to do."""
    import orjson

    journal = TrafficJournal(Home(folder / "home-cpu"), rotate_after=LONG)
    rows, turns = [exposure(number) for number in range(16)], 100
    bare = os.open(folder / "bare-cpu", os.O_RDWR | os.O_CREAT)

    async def ours() -> None:
        for _ in range(turns):
            await asyncio.gather(*(journal.append(MODEL, "exposures", [row]) for row in rows))

    def alone() -> None:
        for _ in range(turns):
            for row in rows:
                os.write(bare, orjson.dumps(row) + b"\n")
            os.fdatasync(bare)

    took = interleaved({"ours": lambda: loop.run(ours()), "alone": alone}, rounds=9, seconds=10, clock=cpu_seconds)
    os.close(bare)
    journal.close_now()
    return compared(
        NAME,
        "append, 16 requests at once, CPU µs a row",
        ours=took["ours"] / turns / len(rows) * 1e6,
        against="orjson and os.write a row, one fdatasync for 16",
        peer=took["alone"] / turns / len(rows) * 1e6,
        rows=turns * len(rows),
        note="all threads, tasks and futures of the event loop included",
    )


def _sealing(folder: Path) -> list[Row]:
    home = Home(folder / "home-sealing")
    numbers = range(0, SEALED_ROWS, TOGETHER)
    kinds: dict[str, str | None] = {"decision": "bool", "origin": "text", "distance": "number"}
    groups = [b"".join(row_line("exposures", exposure(one)) for one in range(at, at + TOGETHER)) for at in numbers]
    content = b"".join(together("exposures", lines, TOGETHER, kinds if not at else None) for at, lines in enumerate(groups))
    kept, plain = folder / "segment", folder / "plain.ndjson"
    kept.write_bytes(content)
    plain.write_bytes(b"".join(groups))

    home.journal_dir(MODEL).mkdir(parents=True)
    path = home.journal_dir(MODEL) / "20130701T000000-aa.ndjson"

    def ours() -> None:
        (home.exposures_dir(MODEL) / f"{path.stem}.parquet").unlink(missing_ok=True)
        path.hardlink_to(kept)
        segment = Segment.orphan(path)
        if segment is None or (found := seal(home, MODEL, segment)).rows != SEALED_ROWS or found.damaged:
            raise AssertionError("the segment was not sealed as it is")

    def alone() -> None:
        file = plain.with_suffix(".parquet")
        file.unlink(missing_ok=True)
        pl.read_ndjson(plain).write_parquet(file)
        with file.open("rb") as written:
            os.fsync(written.fileno())

    note = "both bring the file to the disk; ours also checks every byte, the types, the values and repetitions"
    return [
        compared(
            NAME,
            f"seal {SEALED_ROWS:,} exposures, {unit} ms",
            ours=took["ours"] * 1000,
            against="polars reading and writing them",
            peer=took["alone"] * 1000,
            target=SEALING,
            rows=SEALED_ROWS,
            note=note,
        )
        for unit, clock in (("wall", wall_seconds), ("CPU", cpu_seconds))
        for took in [interleaved({"ours": ours, "alone": alone}, rounds=11, seconds=12, clock=clock)]
    ]
