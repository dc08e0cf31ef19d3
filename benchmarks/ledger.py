"""The ledger against a bare SQLite commit of the same row, and its verification against the hashing alone."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, Target, compared, interleaved
from retrain_assets.contract import canonical_json
from retrain_assets.home import Home
from retrain_assets.ledger import SYSTEM, Event, EventDraft, EventKind, Ledger, event_hash

NAME = "ledger"
APPENDS = 400
EVENTS = 10_000
LIMIT = Target(3)
DRAFT = EventDraft(
    at=datetime(2026, 7, 1, tzinfo=UTC),
    actor=SYSTEM,
    kind=EventKind.GATE_EVALUATED,
    model="flight_delay",
    retrain="2026-07-01-drift",
    reason="the offline gate was evaluated",
    payload={
        "gate": "offline",
        "outcome": "passed",
        "verdicts": [
            {
                "check": f"metric_{number}",
                "outcome": "passed",
                "value": 0.5 + number / 100,
                "threshold": 0.6,
                "rows": 8000 + number,
            }
            for number in range(5)
        ],
        "evidence": "sha256:" + "c" * 64,
    },
)


def run() -> list[Row]:
    root = Home.from_environment().root
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="bench-") as folder:
        return [*_append(Path(folder)), _verify(Path(folder))]


def _append(folder: Path) -> list[Row]:
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    row = _columns(ledger.append(DRAFT))
    create = f"CREATE TABLE events ({', '.join(row)}, PRIMARY KEY (sequence))"
    insert = f"INSERT INTO events VALUES ({', '.join('?' * len(row))})"
    sequences = count()

    def commit(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(insert, [next(sequences), *list(row.values())[1:]])
        connection.execute("COMMIT")

    def open_and_commit() -> None:
        with closing(_opened(folder / "reopened.db")) as connection:
            commit(connection)

    for name in ("open.db", "reopened.db"):
        with closing(_opened(folder / name)) as connection:
            connection.execute(create)
    with closing(_opened(folder / "open.db")) as kept:
        took = interleaved(
            {"ours": lambda: ledger.append(DRAFT), "commit": lambda: commit(kept), "reopened": open_and_commit},
            rounds=APPENDS,
        )
    milliseconds = {name: seconds * 1000 for name, seconds in took.items()}
    return [
        compared(
            NAME,
            "append one event, p50, ms",
            ours=milliseconds["ours"],
            against="SQLite commit of the same row",
            peer=milliseconds["commit"],
            target=LIMIT,
            rows=APPENDS,
            note="both in WAL mode with synchronous=FULL, on the disk of RETRAIN_HOME; this connection stays open",
        ),
        compared(
            NAME,
            "append one event, p50, ms",
            ours=milliseconds["ours"],
            against="SQLite open, commit and close",
            peer=milliseconds["reopened"],
            rows=APPENDS,
            note="as the ledger does, so that its file is complete after every event",
        ),
    ]


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _verify(folder: Path) -> Row:
    ledger = Ledger(f"sqlite:///{folder / 'long.db'}")
    ledger.append_all([DRAFT] * EVENTS)
    stored = [event.to_json() for event in ledger.events()]

    def hashing() -> None:
        for fields in stored:
            event_hash(fields)

    def verify() -> None:
        if broken := ledger.verify():
            raise AssertionError(broken[0])

    took = interleaved({"ours": verify, "hashing": hashing}, rounds=5, seconds=10)
    return compared(
        NAME,
        "verify the chain, µs an event",
        ours=took["ours"] / EVENTS * 1e6,
        against="canonical JSON and SHA-256 alone",
        peer=took["hashing"] / EVENTS * 1e6,
        target=LIMIT,
        rows=EVENTS,
        note=f"{EVENTS / took['ours']:,.0f} events a second",
    )


def _columns(event: Event) -> Mapping[str, Any]:
    fields = event.to_json()
    actor = fields.pop("actor")
    return {
        **fields,
        "payload": canonical_json(fields["payload"]).decode(),
        "actor_kind": actor["kind"],
        "actor_name": actor["name"],
    }
