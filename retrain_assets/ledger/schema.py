"""Whether a database holds a ledger of this version, and making or upgrading one. Alembic is imported only for an upgrade."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, OperationalError

from retrain_assets.contract import CustodyError, RetrainError
from retrain_assets.ledger.chain import GENESIS, readable
from retrain_assets.ledger.database import Database
from retrain_assets.ledger.guards import set_guards
from retrain_assets.ledger.tables import HEAD, TABLES, VERSION

REVISIONS = ("0001", "0002", "0003", "0004")
"""Every revision of the schema, oldest first; a ledger without a version is of the first one."""

_HAS_VERSION = {
    "sqlite": f"SELECT name FROM sqlite_master WHERE type = 'table' AND name = '{VERSION.name}'",
    "postgresql": f"SELECT to_regclass('{VERSION.name}')",
}
_MAKER_LOCK = 0x72657472
"""PostgreSQL advisory lock held while tables are made or changed."""


def prepare(database: Database) -> None:
    """Make the ledger's tables where there are none, upgrade those of an earlier version, and leave those of this one alone.

    Of several processes that do it at once, one does; an upgrade happens in one transaction, or not at all.

    Raises:
        RetrainError: when the database does not answer, or holds a ledger of a later version.
        CustodyError: when the file is damaged.
    """
    try:
        with database.transaction() as connection:
            known = version(connection)
        if known != REVISIONS[-1]:
            _make_or_upgrade(database)
    except OperationalError as error:
        raise RetrainError(
            f"the ledger does not open ({str(error.orig).strip()})",
            where=database.url,
            remedy="check that the database runs, the file is writable and the URL is right",
        ) from error
    except DatabaseError as error:
        raise CustodyError(
            f"the ledger's database is not what was written ({str(error.orig).strip()})",
            where=database.url,
            remedy="keep the file as it is and restore the ledger from a backup",
        ) from error
    database.forbid_creation()


def version(connection: sa.Connection) -> str:
    """The schema's revision; empty where there is none."""
    if connection.exec_driver_sql(_HAS_VERSION[connection.dialect.name]).scalar_one_or_none() is None:
        return ""
    return str(connection.exec_driver_sql(f"SELECT max(version_num) FROM {VERSION.name}").scalar_one() or "")


def _make_or_upgrade(database: Database) -> None:
    with database.transaction(write=True) as connection:
        if not database.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MAKER_LOCK)))
        tables = set(sa.inspect(connection).get_table_names())
        found = version(connection)
        if found == REVISIONS[-1]:
            return
        if found and found not in REVISIONS:
            raise RetrainError(
                f"the ledger's schema is revision {readable(found)}, this program knows it up to {REVISIONS[-1]}",
                where=database.url,
                remedy="use the version of retrain-assets that wrote it, or a later one",
            )
        if not found and "events" not in tables:
            TABLES.create_all(connection)
            connection.execute(HEAD.insert().values(id=1, sequence=0, hash=GENESIS))
            set_guards(connection)
            connection.execute(VERSION.insert().values(version_num=REVISIONS[-1]))
            return
        if not found:
            VERSION.create(connection, checkfirst=True)
            connection.execute(VERSION.insert().values(version_num=REVISIONS[0]))
        upgrade(connection)


def upgrade(connection: sa.Connection) -> None:
    """Run the revisions a database lacks, in the transaction the connection is in."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes.update(connection=connection, version_table=VERSION.name)
    command.upgrade(config, "head")
