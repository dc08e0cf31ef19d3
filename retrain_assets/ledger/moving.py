"""Moving a ledger to another database: its rows as they are, and a check on the other side."""

from __future__ import annotations

from itertools import islice

import sqlalchemy as sa

from retrain_assets.contract import CustodyError, RetrainError
from retrain_assets.ledger.chain import GENESIS, BrokenLink
from retrain_assets.ledger.checkpoints import checkpoint_faults
from retrain_assets.ledger.database import Database
from retrain_assets.ledger.store import Ledger
from retrain_assets.ledger.tables import CHECKPOINTS, EVENTS, HEAD, PROJECTIONS

_CHUNK = 500


def copy_ledger(source_url: str, target_url: str) -> tuple[int, str]:
    """Copy a whole ledger into an empty database, and verify it there. Nothing may write to the source meanwhile.

    Args:
        source_url: SQLAlchemy URL of the ledger.
        target_url: SQLAlchemy URL of a database without a ledger, or with an empty one.

    Returns:
        Sequence and hash of the head, the same on both sides.

    Raises:
        CustodyError: when the source does not verify; nothing is copied.
        RetrainError: when the target already has events.
    """
    source, target = Ledger(source_url), Ledger(target_url)
    _refuse_broken(source)
    if target.head() != (0, GENESIS):
        raise RetrainError("there is a ledger with events already", where=target.url, remedy="give an empty database")
    read, write = Database(source_url), Database(target_url)
    with read.snapshot() as rows, write.transaction(write=True) as connection:
        for table in (EVENTS, CHECKPOINTS, PROJECTIONS):
            _copy(rows, connection, table)
        head = rows.execute(sa.select(HEAD.c.sequence, HEAD.c.hash)).one()
        connection.execute(HEAD.update().where(HEAD.c.id == 1, HEAD.c.sequence == 0).values(sequence=head[0], hash=head[1]))
    _refuse_broken(target)
    return target.head()


def _copy(rows: sa.Connection, connection: sa.Connection, table: sa.Table) -> None:
    found = rows.execution_options(yield_per=_CHUNK).execute(sa.select(table).order_by(*table.primary_key)).mappings()
    stored = iter(found)
    while part := [dict(row) for row in islice(stored, _CHUNK)]:
        connection.execute(table.insert(), part)


def _refuse_broken(ledger: Ledger) -> None:
    broken: list[BrokenLink] = ledger.verify() or checkpoint_faults(ledger)
    if broken:
        raise CustodyError(broken[0].message, where=ledger.url, remedy="restore the ledger from a backup, then copy that")
