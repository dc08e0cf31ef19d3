"""The database itself refuses to change, remove or replace what was recorded, and says so in words."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError

from retrain_assets.contract import CustodyError, RetrainError
from retrain_assets.ledger import Ledger, SystemKey

from .conftest import draft

REFUSED = [
    ("UPDATE events SET reason = 'x' WHERE sequence = 1", "an event is never changed"),
    ("DELETE FROM events WHERE sequence = 2", "an event is never"),
    ("UPDATE checkpoints SET statement = '{}'", "a checkpoint is never changed"),
    ("DELETE FROM checkpoints", "a checkpoint is never"),
    ("UPDATE head SET sequence = 1", "the head never goes back"),
    ("UPDATE head SET hash = 'x'", "the head never goes back"),
    ("UPDATE head SET id = 2", "the head never goes back"),
    ("DELETE FROM head", "the head is never"),
]


@pytest.fixture
def connection(url: str, tmp_path: Path) -> sa.Connection:
    """A connection of somebody who knows the database's password, or has its file."""
    ledger = Ledger(url)
    ledger.append_all([draft(), draft()])
    ledger.add_checkpoint(SystemKey.open(tmp_path / "system"), datetime(2013, 7, 1, tzinfo=UTC))
    driver = url.replace("postgresql:", "postgresql+psycopg:")
    return sa.create_engine(driver, poolclass=sa.NullPool).connect()


def refusal(connection: sa.Connection, statement: str) -> str:
    with pytest.raises(DatabaseError) as caught, connection.begin():
        connection.exec_driver_sql(statement)
    return str(caught.value.orig)


def test_what_was_recorded_is_neither_changed_nor_removed(connection: sa.Connection, url: str) -> None:
    for statement, words in REFUSED:
        assert f"the ledger is append-only: {words}" in refusal(connection, statement), statement
    connection.close()
    ledger = Ledger(url)
    assert ledger.verify() == []
    ledger.append(draft())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_sqlites_replacing_insert_is_refused_too(connection: sa.Connection) -> None:
    columns = (
        "at, recorded_at, actor_kind, actor_name, kind, model, retrain, toggle, revision_before, revision_after, 'x', payload"
    )
    for row in (f"1, {columns}, 'p', 'h'", f"9, {columns}, previous_hash, 'h'", f"9, {columns}, 'p', hash"):
        said = refusal(connection, f"INSERT OR REPLACE INTO events SELECT {row} FROM events WHERE sequence = 1")
        assert "an event is never replaced" in said, row
    assert "the head is never replaced" in refusal(connection, "INSERT OR REPLACE INTO head VALUES (1, 0, 'x')")
    assert "the head is never replaced" in refusal(connection, "INSERT INTO head VALUES (2, 0, 'x')")
    replaced = "INSERT OR REPLACE INTO checkpoints SELECT sequence, '{}', signature, key, peaks FROM checkpoints"
    assert "a checkpoint is never replaced" in refusal(connection, replaced)
    connection.close()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_postgresql_does_not_empty_the_tables_either(connection: sa.Connection) -> None:
    for table, words in (("events", "an event"), ("checkpoints", "a checkpoint"), ("head", "the head")):
        assert f"{words} is never changed or removed" in refusal(connection, f"TRUNCATE {table}")
    upsert = "INSERT INTO head VALUES (1, 0, 'x') ON CONFLICT (id) DO UPDATE SET sequence = 0"
    assert "the head never goes back" in refusal(connection, upsert)
    connection.close()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_the_grants_of_the_documentation_are_enough_to_append_and_too_few_to_change(url: str, tmp_path: Path) -> None:
    import psycopg

    Ledger(url)
    text = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()
    grants = text.partition("```sql\n-- grants")[2].partition("```")[0]
    assert grants.count("GRANT") >= 4
    writer = f"writer_{url.rpartition('/')[2]}"
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {writer} LOGIN")
        for statement in grants.replace("retrain_writer", writer).split(";"):
            if "GRANT" in statement:
                owner.execute(statement.partition("\n")[2] if statement.lstrip().startswith("--") else statement)
    theirs = url.replace("retrain@", f"{writer}@")
    ledger = Ledger(theirs)
    ledger.append(draft())
    ledger.add_checkpoint(SystemKey.open(tmp_path / "system"), datetime(2013, 7, 1, tzinfo=UTC))
    ledger.set_projection("flags", 1)
    ledger.set_projection("flags", 2)
    assert ledger.verify() == []
    with psycopg.connect(theirs, autocommit=True) as connection:
        for statement in (
            "UPDATE events SET reason = 'x'",
            "DELETE FROM events",
            "TRUNCATE events",
            "DELETE FROM checkpoints",
            "DELETE FROM head",
            "ALTER TABLE events DISABLE TRIGGER ALL",
            "DROP TRIGGER events_never_changed ON events",
        ):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.RaiseException)):
                connection.execute(statement)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_role_without_the_grants_is_told_so_and_not_that_the_record_is_damaged(url: str) -> None:
    import psycopg

    writer = f"stranger_{url.rpartition('/')[2]}"
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {writer} LOGIN")
    theirs = url.replace("retrain@", f"{writer}@")
    with pytest.raises(RetrainError, match=r"the role may not do that .*the first start and an upgrade are the tables' owner's"):
        Ledger(theirs)
    Ledger(url)
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"GRANT SELECT ON events, head, checkpoints, projections, ledger_version TO {writer}")
    auditors = Ledger(theirs)
    assert auditors.verify() == []
    with pytest.raises(RetrainError, match=r"the role may not do that .*permission denied for table head") as caught:
        auditors.append(draft())
    assert not isinstance(caught.value, CustodyError)
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("UPDATE ledger_version SET version_num = '0002'")
    with pytest.raises(RetrainError, match="the role may not do that"):
        Ledger(theirs)
