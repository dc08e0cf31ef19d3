"""A ledger of an earlier version becomes one of this, once, whoever opens it first; one of a later version is left alone."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from retrain_assets.contract import RetrainError
from retrain_assets.ledger import Ledger
from retrain_assets.ledger.schema import REVISIONS
from retrain_assets_tests.tampering import tampered

from .conftest import draft

RECORDED = Path(__file__).parent / "recorded" / "unversioned.sql"
"""A ledger as the version before migrations left it: five events, two watermarks, no version."""
HEAD = (5, "fdea49264e59038ac21261612184d0e1963806a7ec639b31c6be457664971d06")


@pytest.fixture
def old(url: str) -> str:
    """The URL of a database that holds the recorded ledger."""
    sql = RECORDED.read_text()
    if url.startswith("sqlite"):
        file = Path(url.removeprefix("sqlite:///"))
        file.parent.mkdir(parents=True)
        with closing(sqlite3.connect(file)) as connection:
            connection.executescript(sql)
    else:
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.replace("BEGIN TRANSACTION;", "").replace("COMMIT;", ""))
    return url


def test_a_ledger_without_a_version_is_upgraded_verifies_and_goes_on(old: str) -> None:
    ledger = Ledger(old)
    assert ledger.head() == HEAD
    assert ledger.verify() == []
    assert (ledger.projection("flags"), ledger.projection("registry")) == (4, 0)
    assert [event.payload.get("verdicts", [{}])[0].get("value") for event in ledger.events()] == [None, 1e-7, None, None, None]
    ledger.append(draft())
    assert Ledger(old).verify() == []
    assert versions(old) == [REVISIONS[-1]]


def test_an_upgraded_schema_is_the_one_a_new_ledger_gets(old: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    Ledger(old)
    if old.startswith("sqlite"):
        new = f"sqlite:///{tmp_path}/new.db"
        Ledger(new)
        assert shape(old) == shape(new)
        return
    import psycopg

    upgraded = shape(old)
    with psycopg.connect(old, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    Ledger(old)
    assert shape(old) == upgraded


def test_processes_that_open_it_at_once_upgrade_it_once(old: str) -> None:
    code = f"""
import os, sys
from retrain_assets.ledger import Ledger
children = []
for number in range(6):
    if not (child := os.fork()):
        ledger = Ledger({old!r})
        os._exit(0 if ledger.head()[0] == 5 and ledger.verify() == [] else 1)
    children.append(child)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert versions(old) == [REVISIONS[-1]]


def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path) -> None:
    """In the recorded ledger a view is in the way, which is not the ledger's."""
    file = tmp_path / "ledger.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(RECORDED.read_text())
        connection.execute("CREATE VIEW checkpoints AS SELECT 1")
    before = schema_of(file)
    with pytest.raises(RetrainError, match="does not open"):
        Ledger(f"sqlite:///{file}")
    assert schema_of(file) == before


def test_a_ledger_of_a_later_version_is_refused_in_one_line(ledger: Ledger, url: str) -> None:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE ledger_version SET version_num = '0999'"))
    engine.dispose()
    with pytest.raises(
        RetrainError, match=r"schema is revision 0999, this program knows it up to \d{4}; use the version"
    ) as caught:
        Ledger(url)
    assert "\n" not in caught.value.line


def test_every_revision_the_code_names_is_packaged_in_that_order() -> None:
    folder = Path(sys.modules[Ledger.__module__].__file__ or "").parent / "migrations" / "versions"
    found = sorted(file.stem[1:5] for file in folder.glob("r*.py"))
    assert tuple(found) == REVISIONS


def test_opening_what_is_up_to_date_imports_no_alembic_and_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    Ledger(f"sqlite:///{file}").close()
    before = file.read_bytes()
    code = f"import sys; from retrain_assets.ledger import Ledger; Ledger('sqlite:///{file}'); print('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
    assert file.read_bytes() == before


def test_a_version_that_was_taken_away_is_found_out_and_nothing_is_lost(tmp_path: Path) -> None:
    """Somebody empties the table of the version: the ledger is taken for an old one and upgraded again."""
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.append(draft())
    with tampered(tmp_path / "ledger.db") as connection:
        connection.execute("DELETE FROM ledger_version")
    assert "the schema is said to be revision ''" in ledger.verify()[0].message
    again = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    assert again.verify() == []
    assert again.head() == ledger.head()


def versions(url: str) -> list[str]:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        return list(connection.execute(sa.text("SELECT version_num FROM ledger_version")).scalars())


def schema_of(file: Path) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


def shape(url: str) -> str:
    """Columns, keys, indexes and triggers of every table, as JSON."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        tables = sa.inspect(connection)
        found = {
            name: {
                "columns": [(one["name"], str(one["type"]), one["nullable"]) for one in tables.get_columns(name)],
                "key": tables.get_pk_constraint(name)["constrained_columns"],
                "indexes": sorted((one["name"], one["column_names"]) for one in tables.get_indexes(name)),
                "unique": sorted(one["column_names"] for one in tables.get_unique_constraints(name)),
            }
            for name in tables.get_table_names()
        }
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
        if connection.dialect.name == "postgresql":
            query = "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
        triggers = [list(row) for row in connection.exec_driver_sql(query)]
    return json.dumps([found, triggers], indent=1, sort_keys=True, default=str)
