"""A whole ledger checked as it is stored, as of one moment: chain, head, watermarks, triggers, and the database's own structure.

Memory does not grow with the number of events. Checkpoints are checked by ``checkpoints.checkpoint_faults``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from retrain_assets.ledger import watermarks
from retrain_assets.ledger.chain import (
    COLUMNS,
    GENESIS,
    BrokenLink,
    StoredRow,
    broken_links,
    head_faults,
    readable,
    recomputed_hash,
)
from retrain_assets.ledger.database import Database, lenient_text, stored_rows
from retrain_assets.ledger.guards import guard_faults
from retrain_assets.ledger.schema import REVISIONS, version
from retrain_assets.ledger.tables import TABLES

_MAPPED_BYTES = 1 << 30
"""How much of a SQLite file is read through memory mapping, which costs a third less than copying its pages."""
_DAMAGE = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
"""SQLite's result codes for a file that is not what was written; a table that is gone is among them."""
_POSTGRESQL_DAMAGE = ("XX", "42P01", "42703")
"""The same for PostgreSQL: data or index corrupted, a table or a column gone."""


def verify(database: Database, *, after: tuple[int, str] | None = None) -> list[BrokenLink]:
    """Every broken link, first to last; then what is wrong beside the chain. Empty when all holds.

    Args:
        database: where the ledger is.
        after: sequence and hash of an event that is known to be whole; only it and what comes after are looked at.

    Raises:
        sqlalchemy.exc.DBAPIError: when the database does not answer.
    """
    with ThreadPoolExecutor(1) as beside:
        structure = beside.submit(_structure_faults, database)
        try:
            with database.snapshot() as connection:
                found, whole = _chain_faults(database, connection, after)
                if whole:
                    found += [BrokenLink(0, fault) for fault in _faults_beside(connection)]
        except (DBAPIError, database.driver_error) as error:
            return [BrokenLink(0, f"the database cannot be read ({_damage(error)})")]
        return found + structure.result() if whole else found


def _chain_faults(database: Database, connection: sa.Connection, after: tuple[int, str] | None) -> tuple[list[BrokenLink], bool]:
    """What is wrong with events and head, and whether all of them could be read."""
    if database.is_sqlite:
        connection.exec_driver_sql(f"PRAGMA mmap_size={_MAPPED_BYTES}")
    found, end, error = _links(database, connection, after)
    if isinstance(error, sqlite3.OperationalError) and "decode" in str(error):
        lenient_text(connection)
        found, end, error = _links(database, connection, after)
    if error is not None:
        said = f"after event {end[0]} the database cannot be read ({_damage(error)})"
        return [*found, BrokenLink(end[0] + 1, said)], False
    lenient_text(connection)
    head = connection.exec_driver_sql("SELECT id, sequence, hash FROM head ORDER BY id").all()
    return [*found, *head_faults(head, *end)], True


def _links(
    database: Database, connection: sa.Connection, after: tuple[int, str] | None
) -> tuple[list[BrokenLink], tuple[int, Any], Exception | None]:
    """The chain's broken links, its last sequence and hash, and what kept it from being read to its end."""
    first, found = after or (0, GENESIS), []
    place = [first[0]]
    where = f" WHERE sequence >= {first[0]:d}" if after else ""
    rows = stored_rows(connection, f"SELECT {', '.join(COLUMNS)} FROM events{where} ORDER BY sequence")
    try:
        if after:
            found += _known_event_faults(next(rows, None), *after)
        links = broken_links(_noted(rows, place), after=first)
        while True:
            found.append(next(links))
    except StopIteration as stop:
        return found, stop.value, None
    except database.driver_error as error:
        return found, (place[0], ""), error


def _noted(rows: Iterable[StoredRow], place: list[Any]) -> Iterator[StoredRow]:
    """The rows, with the sequence of the last one in ``place``."""
    for row in rows:
        yield row
        place[0] = row[0]


def _known_event_faults(row: StoredRow | None, sequence: int, known: str) -> list[BrokenLink]:
    if row is None or row[0] != sequence:
        return [BrokenLink(sequence, f"event {sequence}, from which on the chain was to be verified, is missing")]
    if not row[14] == known == recomputed_hash(row):
        said = f"event {sequence}, from which on the chain was to be verified, is not the one with hash {known[:12]}…"
        return [BrokenLink(sequence, said)]
    return []


def _faults_beside(connection: sa.Connection) -> list[str]:
    head = connection.exec_driver_sql("SELECT max(sequence) FROM head WHERE id = 1").scalar_one()
    found = watermarks.faults(connection, head if isinstance(head, int) else 0)
    if (at := version(connection)) != REVISIONS[-1]:
        found.append(f"the schema is said to be revision {readable(at)!r}, it is {REVISIONS[-1]}")
    return found + guard_faults(connection)


def _structure_faults(database: Database) -> list[BrokenLink]:
    """What SQLite finds wrong with pages and indexes of its file, as one fault; beside the chain because it takes as long."""
    if not database.is_sqlite:
        return []
    try:
        with database.snapshot() as connection:
            said = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(10)")]
            said = _column_faults(connection) if said == ["ok"] else said
    except DBAPIError as error:
        said = [_damage(error)]
    if not said:
        return []
    more = f", and {len(said) - 1} more" if len(said) > 1 else ""
    return [BrokenLink(0, f"the structure of the database is damaged: {readable(' '.join(said[0].split()))}{more}")]


def _column_faults(connection: sa.Connection) -> list[str]:
    """Columns of a SQLite file that are not what they were made as: a changed letter of a schema takes a constraint away."""
    found = []
    for table in TABLES.sorted_tables:
        rows = connection.exec_driver_sql(f"SELECT name, type, \"notnull\", pk > 0 FROM pragma_table_info('{table.name}')")
        stored = {(name, kind.upper(), bool(required), bool(key)) for name, kind, required, key in rows}
        made = {(one.name, one.type.compile(connection.dialect), not one.nullable, one.primary_key) for one in table.columns}
        found += [f"column {table.name}.{name} is not as it was made" for name in sorted({one[0] for one in stored ^ made})]
    return found


def _damage(error: Exception) -> str:
    """What a database says that is not what was written.

    Raises:
        Exception: the error itself, where it says something else: locked, full, not answering.
    """
    driver = getattr(error, "orig", None) or error
    if isinstance(driver, sqlite3.Error):
        hurt = getattr(driver, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _DAMAGE
    else:
        hurt = str(getattr(driver, "sqlstate", "")).startswith(_POSTGRESQL_DAMAGE)
    if not hurt:
        raise error
    return readable(" ".join(str(driver).split()))
