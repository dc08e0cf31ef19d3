"""The ledger's database below its rows: whether SQLite finds the file whole, and nothing in it that does not belong there."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from retrain_assets.cli.verify.part import Part
from retrain_assets.contract import first_line
from retrain_assets.home import Home
from retrain_assets.ledger.guards import sqlite_guards
from retrain_assets.ledger.tables import TABLES
from retrain_assets.release.anchoring import ANCHORS, MADE

NOTED = frozenset({"flags", "registry", ANCHORS, MADE})
"""What the table of projections notes the progress of."""

_BESIDE = frozenset({"alembic_version"})
_SILENT = ("locked", "unable to open", "disk i/o error", "interrupted")
"""What SQLite says when it cannot read; everything else it says of a file that is not what it wrote."""


def file_faults(home: Home) -> list[str]:
    """What is wrong with a SQLite file: pages and indices, tables or triggers of somebody else; nothing for another database."""
    path = sqlite_path(home)
    if path is None:
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as database:
            found = [str(row[0]) for row in database.execute("PRAGMA integrity_check(5)")]
            faults = [] if found == ["ok"] else [f"SQLite finds the file damaged: {line}" for line in found]
            return [*faults, *_foreign(database), *_strange_rows(database)]
    except sqlite3.Error as error:
        return [] if _is_silence(str(error)) else [f"SQLite finds the file damaged: {error}"]


def sqlite_path(home: Home) -> Path | None:
    """The file of the ledger; None where it is kept in another database."""
    url = home.ledger_url
    return Path(url.removeprefix("sqlite:///").partition("?")[0]) if url.startswith("sqlite:") else None


def unreadable(name: str, error: SQLAlchemyError, damage: Sequence[str] = ()) -> Part:
    """The part of a database that gives no answer: broken where the file is damaged, else not checked."""
    said = str(error.orig) if isinstance(error, DBAPIError) else first_line(error)
    if damage:
        return Part(name, "", tuple(damage))
    if _is_silence(said) or "psycopg" in type(getattr(error, "orig", None)).__module__:
        return Part(name, "", unchecked=f"the database does not answer ({first_line(error)})")
    return Part(name, "", (f"the database cannot be read: {said}",))


def _is_silence(said: str) -> bool:
    return any(words in said.lower() for words in _SILENT)


def _foreign(database: sqlite3.Connection) -> list[str]:
    """Tables, views and triggers that are not the ledger's own; a trigger can change what is written."""
    own = {*TABLES.tables, *_BESIDE}
    named = database.execute("SELECT type, name, tbl_name FROM sqlite_master ORDER BY type, name")
    return [
        f"there is a {kind} {name!r} in the database, which is not the ledger's"
        for kind, name, table in named
        if not (kind == "table" and name in own)
        and not (kind == "index" and table in own)
        and not (kind == "trigger" and name in sqlite_guards())
    ]


def _strange_rows(database: sqlite3.Connection) -> list[str]:
    faults = []
    heads = [row[0] for row in database.execute("SELECT id FROM head")]
    if heads != [1]:
        faults.append(f"the table of the head has rows {heads}, not the one row 1")
    names = {str(row[0]) for row in database.execute("SELECT name FROM projections")}
    faults += [f"the database notes the progress of {name!r}, which is nothing of ours" for name in sorted(names - NOTED)]
    return faults
