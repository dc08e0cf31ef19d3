"""How the ledger is read: its events whole or in part, as they were hashed, and where the chain ends."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from retrain_assets.contract import CustodyError
from retrain_assets.ledger.chain import canonical_text
from retrain_assets.ledger.database import Database, lenient_text, stored_rows
from retrain_assets.ledger.events import EVERY_MODEL, Event, EventKind
from retrain_assets.ledger.rows import event_of
from retrain_assets.ledger.tables import EVENTS, HEAD

_PART = 2000
"""Events read at a time."""


@dataclass(frozen=True, slots=True)
class RecordedText:
    """An event as it was hashed.

    Args:
        sequence: its place.
        text: canonical JSON of the event without its hash.
        hash: SHA-256 of the text's bytes, as stored.
    """

    sequence: int
    text: str
    hash: str


class LedgerReading:
    """Reads the ledger in a database.

    Args:
        database: where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.url = database.url

    def events(
        self,
        *,
        model: str | None = None,
        retrain: str | None = None,
        kinds: Iterable[EventKind] | None = None,
        after: int = 0,
    ) -> list[Event]:
        """Events in order, those after a sequence, of one model, retrain or some kinds where given.

        Raises:
            CustodyError: when a stored row is not an event any more.
        """
        query = _narrowed(model, retrain, after)
        if kinds is not None:
            query = query.where(EVENTS.c.kind.in_([str(kind) for kind in kinds]))
        with self._database.transaction() as connection:
            rows = connection.execute(query).all()
        return [event_of(tuple(row)) for row in rows]

    def parts(self, *, after: int = 0) -> Iterator[list[Event]]:
        """The events after a sequence in order, as of one moment, some thousands at a time: a long chain takes no more memory.

        Raises:
            CustodyError: when a stored row is not an event any more.
        """
        with self._database.snapshot() as connection:
            rows = connection.execution_options(yield_per=_PART).execute(_narrowed(None, None, after))
            for part in rows.partitions():
                yield [event_of(tuple(row)) for row in part]

    def about_all(self, kinds: Iterable[EventKind]) -> list[Event]:
        """The events of some kinds, and those about every model whatever their kind, in order."""
        wanted = sa.or_(EVENTS.c.kind.in_([str(kind) for kind in kinds]), EVENTS.c.model == EVERY_MODEL)
        with self._database.transaction() as connection:
            rows = connection.execute(sa.select(EVENTS).where(wanted).order_by(EVENTS.c.sequence)).all()
        return [event_of(tuple(row)) for row in rows]

    def subjects(self, *, after: int, until: int) -> list[tuple[str, str | None, str | None]]:
        """Each model, retrain and toggle that events after a sequence and up to another one are about, once."""
        columns = (EVENTS.c.model, EVENTS.c.retrain, EVENTS.c.toggle)
        query = sa.select(*columns).where(EVENTS.c.sequence > after, EVENTS.c.sequence <= until).distinct()
        with self._database.transaction() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(query)]

    def texts(self, *, model: str | None = None, retrain: str | None = None, after: int = 0) -> Iterator[RecordedText]:
        """Events as they were hashed, in order, read a part at a time: what an outsider hashes again.

        Raises:
            CustodyError: when a stored row is not an event any more.
        """
        with self._database.snapshot() as connection:
            rows = connection.execution_options(yield_per=500).execute(_narrowed(model, retrain, after))
            for row in rows:
                try:
                    yield RecordedText(row[0], canonical_text(tuple(row)), row[14])
                except TypeError as error:
                    raise self.damaged(f"stored event {row[0]} is not an event any more ({error})") from error

    def head(self) -> tuple[int, str]:
        """Sequence and hash of the last event; ``(0, GENESIS)`` when there is none."""
        with self._database.transaction() as connection:
            head = connection.execute(sa.select(HEAD.c.sequence, HEAD.c.hash)).one()
        return head.sequence, head.hash

    @property
    def identity(self) -> str:
        """Hash of the first event: what a statement names so that it counts for this ledger alone; empty before it."""
        with self._database.transaction() as connection:
            return str(connection.execute(sa.select(EVENTS.c.hash).where(EVENTS.c.sequence == 1)).scalar_one_or_none() or "")

    def hashes(self, *, until: int | None = None) -> Iterator[str]:
        """The stored hashes of the events in their order, up to a sequence."""
        where = "" if until is None else f" WHERE sequence <= {until:d}"
        with self._database.snapshot() as connection:
            lenient_text(connection)
            for (found,) in stored_rows(connection, f"SELECT hash FROM events{where} ORDER BY sequence"):
                yield found

    def counts(self) -> dict[tuple[str, str], int]:
        """How many events of each kind there are about each model, by model and kind."""
        with self._database.transaction() as connection:
            counted = sa.select(EVENTS.c.model, EVENTS.c.kind, sa.func.count()).group_by(EVENTS.c.model, EVENTS.c.kind)
            return {(row[0], row[1]): int(row[2]) for row in connection.execute(counted)}

    def hash_of(self, sequence: int) -> str | None:
        """The stored hash of one event; None where there is none."""
        with self._database.transaction() as connection:
            return connection.execute(sa.select(EVENTS.c.hash).where(EVENTS.c.sequence == sequence)).scalar_one_or_none()

    def damaged(self, what: str) -> CustodyError:
        """What is said of a ledger that is not as it was recorded."""
        return CustodyError(
            what,
            where=self.url,
            remedy="run retrain audit verify and restore the ledger from a backup; nothing is appended to a damaged end",
        )


def _narrowed(model: str | None, retrain: str | None, after: int) -> sa.Select[Any]:
    query = sa.select(EVENTS).where(EVENTS.c.sequence > after).order_by(EVENTS.c.sequence)
    if model is not None:
        query = query.where(EVENTS.c.model == model)
    if retrain is not None:
        query = query.where(EVENTS.c.retrain == retrain)
    return query


@contextmanager
def all_stays() -> Iterator[None]:
    """No garbage is looked for in this block: of a hundred thousand events all stay, and looking costs a third of the time."""
    looking = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looking:
            gc.enable()
