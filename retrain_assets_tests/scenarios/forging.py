"""What somebody does who owns the ledger's database: lifts its triggers, changes what they like, makes the chain fit again."""

from __future__ import annotations

import json
import random
import sqlite3
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from retrain_assets.contract import canonical_json
from retrain_assets.ledger import GENESIS, event_hash
from retrain_assets.ledger.watermarks import seal
from retrain_assets_tests.tampering import tampered as database

Row = dict[str, Any]
__all__ = ["altered", "altered_leaf", "change_payload", "database", "fit", "flipped", "hide", "replace_events", "rows"]

LETTERS = string.ascii_letters + string.digits + " .:-_{}\"'\\é\t"


def rows(connection: sqlite3.Connection) -> list[Row]:
    """The stored events in their order."""
    cursor = connection.execute("SELECT * FROM events ORDER BY sequence")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, values, strict=True)) for values in cursor]


def replace_events(connection: sqlite3.Connection, events: list[Row], *, fitting: bool, head: bool = True) -> None:
    """Put other events in place of all.

    Args:
        connection: the database.
        events: what is to stand there.
        fitting: number them anew and compute every hash anew, so that the chain holds, and the notes about progress with it.
        head: let the head name the last one.
    """
    if fitting:
        fit(events)
    connection.execute("DELETE FROM events")
    for event in events:
        marks = ", ".join("?" * len(event))
        connection.execute(f"INSERT INTO events ({', '.join(event)}) VALUES ({marks})", tuple(event.values()))
    for name, sequence in connection.execute("SELECT name, sequence FROM projections").fetchall() if fitting else ():
        _note(connection, name, min(sequence, len(events)))
    if head:
        last = events[-1]
        connection.execute("UPDATE head SET sequence = ?, hash = ?", (last["sequence"], last["hash"]))


def fit(events: list[Row]) -> None:
    """Number events, and compute every hash, as the ledger does."""
    previous = GENESIS
    for number, row in enumerate(events, start=1):
        row |= {"sequence": number, "previous_hash": previous}
        fields = {name: value for name, value in row.items() if name not in ("actor_kind", "actor_name", "hash")}
        fields["payload"] = json.loads(row["payload"])
        row["payload"] = canonical_json(fields["payload"]).decode()
        fields["actor"] = {"kind": row["actor_kind"], "name": row["actor_name"]}
        previous = row["hash"] = event_hash(fields)


def change_payload(row: Row, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what an event says, its hash left as it was."""
    payload = json.loads(row["payload"])
    change(payload)
    row["payload"] = canonical_json(payload).decode()


def hide(connection: sqlite3.Connection, first: int) -> None:
    """Take away every checkpoint from an event on, and the note of how many there were."""
    connection.execute("DELETE FROM checkpoints WHERE sequence >= ?", (first,))
    (left,) = connection.execute("SELECT count(*) FROM checkpoints").fetchone()
    _note(connection, "checkpoints", left)


def _note(connection: sqlite3.Connection, name: str, sequence: int) -> None:
    """Make a note about progress fit the events as they are now."""
    found = connection.execute("SELECT hash FROM events WHERE sequence = ?", (sequence,)).fetchone()
    sealed = seal(name, sequence, found[0] if found else GENESIS)
    connection.execute("UPDATE projections SET sequence = ?, seal = ? WHERE name = ?", (sequence, sealed, name))


def altered(value: Any, draw: random.Random) -> Any:
    """A stored value with one change: a letter replaced, put in or taken out, a number moved, something where nothing was."""
    if value is None:
        return draw.choice([0, "x"])
    if isinstance(value, int):
        return value + draw.choice([-1000, -1, 1, 7, 2**40])
    if isinstance(value, float):
        return value + draw.choice([-1.5, 0.001, 1e6])
    at = draw.randrange(len(value)) if value else 0
    how = draw.randrange(3) if value else 1
    if how == 0:
        return value[:at] + draw.choice([letter for letter in LETTERS if letter != value[at]]) + value[at + 1 :]
    if how == 1:
        return value[:at] + draw.choice(LETTERS) + value[at:]
    return value[:at] + value[at + 1 :]


def flipped(path: Path, draw: random.Random) -> int:
    """Change one byte of a file; where."""
    data = bytearray(path.read_bytes())
    at = draw.randrange(len(data))
    data[at] ^= draw.randrange(1, 256)
    path.write_bytes(data)
    return at


def altered_leaf(value: Any, draw: random.Random, *, but: Callable[[str], bool] = lambda path: False) -> str:
    """Change one leaf of a JSON value in place; its path."""
    leaves = [leaf for leaf in _leaves(value) if not but(leaf[2])]
    holder, key, path = draw.choice(leaves)
    holder[key] = altered(holder[key], draw) if not isinstance(holder[key], bool) else not holder[key]
    return path


def _leaves(value: Any, path: str = "") -> Iterator[tuple[Any, Any, str]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in list(pairs):
        if isinstance(one, dict | list):
            yield from _leaves(one, f"{path}.{key}")
        else:
            yield value, key, f"{path}.{key}"
