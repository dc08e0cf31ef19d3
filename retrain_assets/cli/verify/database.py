"""The ledger's database beside its rows: whether anything in it is not the ledger's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from retrain_assets.home import Home
from retrain_assets.ledger.tables import TABLES
from retrain_assets.release.anchoring import ANCHORS, MADE

NOTED = frozenset({"flags", "registry", ANCHORS, MADE})
"""What the table of projections notes the progress of."""


def foreign_faults(home: Home) -> list[str]:
    """Tables, indexes and notes in a SQLite file that are not the ledger's own; nothing for another database.

    Triggers and views are :meth:`Ledger.verify`'s to tell.

    Raises:
        sqlite3.Error: when the file does not answer, or is damaged.
        UnicodeDecodeError: when a name in it is no text any more.
    """
    path = sqlite_path(home)
    if path is None:
        return []
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as database:
        return [*_foreign(database), *_strange_notes(database)]


def sqlite_path(home: Home) -> Path | None:
    """The file of the ledger; None where it is kept in another database."""
    url = home.ledger_url
    return Path(url.removeprefix("sqlite:///").partition("?")[0]) if url.startswith("sqlite:") else None


def _foreign(database: sqlite3.Connection) -> list[str]:
    query = "SELECT type, name, tbl_name FROM sqlite_master WHERE type IN ('table', 'index') ORDER BY type, name"
    return [
        f"there is a {kind} {name!r} in the database, which is not the ledger's"
        for kind, name, table in database.execute(query)
        if (table if kind == "index" else name) not in TABLES.tables
    ]


def _strange_notes(database: sqlite3.Connection) -> list[str]:
    names = {str(row[0]) for row in database.execute("SELECT name FROM projections")}
    return [f"the watermark {name!r} is of nothing that follows the ledger" for name in sorted(names - NOTED)]
