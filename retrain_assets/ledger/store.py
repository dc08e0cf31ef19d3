"""The ledger's tables and the one way to write them: under a lock, after a compare-and-set, head and event in one transaction.

SQLite (WAL, BEGIN IMMEDIATE, synchronous FULL) or PostgreSQL (row lock on the head). The chain itself is checked in ``chain``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.pool import NullPool

from retrain_assets.contract import CustodyError, RetrainError, StaleRevision
from retrain_assets.ledger.chain import GENESIS, BrokenLink, broken_links, recomputed_hash
from retrain_assets.ledger.checkpoints import (
    Checkpoint,
    Inclusion,
    RecordedKey,
    StoredCheckpoint,
    peaks_text,
    recorded_keys,
    resumed,
    stored_checkpoint,
)
from retrain_assets.ledger.events import EVERY_MODEL, SYSTEM, Event, EventDraft, EventKind
from retrain_assets.ledger.merkle import CompactRange, Tree
from retrain_assets.ledger.rows import event_of, fields_of, link, row_of
from retrain_assets.ledger.signatures import Namespace
from retrain_assets.ledger.system_key import SystemKey
from retrain_assets.ledger.tables import CHECKPOINTS, EVENTS, HEAD, PROJECTIONS, TABLES

BUSY_SECONDS = 30.0
"""How long a writer waits for another one."""

_FIRST_MAKER_LOCK = 0x72657472
"""PostgreSQL advisory lock held while the tables are made."""


class ModelMoved(StaleRevision):
    """Something else was recorded about the model since the state the caller decided on."""


class Ledger:
    """The append-only record in one database.

    Args:
        url: SQLAlchemy URL, ``sqlite:///path`` or ``postgresql://…``. Missing tables (and a SQLite file's directory) are made.

    Raises:
        RetrainError: for another kind of database, or one that does not answer.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = sa.make_url(url)
        except ArgumentError as error:
            raise RetrainError(
                "is not a database URL", where="RETRAIN_LEDGER_URL", remedy="write a sqlite:/// or postgresql:// URL"
            ) from error
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise RetrainError(
                f"a ledger cannot be kept in {parsed.get_backend_name()}",
                where="RETRAIN_LEDGER_URL",
                remedy="write a sqlite:/// or postgresql:// URL",
            )
        self.url = parsed.render_as_string(hide_password=True)
        self._sqlite = parsed.get_backend_name() == "sqlite"
        if self._sqlite and not parsed.database:
            raise RetrainError("a ledger in memory would be lost", where=self.url, remedy="write sqlite:///path/ledger.db")
        if self._sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        arguments: dict[str, Any] = {"timeout": BUSY_SECONDS} if self._sqlite else {}
        self._engine = sa.create_engine(parsed, poolclass=NullPool, connect_args=arguments)
        if self._sqlite:
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        try:
            self._make_tables()
        except OperationalError as error:
            raise RetrainError(
                f"the ledger does not open ({str(error.orig).strip()})",
                where=self.url,
                remedy="check that the database runs, the file is writable and the URL is right",
            ) from error

    def append(
        self,
        draft: EventDraft,
        *,
        expect_revision: tuple[str, int] | None = None,
        expect_model: tuple[str, int] | None = None,
    ) -> Event:
        """Record one event; see :meth:`append_all`."""
        return self.append_all([draft], expect_revision=expect_revision, expect_model=expect_model)[0]

    def append_all(
        self,
        drafts: Sequence[EventDraft],
        *,
        expect_revision: tuple[str, int] | None = None,
        expect_model: tuple[str, int] | None = None,
    ) -> list[Event]:
        """Record several events in one transaction: all of them or none.

        Args:
            drafts: the events, in their order.
            expect_revision: toggle and the revision it must still have (0: not registered).
            expect_model: model and the sequence of the newest event about it, or about every model, that the caller has seen
                (0: none).

        Raises:
            StaleRevision: the toggle has another revision.
            ModelMoved: a newer event about the model, or about every model, exists.
            CustodyError: the head does not name the last event; nothing is appended to a damaged chain.
            RetrainError: a payload that is not JSON, or a time without timezone.
        """
        with self._transaction(write=True) as connection:
            sequence, previous = self._sound_head(connection)
            if expect_revision is not None:
                _compare_revision(connection, *expect_revision)
            if expect_model is not None:
                _compare_model(connection, *expect_model)
            return _appended(connection, drafts, sequence, previous)

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
        query = sa.select(EVENTS).where(EVENTS.c.sequence > after).order_by(EVENTS.c.sequence)
        if model is not None:
            query = query.where(EVENTS.c.model == model)
        if retrain is not None:
            query = query.where(EVENTS.c.retrain == retrain)
        if kinds is not None:
            query = query.where(EVENTS.c.kind.in_([str(kind) for kind in kinds]))
        with self._transaction() as connection:
            rows = connection.execute(query).mappings().all()
        return [event_of(row) for row in rows]

    def head(self) -> tuple[int, str]:
        """Sequence and hash of the last event; ``(0, GENESIS)`` when there is none."""
        with self._transaction() as connection:
            head = connection.execute(sa.select(HEAD.c.sequence, HEAD.c.hash)).one()
        return head.sequence, head.hash

    @property
    def identity(self) -> str:
        """Hash of the first event: what a statement names so that it counts for this ledger alone; empty before it."""
        with self._transaction() as connection:
            return str(connection.execute(sa.select(EVENTS.c.hash).where(EVENTS.c.sequence == 1)).scalar_one_or_none() or "")

    def verify(self) -> list[BrokenLink]:
        """Every broken link of the chain, first to last; empty when it is whole."""
        with self._transaction() as connection:
            rows = connection.execute(sa.select(EVENTS).order_by(EVENTS.c.sequence)).mappings().all()
            head = connection.execute(sa.select(HEAD.c.sequence, HEAD.c.hash)).one_or_none()
        if head is None:
            return [BrokenLink(0, "the head row is gone: nothing says where the chain ends")]
        return broken_links((fields_of(row) for row in rows), (head.sequence, head.hash))

    def add_checkpoint(self, key: SystemKey, at: datetime) -> Checkpoint:
        """Sign the head as it is now; the checkpoint there is already where nothing was recorded since.

        A key that the ledger does not know as the system's yet is recorded before (``system_key_added``).

        Args:
            key: the system's key.
            at: the clock's time.

        Raises:
            CustodyError: when the end of the chain, or the checkpoint before, is not what was recorded.
        """
        with self._transaction(write=True) as connection:
            sequence, head = self._sound_head(connection)
            added = sa.select(EVENTS).where(EVENTS.c.kind == str(EventKind.SYSTEM_KEY_ADDED)).order_by(EVENTS.c.sequence)
            known = recorded_keys(event_of(row) for row in connection.execute(added).mappings())
            if not known or known[-1].fingerprint != key.fingerprint:
                (event,) = _appended(connection, [_key_added(key, known, at)], sequence, head)
                sequence, head = event.sequence, event.hash
            stored = _stored_checkpoints(connection)
            tree = CompactRange()
            if stored:
                tree = resumed(stored[-1])
                if tree.size == sequence and (same := stored[-1].checkpoint) is not None and same.key == key.fingerprint:
                    return same
            query = sa.select(EVENTS.c.hash).where(EVENTS.c.sequence > tree.size).order_by(EVENTS.c.sequence)
            tree.extend(bytes.fromhex(found) for found in connection.execute(query).scalars())
            if tree.size != sequence:
                raise self._damaged(f"the chain has {tree.size} events, its head is event {sequence}")
            identity = connection.execute(sa.select(EVENTS.c.hash).where(EVENTS.c.sequence == 1)).scalar_one()
            unsigned = Checkpoint(identity, sequence, head, tree.root.hex(), at, key.fingerprint)
            checkpoint = replace(unsigned, signature=key.sign(unsigned.statement, Namespace.CHECKPOINT))
            connection.execute(
                CHECKPOINTS.insert().values(
                    sequence=sequence,
                    statement=checkpoint.statement.decode(),
                    signature=checkpoint.signature,
                    key=checkpoint.key,
                    peaks=peaks_text(tree),
                )
            )
            return checkpoint

    def checkpoints(self) -> list[Checkpoint]:
        """The checkpoints made so far, in their order; what cannot be read is left to :func:`checkpoint_faults`."""
        return [one.checkpoint for one in self.stored_checkpoints() if one.checkpoint is not None]

    def stored_checkpoints(self) -> list[StoredCheckpoint]:
        """The rows of the table of checkpoints, also those that are none any more."""
        with self._transaction() as connection:
            return _stored_checkpoints(connection)

    def hashes(self, *, until: int | None = None) -> Iterator[str]:
        """The stored hashes of the events in their order, up to a sequence."""
        query = sa.select(EVENTS.c.hash).order_by(EVENTS.c.sequence)
        if until is not None:
            query = query.where(EVENTS.c.sequence <= until)
        with self._transaction() as connection:
            yield from connection.execution_options(yield_per=5000).execute(query).scalars()

    def inclusion(self, sequence: int, checkpoint: Checkpoint) -> Inclusion:
        """Proof that an event is part of what a checkpoint signs; see :meth:`inclusions`."""
        return self.inclusions([sequence], checkpoint)[0]

    def inclusions(self, sequences: Iterable[int], checkpoint: Checkpoint) -> list[Inclusion]:
        """Proofs that events are part of what a checkpoint signs, made from one pass over the hashes.

        Raises:
            CustodyError: when the stored hashes do not give the checkpoint's root.
            RetrainError: for an event the checkpoint does not cover.
        """
        tree = Tree(bytes.fromhex(found) for found in self.hashes(until=checkpoint.sequence))
        if (tree.size, tree.root.hex()) != (checkpoint.sequence, checkpoint.root):
            raise self._damaged(f"the stored events do not give the root of checkpoint {checkpoint.sequence}")
        proofs = []
        for sequence in sequences:
            if not 1 <= sequence <= tree.size:
                raise RetrainError(
                    f"checkpoint {tree.size} does not cover event {sequence}", where=self.url, remedy="make a checkpoint"
                )
            proofs.append(Inclusion(sequence, tree.size, tuple(one.hex() for one in tree.inclusion(sequence - 1))))
        return proofs

    def projection(self, name: str) -> int:
        """Sequence up to which something derived from the ledger is known to be up to date; 0 when never."""
        query = sa.select(PROJECTIONS.c.sequence).where(PROJECTIONS.c.name == name)
        with self._transaction() as connection:
            return connection.execute(query).scalar_one_or_none() or 0

    def set_projection(self, name: str, sequence: int) -> None:
        """Move a projection's watermark forward; it never goes back."""
        with self._transaction(write=True) as connection:
            connection.execute(sa.select(HEAD.c.id).with_for_update())
            known = connection.execute(sa.select(PROJECTIONS.c.sequence).where(PROJECTIONS.c.name == name)).scalar_one_or_none()
            if known is None:
                connection.execute(PROJECTIONS.insert().values(name=name, sequence=sequence))
            elif known < sequence:
                connection.execute(PROJECTIONS.update().where(PROJECTIONS.c.name == name).values(sequence=sequence))

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Iterator[sa.Connection]:
        with self._engine.connect().execution_options(retrain_write=write) as connection, connection.begin():
            yield connection

    def _make_tables(self) -> None:
        with self._engine.connect() as connection:
            ready = (
                sa.inspect(connection).has_table("checkpoints") and connection.execute(sa.select(HEAD.c.id)).first() is not None
            )
        if ready:
            return
        with self._transaction(write=True) as connection:
            if not self._sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_FIRST_MAKER_LOCK)))
            TABLES.create_all(connection)
            is_new = connection.execute(sa.select(EVENTS.c.sequence).limit(1)).first() is None
            if is_new and connection.execute(sa.select(HEAD.c.id)).first() is None:
                connection.execute(HEAD.insert().values(id=1, sequence=0, hash=GENESIS))

    def _sound_head(self, connection: sa.Connection) -> tuple[int, str]:
        """The head, locked, after a look at whether it and the last event are what was recorded."""
        head = connection.execute(sa.select(HEAD.c.sequence, HEAD.c.hash).with_for_update()).one()
        sequence, previous = head.sequence, head.hash
        row = connection.execute(sa.select(EVENTS).order_by(EVENTS.c.sequence.desc()).limit(1)).mappings().one_or_none()
        last = (row["sequence"], row["hash"]) if row else (0, GENESIS)
        if (sequence, previous) != last:
            raise self._damaged(f"the head names event {sequence}, the last stored event is {last[0]}")
        if row is not None and recomputed_hash(fields_of(row)) != row["hash"]:
            raise self._damaged(f"event {sequence}, the last one, is not what its hash stands for")
        return sequence, previous

    def _damaged(self, what: str) -> CustodyError:
        return CustodyError(
            what,
            where=self.url,
            remedy="run retrain audit verify and restore the ledger from a backup; nothing is appended to a damaged end",
        )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event below starts transactions, not the driver
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    deadline = time.monotonic() + BUSY_SECONDS
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:  # the switch to WAL happens once per file and does not wait for other connections by itself
            cursor.execute("PRAGMA journal_mode=WAL")
        except connection.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("retrain_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _compare_revision(connection: sa.Connection, toggle: str, expected: int) -> None:
    query = (
        sa.select(EVENTS.c.revision_after, EVENTS.c.kind, EVENTS.c.actor_kind, EVENTS.c.actor_name)
        .where(EVENTS.c.toggle == toggle, EVENTS.c.revision_after.is_not(None))
        .order_by(EVENTS.c.sequence.desc())
        .limit(1)
    )
    last = connection.execute(query).one_or_none()
    current = last.revision_after if last else 0
    if current != expected:
        by = f" ({last.kind} by {last.actor_kind}:{last.actor_name})" if last else ""
        raise StaleRevision(
            f"the toggle is at revision {current}{by}, not {expected}",
            where=toggle,
            remedy="look at its state again and repeat the action if it is still meant",
        )


def _compare_model(connection: sa.Connection, model: str, seen: int) -> None:
    about_it = EVENTS.c.model.in_((model, EVERY_MODEL))
    last = connection.execute(sa.select(sa.func.max(EVENTS.c.sequence)).where(about_it)).scalar_one() or 0
    if last != seen:
        raise ModelMoved(
            f"event {last} was recorded after the state this action was decided on (event {seen})",
            where=model,
            remedy="look at the model's state again and repeat the action if it is still meant",
        )


def _appended(connection: sa.Connection, drafts: Sequence[EventDraft], sequence: int, previous: str) -> list[Event]:
    recorded_at = datetime.now(UTC)
    events = []
    for draft in drafts:
        event = link(draft, sequence + 1, previous, recorded_at)
        connection.execute(EVENTS.insert().values(row_of(event)))
        sequence, previous = event.sequence, event.hash
        events.append(event)
    connection.execute(HEAD.update().where(HEAD.c.id == 1).values(sequence=sequence, hash=previous))
    return events


def _key_added(key: SystemKey, known: Sequence[RecordedKey], at: datetime) -> EventDraft:
    replaces = known[-1].fingerprint if known else None
    return EventDraft(
        at=at,
        actor=SYSTEM,
        kind=EventKind.SYSTEM_KEY_ADDED,
        model=EVERY_MODEL,
        reason=f"the system signs with another key from now on, in place of {replaces}" if replaces else "the system's first key",
        payload={"key": key.public_line, "fingerprint": key.fingerprint, "replaces": replaces},
    )


def _stored_checkpoints(connection: sa.Connection) -> list[StoredCheckpoint]:
    rows = connection.execute(sa.select(CHECKPOINTS).order_by(CHECKPOINTS.c.sequence)).mappings().all()
    return [stored_checkpoint(row) for row in rows]
