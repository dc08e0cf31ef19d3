"""The ledger against a bare SQLite commit of the same row, and its verification against the hashing alone."""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, Target, compared, interleaved
from retrain_assets.contract import canonical_json
from retrain_assets.home import Home
from retrain_assets.ledger import SYSTEM, EventDraft, EventKind, Ledger, event_hash

NAME = "ledger"
APPENDS = 400
EVENTS = 100_000
HASHED = 10_000
"""Of how many events the hashing alone is measured; it costs the same for each."""
LIMIT = Target(3)
PER_EVENT_US = 10.0
"""100,000 events a second, which may be missed where the ratio to the hashing alone holds."""
NOON = datetime(2026, 7, 1, tzinfo=UTC)


def run() -> list[Row]:
    root = Home.from_environment().root
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="bench-") as folder:
        return [*_append(Path(folder)), *_verify(Path(folder))]


def drafts() -> list[EventDraft]:
    """Events as the demo writes them: of ten, four verdicts of a gate, four looks at a canary, two that are short."""
    gate = _draft(EventKind.GATE_EVALUATED, {"gate": "offline", "outcome": "pass", "verdicts": [_verdict(n) for n in range(16)]})
    look = _draft(EventKind.CANARY_LOOKED, {"stage": "25", "measures": [_verdict(n) for n in range(2)]})
    step = _draft(EventKind.TOGGLE_STEPPED, {"from": "5", "to": "25"})
    return [gate, look, gate, look, step, gate, look, gate, look, step]


def _append(folder: Path) -> list[Row]:
    draft = drafts()[0]
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    ledger.append(draft)
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        row: list[Any] = list(connection.execute("SELECT * FROM events").fetchone())
        names = [column[1] for column in connection.execute("PRAGMA table_info(events)")]
    create = f"CREATE TABLE events ({', '.join(names)}, PRIMARY KEY (sequence))"
    insert = f"INSERT INTO events VALUES ({', '.join('?' * len(row))})"
    sequences = count()

    def commit(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(insert, [next(sequences), *row[1:]])
        connection.execute("COMMIT")

    def open_and_commit() -> None:
        with closing(_opened(folder / "reopened.db")) as connection:
            commit(connection)

    for name in ("open.db", "reopened.db"):
        with closing(_opened(folder / name)) as connection:
            connection.execute(create)
    with closing(_opened(folder / "open.db")) as kept:
        took = interleaved(
            {"ours": lambda: ledger.append(draft), "commit": lambda: commit(kept), "reopened": open_and_commit},
            rounds=APPENDS,
        )
    milliseconds = {name: seconds * 1000 for name, seconds in took.items()}
    size = len(row[names.index("payload")])
    return [
        compared(
            NAME,
            "append one event, p50, ms",
            ours=milliseconds["ours"],
            against="SQLite commit of the same row",
            peer=milliseconds["commit"],
            target=LIMIT,
            rows=APPENDS,
            note=f"both in WAL mode with synchronous=FULL, on the disk of RETRAIN_HOME, {size} bytes of payload",
        ),
        compared(
            NAME,
            "append one event, p50, ms",
            ours=milliseconds["ours"],
            against="SQLite open, commit and close",
            peer=milliseconds["reopened"],
            rows=APPENDS,
            note="what keeping the connection saves",
        ),
    ]


def _verify(folder: Path) -> list[Row]:
    ledger = Ledger(f"sqlite:///{folder / 'long.db'}")
    some = list(islice(cycle(drafts()), EVENTS // 10))
    for _ in range(10):
        ledger.append_all(some)
    fields = [event.to_json() for event in ledger.events(after=EVENTS - HASHED)]
    texts = [canonical_json({name: value for name, value in one.items() if name != "hash"}) for one in fields]

    def hashing() -> None:
        for one in fields:
            event_hash(one)

    def sha256() -> None:
        for text in texts:
            hashlib.sha256(text).hexdigest()

    def verify() -> None:
        if broken := ledger.verify():
            raise AssertionError(broken[0])

    took = interleaved({"ours": verify, "hashing": hashing, "sha256": sha256}, rounds=7, seconds=40)
    ours = took["ours"] / EVENTS * 1e6
    measure = "verify the chain, µs an event"
    size = sum(map(len, texts)) / len(texts)
    return [
        compared(
            NAME,
            measure,
            ours=ours,
            against="100,000 events a second",
            peer=PER_EVENT_US,
            rows=EVENTS,
            note=f"{1e6 / ours:,.0f} events a second, of {size:,.0f} bytes each; SQLite's integrity check beside it included",
        ),
        compared(
            NAME,
            measure,
            ours=ours,
            against="canonical JSON and SHA-256 alone",
            peer=took["hashing"] / HASHED * 1e6,
            target=LIMIT,
            rows=EVENTS,
            note="of events that are in memory already",
        ),
        compared(
            NAME,
            measure,
            ours=ours,
            against="SHA-256 alone",
            peer=took["sha256"] / HASHED * 1e6,
            rows=EVENTS,
            note="of canonical JSON that is in memory already",
        ),
    ]


def _draft(kind: EventKind, payload: dict[str, Any]) -> EventDraft:
    return EventDraft(
        at=NOON + timedelta(days=1),
        actor=SYSTEM,
        kind=kind,
        model="flight_delay",
        retrain="2026-07-01-drift",
        toggle="flight_delay-2026-07-01-drift",
        reason=f"{kind} of the retrain of July",
        payload={**payload, "evidence": "sha256:" + "c" * 64, "subjects": {"bundle": "sha256:" + "b" * 64}},
    )


def _verdict(number: int) -> dict[str, Any]:
    return {
        "check": f"metric_{number}_not_worse_than_the_champion",
        "outcome": "pass",
        "value": 0.5 + number / 100,
        "threshold": 0.6,
        "rows": 8000 + number,
        "message": "0.512 is within 0.005 of the champion's 0.514",
    }


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection
