"""The ledger: the one way to write it, under a lock, after a compare-and-set, head and event together; and its checkpoints.

How it is read is in ``reading``, connections and transactions are in ``database``, tables in ``tables``, the check of the whole
is in ``verification``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import sqlalchemy as sa

from retrain_assets.contract import RetrainError, StaleRevision
from retrain_assets.ledger import verification, watermarks
from retrain_assets.ledger.chain import COLUMNS, GENESIS, BrokenLink, recomputed_hash
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
from retrain_assets.ledger.database import Database, execute, lenient_text
from retrain_assets.ledger.events import EVERY_MODEL, SYSTEM, Event, EventDraft, EventKind
from retrain_assets.ledger.merkle import CompactRange, Tree
from retrain_assets.ledger.reading import LedgerReading
from retrain_assets.ledger.rows import event_of, linked
from retrain_assets.ledger.schema import prepare
from retrain_assets.ledger.signatures import Namespace
from retrain_assets.ledger.system_key import SystemKey
from retrain_assets.ledger.tables import CHECKPOINTS, EVENTS

_LAST_QUERY = f"SELECT {', '.join(COLUMNS)} FROM events ORDER BY sequence DESC LIMIT 1"
_INSERT = f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
_MOVE_HEAD = "UPDATE head SET sequence = ?, hash = ? WHERE id = 1"


class ModelMoved(StaleRevision):
    """Something else was recorded about the model since the state the caller decided on."""


class Ledger(LedgerReading):
    """The append-only record in one database.

    Args:
        url: SQLAlchemy URL, ``sqlite:///path`` or ``postgresql://…``. Missing tables (and a SQLite file's directory) are made,
            those of an earlier version upgraded.

    Raises:
        RetrainError: for another kind of database, one that does not answer, or a ledger of a later version.
    """

    def __init__(self, url: str) -> None:
        super().__init__(Database(url))
        prepare(self._database)

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
        with self._database.transaction(write=True) as connection:
            sequence, previous = self._sound_head(connection)
            if expect_revision is not None:
                _compare_revision(connection, *expect_revision)
            if expect_model is not None:
                _compare_model(connection, *expect_model)
            return _appended(connection, drafts, sequence, previous)

    def check_end(self) -> None:
        """Look whether head and last event are what was recorded, as every append does first.

        Raises:
            CustodyError: they are not.
        """
        with self._database.snapshot() as connection:
            self._sound_head(connection, lock=False)

    def close(self) -> None:
        """Close the connections that are kept; the next use opens one again."""
        self._database.close()

    def verify(self, since: Checkpoint | None = None) -> list[BrokenLink]:
        """Every broken link of the chain, first to last, then what else is not as recorded; empty when it is whole.

        Checkpoints are :func:`checkpoint_faults`' part.

        Args:
            since: a checkpoint that is trusted (see :func:`trusted_checkpoint`); nothing before it is looked at.
        """
        return verification.verify(self._database, after=(since.sequence, since.head) if since else None)

    def add_checkpoint(self, key: SystemKey, at: datetime) -> Checkpoint:
        """Sign the head as it is now; the checkpoint there is already where nothing was recorded since.

        A key that the ledger does not know as the system's yet is recorded before (``system_key_added``).

        Args:
            key: the system's key.
            at: the clock's time. Where the clock went back, the checkpoint bears the time of the one before.

        Raises:
            CustodyError: when the end of the chain, or the checkpoint before, is not what was recorded.
        """
        with self._database.transaction(write=True) as connection:
            sequence, head = self._sound_head(connection)
            added = sa.select(EVENTS).where(EVENTS.c.kind == str(EventKind.SYSTEM_KEY_ADDED)).order_by(EVENTS.c.sequence)
            known = recorded_keys(event_of(tuple(row)) for row in connection.execute(added))
            if not known or known[-1].fingerprint != key.fingerprint:
                (event,) = _appended(connection, [_key_added(key, known, at)], sequence, head)
                sequence, head = event.sequence, event.hash
            tree = CompactRange()
            if (newest := _newest_checkpoint(connection)) is not None:
                tree, before = resumed(newest), newest.checkpoint
                if before is not None and before.sequence == sequence and before.key == key.fingerprint:
                    return before
                at = max(at, before.at) if before is not None else at
            query = sa.select(EVENTS.c.hash).where(EVENTS.c.sequence > tree.size).order_by(EVENTS.c.sequence)
            tree.extend(bytes.fromhex(found) for found in connection.execute(query).scalars())
            if tree.size != sequence:
                raise self.damaged(f"the chain has {tree.size} events, its head is event {sequence}")
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
        with self._database.snapshot() as connection:
            lenient_text(connection)
            return _stored_checkpoints(connection)

    def newest_checkpoint(self) -> StoredCheckpoint | None:
        """The last row of the table of checkpoints, also one that is none any more; None where there is no row."""
        with self._database.snapshot() as connection:
            lenient_text(connection)
            return _newest_checkpoint(connection)

    def count_checkpoints(self) -> int:
        """How many rows the table of checkpoints has."""
        with self._database.transaction() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(CHECKPOINTS)).scalar_one()

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
            raise self.damaged(f"the stored events do not give the root of checkpoint {checkpoint.sequence}")
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
        with self._database.transaction() as connection:
            return watermarks.read(connection, name)

    def set_projection(self, name: str, sequence: int) -> None:
        """Move a projection's watermark forward; it never goes back.

        Raises:
            CustodyError: when the ledger has no event of that sequence.
        """
        with self._database.transaction(write=True) as connection:
            watermarks.move(connection, name, sequence)

    def _sound_head(self, connection: sa.Connection, *, lock: bool = True) -> tuple[int, str]:
        """The head, locked where it is moved, after a look at whether it and the last event are what was recorded."""
        locked = " FOR UPDATE" if lock and not self._database.is_sqlite else ""
        head = execute(connection, f"SELECT sequence, hash FROM head{locked}").fetchone()
        if head is None:
            raise self.damaged("the head row is gone")
        sequence, previous = head
        row = execute(connection, _LAST_QUERY).fetchone()
        last = (row[0], row[14]) if row else (0, GENESIS)
        if (sequence, previous) != last:
            raise self.damaged(f"the head names event {sequence}, the last stored event is {last[0]}")
        if row is not None and recomputed_hash(tuple(row)) != row[14]:
            raise self.damaged(f"event {sequence}, the last one, is not what its hash stands for")
        return sequence, previous


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
    rows = []
    for draft in drafts:
        rows.append(linked(draft, sequence + 1, previous, recorded_at))
        sequence, previous = rows[-1][0], rows[-1][-1]
    if rows:
        for row in rows:
            execute(connection, _INSERT, row)
        execute(connection, _MOVE_HEAD, (sequence, previous))
    return [event_of(row) for row in rows]


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


def _newest_checkpoint(connection: sa.Connection) -> StoredCheckpoint | None:
    row = connection.execute(sa.select(CHECKPOINTS).order_by(CHECKPOINTS.c.sequence.desc()).limit(1)).mappings().one_or_none()
    return None if row is None else stored_checkpoint(row)
