"""The ledger against a bare SQLite commit of the same row, and its verification against the hashing alone."""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, Target, compared, interleaved, wall_seconds
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
        return [_append(Path(folder)), _verify(Path(folder))]


def _append(folder: Path) -> Row:
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    row = _columns(ledger.append(DRAFT))
    bare = sqlite3.connect(folder / "bare.db", isolation_level=None)
    try:
        bare.execute("PRAGMA journal_mode=WAL")
        bare.execute("PRAGMA synchronous=FULL")
        bare.execute(f"CREATE TABLE events ({', '.join(row)}, PRIMARY KEY (sequence))")
        insert = f"INSERT INTO events VALUES ({', '.join('?' * len(row))})"
        ours, peer = [], []
        for number in range(APPENDS):
            started = wall_seconds()
            ledger.append(DRAFT)
            between = wall_seconds()
            bare.execute("BEGIN IMMEDIATE")
            bare.execute(insert, [number, *list(row.values())[1:]])
            bare.execute("COMMIT")
            ours.append(between - started)
            peer.append(wall_seconds() - between)
    finally:
        bare.close()
    return compared(
        NAME,
        "append one event, p50, ms",
        ours=statistics.median(ours) * 1000,
        against="SQLite commit of the same row",
        peer=statistics.median(peer) * 1000,
        target=LIMIT,
        rows=APPENDS,
        note="both in WAL mode with synchronous=FULL on the disk of RETRAIN_HOME; the bare connection stays open",
    )


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
