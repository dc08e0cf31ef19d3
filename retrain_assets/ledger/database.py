"""The database a ledger is in: connections that are kept, one for each thread that needs one, and transactions on them.

SQLite runs in WAL mode with ``synchronous=FULL``; a writing transaction takes the lock when it begins (``BEGIN IMMEDIATE``).
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DisconnectionError, OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool, QueuePool

from retrain_assets.contract import CustodyError, RetrainError, first_line

BUSY_SECONDS = 30.0
"""How long a writer waits for another one."""
_PAUSE_SECONDS = (0.001, 0.006)
"""Between two tries of a writer that waits."""
_INSUFFICIENT_PRIVILEGE = "42501"
"""PostgreSQL's SQLSTATE."""
FORK_SECONDS = 5.0
"""How long a fork waits for transactions of other threads."""


class Database:
    """One SQLite file or PostgreSQL database.

    A connection is used again only while the files it was made for are still those at its path. Before a process forks,
    idle connections are closed, and the child makes its own: SQLite's locks belong to the process that took them.

    Args:
        url: SQLAlchemy URL. A SQLite file and its directory are made by the first connection; a file that is gone later is not.

    Raises:
        RetrainError: for another kind of database, or one in memory.
    """

    def __init__(self, url: str) -> None:
        parsed = _parsed(url)
        self.url = parsed.render_as_string(hide_password=True)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._file = _SqliteFile(Path(parsed.database or "").absolute()) if self.is_sqlite else None
        arguments: dict[str, Any] = {"creator": self._file.connect} if self._file else {"pool_pre_ping": True}
        self._engine = sa.create_engine(parsed, poolclass=QueuePool, max_overflow=-1, pool_use_lifo=True, **arguments)
        self._alone = sa.create_engine(parsed, poolclass=NullPool, **arguments)
        if self._file:
            _listen_sqlite(self._file, self._engine, self._alone)
        else:
            sa.event.listen(self._engine, "connect", _prepare_postgresql)
        self._turns = threading.Condition()
        self._users: Counter[int] = Counter()
        self._forking: int | None = None
        self._lost_in_fork = False
        weakref.finalize(self, self._engine.dispose)
        _OPEN.add(self)

    @contextmanager
    def transaction(self, *, write: bool = False) -> Iterator[sa.Connection]:
        """A transaction on a kept connection; committed at the end, rolled back by an exception.

        Raises:
            CustodyError: when the ledger's file is gone, or what is read is no text any more.
            RetrainError: when the database's role may not do it.
        """
        with self._connected(self._engine, retrain_write=write) as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """A long reading transaction on a connection of its own, in which everything is as of one moment."""
        options = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with self._connected(self._alone, **options) as connection:
            yield connection

    @property
    def driver_error(self) -> type[Exception]:
        """What the driver raises where SQLAlchemy does not stand between."""
        return self._engine.dialect.loaded_dbapi.Error

    def forbid_creation(self) -> None:
        """The ledger is there: from now on a missing file is a fault, not a new ledger."""
        if self._file:
            self._file.may_create = False

    def close(self) -> None:
        """Close idle connections; the last one of a SQLite file leaves everything in the file itself."""
        self._engine.dispose()

    def prepare_fork(self) -> None:
        """Let other threads finish their transactions, and close what is idle; held until :meth:`after_fork`."""
        self._turns.acquire()
        self._forking = me = threading.get_ident()
        deadline = time.monotonic() + (FORK_SECONDS if self.is_sqlite else 0)
        while any(thread != me for thread in self._users) and (left := deadline - time.monotonic()) > 0:
            self._turns.wait(left)
        self._engine.dispose()

    def after_fork(self, *, child: bool) -> None:
        """Go on; a child that inherited a transaction which was under way cannot use the file, and says so."""
        if child:
            self._lost_in_fork = self.is_sqlite and bool(self._users)
            self._users.clear()
            self._engine.dispose(close=False)
        self._forking = None
        self._turns.notify_all()
        self._turns.release()

    @contextmanager
    def _connected(self, engine: sa.Engine, **options: Any) -> Iterator[sa.Connection]:
        with self._turn():
            try:
                with engine.connect().execution_options(**options) as connection, connection.begin():
                    yield connection
            except OperationalError as error:
                self._refuse_damage(error)
                raise
            except ProgrammingError as error:
                self._refuse_role(error)
                raise

    @contextmanager
    def _turn(self) -> Iterator[None]:
        me = threading.get_ident()
        with self._turns:
            while self._forking not in (None, me) and me not in self._users:
                self._turns.wait()
            self._users[me] += 1
        try:
            if self._lost_in_fork:
                raise RetrainError(
                    "this process was forked in the middle of a transaction",
                    where=self.url,
                    remedy="start processes with spawn, or fork before the ledger is used",
                )
            yield
        finally:
            with self._turns:
                self._users[me] -= 1
                if not self._users[me]:
                    del self._users[me]
                    self._turns.notify_all()

    def _refuse_role(self, error: ProgrammingError) -> None:
        if getattr(error.orig, "sqlstate", "") == _INSUFFICIENT_PRIVILEGE:
            raise RetrainError(
                f"the role may not do that ({first_line(error.orig or error)})",
                where=self.url,
                remedy="give it the grants in docs/ledger.md; the first start and an upgrade are the tables' owner's",
            ) from error

    def _refuse_damage(self, error: OperationalError) -> None:
        if self._file and not self._file.may_create and not self._file.path.exists():
            raise CustodyError("the ledger is gone", where=self.url, remedy="restore the ledger from a backup") from error
        if "Could not decode" in str(error.orig):
            raise CustodyError(
                "a stored text is not UTF-8 any more",
                where=self.url,
                remedy="run retrain audit verify and restore the ledger from a backup",
            ) from error


def execute(connection: sa.Connection, statement: str, parameters: Sequence[Any] = ()) -> Any:
    """The driver's cursor for a statement with ``?`` for its parameters; without SQLAlchemy's work, which an append waits for.

    Raises:
        sqlalchemy.exc.DBAPIError: what the driver raises, as SQLAlchemy shows it.
    """
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name != "sqlite":
        statement = statement.replace("?", "%s")
    base: type[Exception] = connection.dialect.loaded_dbapi.Error
    try:
        return driver.execute(statement, parameters)
    except base as error:
        shown = sa.exc.DBAPIError.instance(statement, tuple(parameters), error, base, dialect=connection.dialect)
        raise shown from error


def stored_rows(connection: sa.Connection, query: str) -> Iterator[Sequence[Any]]:
    """Rows as the driver gives them, a part at a time: a million of them take no more memory than a thousand."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        yield from driver.execute(query)
        return
    with driver.cursor(name="stored_rows") as cursor:
        cursor.itersize = 2000
        cursor.execute(query)
        yield from cursor


def lenient_text(connection: sa.Connection) -> None:
    """From now on text that is not UTF-8 comes with surrogates in it, instead of being an error; slower."""
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.text_factory = lambda data: data.decode("utf-8", "surrogateescape")


class _SqliteFile:
    """The file of a SQLite database, and how it is opened. Knows nothing of :class:`Database`, which its engines outlive."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.may_create = True
        self._names = (str(path), f"{path}-wal")

    def connect(self) -> sqlite3.Connection:
        """A new connection, ready for the ledger."""
        if self.may_create:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode={'rwc' if self.may_create else 'rw'}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,  # SQLAlchemy's begin event starts transactions, not the driver
            check_same_thread=False,  # the pool gives a connection to one thread at a time
        )
        try:
            _prepare_sqlite(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def identities(self) -> tuple[tuple[int, int] | None, ...]:
        """Which files are there: the database, and its write-ahead log, which SQLite removes where it takes itself for alone."""
        return tuple(_identity(name) for name in self._names)


_OPEN: weakref.WeakSet[Database] = weakref.WeakSet()
_held: list[Database] = []


def _before_fork() -> None:
    for database in list(_OPEN):
        database.prepare_fork()
        _held.append(database)


def _after_fork(*, child: bool) -> None:
    while _held:
        _held.pop().after_fork(child=child)


os.register_at_fork(
    before=_before_fork,
    after_in_parent=lambda: _after_fork(child=False),
    after_in_child=lambda: _after_fork(child=True),
)


def _parsed(url: str) -> sa.URL:
    remedy = "write a sqlite:/// or postgresql:// URL"
    try:
        parsed = sa.make_url(url)
    except ArgumentError as error:
        raise RetrainError("is not a database URL", where="RETRAIN_LEDGER_URL", remedy=remedy) from error
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise RetrainError(f"a ledger cannot be kept in {parsed.get_backend_name()}", where="RETRAIN_LEDGER_URL", remedy=remedy)
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise RetrainError(
            "a ledger in memory would be lost", where=parsed.render_as_string(), remedy="write sqlite:///path/ledger.db"
        )
    return parsed


def _listen_sqlite(file: _SqliteFile, kept: sa.Engine, alone: sa.Engine) -> None:
    for engine in (kept, alone):
        sa.event.listen(engine, "begin", _begin_sqlite)

    @sa.event.listens_for(kept, "checkin")
    def remember(_connection: Any, record: Any) -> None:
        record.info["files"] = file.identities()

    @sa.event.listens_for(kept, "checkout")
    def compare(_connection: Any, record: Any, _proxy: Any) -> None:
        if record.info.pop("files", None) not in (None, file.identities()):
            raise DisconnectionError


def _prepare_sqlite(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous=FULL")
    deadline = time.monotonic() + BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:  # the switch to WAL happens once per file and does not wait for other connections by itself
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{BUSY_SECONDS:.0f}s'")
    connection.commit()


def _begin_sqlite(connection: sa.Connection) -> None:
    """Begin, for a writing transaction as one of many who wait in turn.

    SQLite's own waiting sleeps longer the longer it has waited, so that whoever comes new gets in first: of 32 processes that
    write at once, one waited 15 seconds. Here every try comes after a short random time, whoever it is.
    """
    if not connection.get_execution_options().get("retrain_write"):
        connection.exec_driver_sql("BEGIN")
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA busy_timeout = 0")
    deadline = time.monotonic() + BUSY_SECONDS
    try:
        while time.monotonic() < deadline:
            try:
                driver.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    break
                time.sleep(random.uniform(*_PAUSE_SECONDS))
            else:
                return
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises what SQLAlchemy makes of it
    finally:
        driver.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path for every transaction costs more than the call
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
