"""What somebody does who has the ledger's file in their hands: take the triggers off, change a row, put them back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def tampered(ledger: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a SQLite ledger on which nothing is refused; committed at the end, with every trigger as it was."""
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for _, sql in triggers:
            connection.execute(sql)
