"""Watermarks: up to which event something derived from the ledger is known to be up to date. They only go forward."""

from __future__ import annotations

import sqlalchemy as sa

from retrain_assets.contract import CustodyError, canonical_json, sha256_hex
from retrain_assets.ledger.chain import GENESIS, readable
from retrain_assets.ledger.tables import EVENTS, HEAD, PROJECTIONS


def seal(name: str, sequence: int, event_hash: str) -> str:
    """Hexadecimal SHA-256 that binds a watermark to the event it stands at."""
    return sha256_hex(canonical_json({"name": name, "sequence": sequence, "hash": event_hash}))


def read(connection: sa.Connection, name: str) -> int:
    """The watermark of a projection; 0 when there is none."""
    query = sa.select(PROJECTIONS.c.sequence).where(PROJECTIONS.c.name == name)
    return connection.execute(query).scalar_one_or_none() or 0


def move(connection: sa.Connection, name: str, sequence: int) -> None:
    """Move a watermark forward; one that is further already stays.

    Raises:
        CustodyError: when the ledger has no such event.
    """
    connection.execute(sa.select(HEAD.c.id).with_for_update())
    known = connection.execute(sa.select(PROJECTIONS).where(PROJECTIONS.c.name == name)).one_or_none()
    if known is not None and known.sequence > sequence:
        return
    found = _hash_at(connection, sequence)
    if found is None:
        raise CustodyError(
            f"{name} cannot be up to date with event {sequence}, which the ledger does not have",
            where="ledger",
            remedy="run retrain audit verify and restore the ledger from a backup",
        )
    values = {"sequence": sequence, "seal": seal(name, sequence, found)}
    if known is None:
        connection.execute(PROJECTIONS.insert().values(name=name, **values))
    elif (known.sequence, known.seal) != (sequence, values["seal"]):
        connection.execute(PROJECTIONS.update().where(PROJECTIONS.c.name == name).values(**values))


def faults(connection: sa.Connection, head: int) -> list[str]:
    """Watermarks that are not as they were set: unreadable, ahead of the head or at another event; one sentence each.

    Args:
        connection: a connection to the ledger.
        head: sequence of the last event.
    """
    found = []
    for name, sequence, sealed in connection.execute(sa.select(PROJECTIONS).order_by(PROJECTIONS.c.name)):
        if type(name) is not str or type(sequence) is not int or sequence < 0:
            found.append(f"the watermark {name!r} cannot be read: it stands at {sequence!r}")
        elif sequence > head:
            found.append(f"the watermark {name!r} stands at event {sequence}, the last one is {head}")
        elif readable(name) != name or sealed != seal(name, sequence, _hash_at(connection, sequence) or ""):
            found.append(f"the watermark {name!r} at event {sequence} was changed: its seal is not of it")
    return found


def _hash_at(connection: sa.Connection, sequence: int) -> str | None:
    if sequence == 0:
        return GENESIS
    found = connection.execute(sa.select(EVENTS.c.hash).where(EVENTS.c.sequence == sequence)).scalar_one_or_none()
    return found if isinstance(found, str) else None
