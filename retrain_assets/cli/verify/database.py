"""The ledger's database beside its rows: whether anything in it is not the ledger's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from retrain_assets.home import Home
from retrain_assets.ledger.guards import sqlite_guards
from retrain_assets.ledger.tables import TABLES
from retrain_assets.release.anchoring import ANCHORS, MADE

NOTED = frozenset({"flags", "registry", ANCHORS, MADE})
"""What the table of projections notes the progress of."""


def foreign_faults(home: Home) -> list[str]:
    """Tables, views, triggers and notes in a SQLite file that are not the ledger's own; nothing for another database.

    A trigger of somebody else can change what is written. Damage of the file is :meth:`Ledger.verify`'s to tell.
    """
    path = sqlite_path(home)
    if path is None:
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as database:
            return [*_foreign(database), *_strange_notes(database)]
    except (sqlite3.Error, UnicodeDecodeError):
        return []


def sqlite_path(home: Home) -> Path | None:
    """The file of the ledger; None where it is kept in another database."""
    url = home.ledger_url
    return Path(url.removeprefix("sqlite:///").partition("?")[0]) if url.startswith("sqlite:") else None


def _foreign(database: sqlite3.Connection) -> list[str]:
    own = {"table": set(TABLES.tables), "trigger": set(sqlite_guards())}
    named = database.execute("SELECT type, name, tbl_name FROM sqlite_master ORDER BY type, name").fetchall()
    return [
        f"there is a {kind} {name!r} in the database, which is not the ledger's"
        for kind, name, table in named
        if name not in own.get(kind, ()) and not (kind == "index" and table in own["table"])
    ]


def _strange_notes(database: sqlite3.Connection) -> list[str]:
    names = {str(row[0]) for row in database.execute("SELECT name FROM projections")}
    return [f"the watermark {name!r} is of nothing that follows the ledger" for name in sorted(names - NOTED)]
