"""The ledger's tables and the one way to write them: under a lock, after a compare-and-set, head and event in one transaction.

SQLite (WAL, BEGIN IMMEDIATE, synchronous FULL) or PostgreSQL (row lock on the head). The chain itself is checked in ``chain``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.pool import NullPool

from retrain_assets.contract import CustodyError, RetrainError, StaleRevision, canonical_json
from retrain_assets.ledger.chain import GENESIS, BrokenLink, broken_links, recomputed_hash
from retrain_assets.ledger.events import EVERY_MODEL, Actor, Event, EventDraft, EventKind, event_hash

BUSY_SECONDS = 30.0
"""How long a writer waits for another one."""

_TABLES = sa.MetaData()
_EVENTS = sa.Table(
    "events",
    _TABLES,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("recorded_at", sa.Text, nullable=False),
    sa.Column("actor_kind", sa.Text, nullable=False),
    sa.Column("actor_name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("retrain", sa.Text),
    sa.Column("toggle", sa.Text),
    sa.Column("revision_before", sa.BigInteger),
    sa.Column("revision_after", sa.BigInteger),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("previous_hash", sa.Text, nullable=False, unique=True),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.Index("events_of_model", "model", "sequence"),
    sa.Index("events_of_toggle", "toggle", "sequence"),
)
_HEAD = sa.Table(
    "head",
    _TABLES,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)
_PROJECTIONS = sa.Table(
    "projections",
    _TABLES,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
)
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
            head = connection.execute(sa.select(_HEAD.c.sequence, _HEAD.c.hash).with_for_update()).one()
            sequence, previous = head.sequence, head.hash
            self._refuse_damaged(connection, sequence, previous)
            if expect_revision is not None:
                _compare_revision(connection, *expect_revision)
            if expect_model is not None:
                _compare_model(connection, *expect_model)
            recorded_at = datetime.now(UTC)
            events = []
            for draft in drafts:
                event = _link(draft, sequence + 1, previous, recorded_at)
                connection.execute(_EVENTS.insert().values(_row_of(event)))
                sequence, previous = event.sequence, event.hash
                events.append(event)
            connection.execute(_HEAD.update().where(_HEAD.c.id == 1).values(sequence=sequence, hash=previous))
        return events

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
        query = sa.select(_EVENTS).where(_EVENTS.c.sequence > after).order_by(_EVENTS.c.sequence)
        if model is not None:
            query = query.where(_EVENTS.c.model == model)
        if retrain is not None:
            query = query.where(_EVENTS.c.retrain == retrain)
        if kinds is not None:
            query = query.where(_EVENTS.c.kind.in_([str(kind) for kind in kinds]))
        with self._transaction() as connection:
            rows = connection.execute(query).mappings().all()
        return [_event_of(row) for row in rows]

    def head(self) -> tuple[int, str]:
        """Sequence and hash of the last event; ``(0, GENESIS)`` when there is none."""
        with self._transaction() as connection:
            head = connection.execute(sa.select(_HEAD.c.sequence, _HEAD.c.hash)).one()
        return head.sequence, head.hash

    @property
    def identity(self) -> str:
        """Hash of the first event: what a statement names so that it counts for this ledger alone; empty before it."""
        with self._transaction() as connection:
            return str(connection.execute(sa.select(_EVENTS.c.hash).where(_EVENTS.c.sequence == 1)).scalar_one_or_none() or "")

    def verify(self) -> list[BrokenLink]:
        """Every broken link of the chain, first to last; empty when it is whole."""
        with self._transaction() as connection:
            rows = connection.execute(sa.select(_EVENTS).order_by(_EVENTS.c.sequence)).mappings().all()
            head = connection.execute(sa.select(_HEAD.c.sequence, _HEAD.c.hash)).one_or_none()
        if head is None:
            return [BrokenLink(0, "the head row is gone: nothing says where the chain ends")]
        return broken_links((_fields_of(row) for row in rows), (head.sequence, head.hash))

    def projection(self, name: str) -> int:
        """Sequence up to which something derived from the ledger is known to be up to date; 0 when never."""
        query = sa.select(_PROJECTIONS.c.sequence).where(_PROJECTIONS.c.name == name)
        with self._transaction() as connection:
            return connection.execute(query).scalar_one_or_none() or 0

    def set_projection(self, name: str, sequence: int) -> None:
        """Move a projection's watermark forward; it never goes back."""
        with self._transaction(write=True) as connection:
            connection.execute(sa.select(_HEAD.c.id).with_for_update())
            known = connection.execute(sa.select(_PROJECTIONS.c.sequence).where(_PROJECTIONS.c.name == name)).scalar_one_or_none()
            if known is None:
                connection.execute(_PROJECTIONS.insert().values(name=name, sequence=sequence))
            elif known < sequence:
                connection.execute(_PROJECTIONS.update().where(_PROJECTIONS.c.name == name).values(sequence=sequence))

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Iterator[sa.Connection]:
        with self._engine.connect().execution_options(retrain_write=write) as connection, connection.begin():
            yield connection

    def _make_tables(self) -> None:
        with self._engine.connect() as connection:
            ready = sa.inspect(connection).has_table("head") and connection.execute(sa.select(_HEAD.c.id)).first() is not None
        if ready:
            return
        with self._transaction(write=True) as connection:
            if not self._sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_FIRST_MAKER_LOCK)))
            _TABLES.create_all(connection)
            is_new = connection.execute(sa.select(_EVENTS.c.sequence).limit(1)).first() is None
            if is_new and connection.execute(sa.select(_HEAD.c.id)).first() is None:
                connection.execute(_HEAD.insert().values(id=1, sequence=0, hash=GENESIS))

    def _refuse_damaged(self, connection: sa.Connection, sequence: int, previous: str) -> None:
        row = connection.execute(sa.select(_EVENTS).order_by(_EVENTS.c.sequence.desc()).limit(1)).mappings().one_or_none()
        last = (row["sequence"], row["hash"]) if row else (0, GENESIS)
        if (sequence, previous) != last:
            raise self._damaged(f"the head names event {sequence}, the last stored event is {last[0]}")
        if row is not None and recomputed_hash(_fields_of(row)) != row["hash"]:
            raise self._damaged(f"event {sequence}, the last one, is not what its hash stands for")

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
        sa.select(_EVENTS.c.revision_after, _EVENTS.c.kind, _EVENTS.c.actor_kind, _EVENTS.c.actor_name)
        .where(_EVENTS.c.toggle == toggle, _EVENTS.c.revision_after.is_not(None))
        .order_by(_EVENTS.c.sequence.desc())
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
    about_it = _EVENTS.c.model.in_((model, EVERY_MODEL))
    last = connection.execute(sa.select(sa.func.max(_EVENTS.c.sequence)).where(about_it)).scalar_one() or 0
    if last != seen:
        raise ModelMoved(
            f"event {last} was recorded after the state this action was decided on (event {seen})",
            where=model,
            remedy="look at the model's state again and repeat the action if it is still meant",
        )


def _link(draft: EventDraft, sequence: int, previous: str, recorded_at: datetime) -> Event:
    try:
        payload = json.loads(canonical_json(dict(draft.payload)))
        unsealed = Event(
            sequence=sequence,
            at=draft.at,
            recorded_at=recorded_at,
            actor=draft.actor,
            kind=draft.kind,
            model=draft.model,
            retrain=draft.retrain,
            toggle=draft.toggle,
            revision_before=draft.revision_before,
            revision_after=draft.revision_after,
            reason=draft.reason,
            payload=payload,
            previous_hash=previous,
            hash="",
        )
        return _event_of(_row_of(unsealed) | {"hash": event_hash(unsealed.to_json())})
    except ValueError as error:
        raise RetrainError(
            f"the event cannot be written as JSON ({error})",
            where=f"{draft.kind} of {draft.model}",
            remedy="give plain JSON values",
        ) from error


def _row_of(event: Event) -> dict[str, Any]:
    fields = event.to_json()
    actor = fields.pop("actor")
    payload = canonical_json(fields.pop("payload")).decode()
    return {**fields, "payload": payload, "actor_kind": actor["kind"], "actor_name": actor["name"]}


def _fields_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A stored row as an event's JSON fields; the payload is None where the text is not JSON."""
    fields = dict(row)
    try:
        fields["payload"] = json.loads(fields["payload"])
    except ValueError:
        fields["payload"] = None
    fields["actor"] = {"kind": fields.pop("actor_kind"), "name": fields.pop("actor_name")}
    return fields


def _event_of(row: Mapping[Any, Any]) -> Event:
    fields = _fields_of(row)
    try:
        return Event(
            **{
                **fields,
                "at": datetime.fromisoformat(fields["at"]),
                "recorded_at": datetime.fromisoformat(fields["recorded_at"]),
                "actor": Actor(**fields["actor"]),
                "kind": EventKind(fields["kind"]),
                "payload": {**fields["payload"]},
            }
        )
    except (ValueError, TypeError) as error:
        raise CustodyError(
            f"stored event {fields['sequence']} is not an event any more ({error})",
            where="ledger",
            remedy="run retrain audit verify and restore the ledger from a backup",
        ) from error
