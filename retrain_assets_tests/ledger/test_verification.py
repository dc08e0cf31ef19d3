"""Whatever is changed in the tables, by whatever means, is found, and the message names the first broken link."""

from __future__ import annotations

import random
import sqlite3
import tracemalloc
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.contract import CustodyError, RetrainError
from retrain_assets.ledger import BrokenLink, EventKind, Ledger, SystemKey, checkpoint_faults
from retrain_assets_tests.tampering import tampered

from .conftest import draft

TABLES = {
    "events": (
        *("sequence", "at", "recorded_at", "actor_kind", "actor_name", "kind", "model", "retrain", "toggle"),
        *("revision_before", "revision_after", "reason", "payload", "previous_hash", "hash"),
    ),
    "head": ("id", "sequence", "hash"),
    "checkpoints": ("sequence", "statement", "signature", "key", "peaks"),
    "projections": ("name", "sequence", "seal"),
    "ledger_version": ("version_num",),
}
PLACES = [(table, column) for table, columns in TABLES.items() for column in columns]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A ledger of eight events, two checkpoints and two watermarks."""
    folder = tmp_path_factory.mktemp("recorded")
    ledger, key = Ledger(f"sqlite:///{folder}/ledger.db"), SystemKey.open(folder / "system")
    payload = {"value": 1e-7, "message": "größer", "rows": [1, 2.5, None], "evidence": "sha256:" + "c" * 64}
    held = draft(kind=EventKind.TOGGLE_HELD, toggle="t", revision_before=1, revision_after=2, payload=payload)
    ledger.append_all([draft(), held, draft(payload=payload)])
    ledger.add_checkpoint(key, datetime(2013, 7, 1, tzinfo=UTC))
    ledger.append_all([held, draft(), draft()])
    ledger.add_checkpoint(key, datetime(2013, 7, 2, tzinfo=UTC))
    ledger.append(draft())
    ledger.set_projection("flags", 6)
    ledger.set_projection("registry", 2)
    ledger.close()
    return (folder / "ledger.db").read_bytes()


@pytest.fixture
def file(tmp_path: Path, recorded: bytes) -> Path:
    """The recorded ledger, to be damaged."""
    path = tmp_path / "ledger.db"
    path.write_bytes(recorded)
    return path


def faults(file: Path) -> list[BrokenLink]:
    ledger = Ledger(f"sqlite:///{file}")
    broken = ledger.verify()
    return broken or checkpoint_faults(ledger)


def test_what_nobody_touched_holds(file: Path) -> None:
    assert faults(file) == []


@pytest.mark.parametrize(("table", "column"), PLACES, ids=[f"{table}.{column}" for table, column in PLACES])
def test_one_changed_byte_of_any_column_is_found(tmp_path: Path, recorded: bytes, table: str, column: str) -> None:
    for seed in range(5):
        file, dice = tmp_path / f"{seed}.db", random.Random(f"{table}.{column}.{seed}")
        file.write_bytes(recorded)
        with tampered(file) as connection:
            query = f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL"
            rowid, value = dice.choice(connection.execute(query).fetchall())
            (sequence,) = connection.execute("SELECT sequence FROM events WHERE rowid = ?", (rowid,)).fetchone()
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (_changed(value, dice), rowid))
        try:
            found = faults(file)
        except RetrainError as error:  # it does not even open: of no known version, or a key that is no key any more
            found = [BrokenLink(0, error.line)]
        if table == "ledger_version" and not found:
            assert Ledger(f"sqlite:///{file}").verify() == [], "an earlier version, so it was upgraded again"
            continue
        assert found, f"seed {seed}: {table}.{column} of row {rowid}: {value!r}"
        words = {"head": "head", "checkpoints": "checkpoint", "projections": "watermark", "ledger_version": "schema"}
        assert words.get(table, "event") in found[0].message
        if table == "events" and column not in ("sequence", "hash"):
            assert found[0].sequence == sequence
        assert all(link.message.isprintable() for link in found)


def _changed(value: Any, dice: random.Random) -> Any:
    if isinstance(value, int):
        return value ^ (1 << dice.randrange(4, 12))
    data = bytearray(value.encode())
    place = dice.randrange(len(data))
    data[place] ^= 1 << dice.randrange(8)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _Raw(bytes(data))


class _Raw:
    """Bytes that are stored as text, although they are none: SQLite takes them."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __conform__(self, protocol: object) -> bytes:
        return self.data


@pytest.mark.parametrize(
    ("edit", "sequence", "words"),
    [
        ("UPDATE events SET payload = replace(payload, '1e-7', '1E-7') WHERE sequence = 2", 2, "was changed"),
        ("UPDATE events SET payload = replace(payload, ':', ': ') WHERE sequence = 3", 3, "was changed"),
        ("UPDATE events SET reason = reason || char(0) || 'more' WHERE sequence = 2", 2, "its reason has a NUL in it"),
        ("UPDATE events SET reason = CAST(x'ff' || reason AS TEXT) WHERE sequence = 5", 5, "its reason is no UTF-8 text"),
        ("UPDATE events SET reason = CAST(reason AS BLOB) WHERE sequence = 2", 2, "its reason is \"b'the source was empty'\""),
        ("UPDATE events SET payload = CAST(payload AS BLOB) WHERE sequence = 2", 2, "no text"),
        ("UPDATE events SET revision_after = 'two' WHERE sequence = 2", 2, "its revision_after is 'two', no number"),
        ("UPDATE events SET revision_after = 2.5 WHERE sequence = 2", 2, "its revision_after is '2.5', no number"),
        ("UPDATE events SET revision_after = NULL WHERE sequence = 2", 2, "was changed"),
        ("UPDATE events SET toggle = '' WHERE sequence = 1", 1, "was changed"),
        ("UPDATE events SET sequence = 'two' WHERE sequence = 2", 2, "event 2 missing"),
        ("UPDATE events SET sequence = -2 WHERE sequence = 2", 1, "a row whose sequence is -2"),
        ("UPDATE events SET sequence = 0 WHERE sequence = 8", 1, "a row whose sequence is 0"),
        ("UPDATE events SET sequence = 8.5 WHERE sequence = 8", 8, "a row whose sequence is 8.5"),
        ("UPDATE head SET hash = x'00'", 0, "the head cannot be read"),
        ("UPDATE head SET sequence = 'last'", 0, "the head cannot be read"),
        ("UPDATE head SET id = 2", 0, "the head row has id 2"),
        ("INSERT INTO head VALUES (2, 8, 'x')", 0, "there are 2 head rows"),
        ("UPDATE projections SET sequence = 99 WHERE name = 'flags'", 0, "stands at event 99, the last one is 8"),
        ("UPDATE projections SET sequence = 5 WHERE name = 'flags'", 0, "was changed"),
        ("UPDATE projections SET sequence = 'all' WHERE name = 'flags'", 0, "cannot be read"),
        ("UPDATE projections SET seal = NULL", 0, "was changed"),
        ("UPDATE ledger_version SET version_num = '9999'", 0, "the schema is said to be revision '9999'"),
        ("DROP TABLE head", 0, "no such table: head"),
        ("DROP TABLE projections", 0, "no such table: projections"),
        ("ALTER TABLE events RENAME COLUMN reason TO because", 1, "no such column: reason"),
        ("CREATE TRIGGER sly AFTER INSERT ON events BEGIN SELECT 1; END", 0, "the trigger sly is not the ledger's"),
        ("CREATE VIEW sly AS SELECT * FROM events", 0, "the view sly is not the ledger's"),
    ],
)
def test_what_sqlite_lets_in_is_named(file: Path, edit: str, sequence: int, words: str) -> None:
    ledger = Ledger(f"sqlite:///{file}")
    if "DROP TABLE" in edit:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(edit)
    else:
        with tampered(file) as connection:
            connection.execute(edit)
    first = ledger.verify()[0]
    assert words in first.message
    assert first.sequence == sequence


def test_text_that_is_none_is_refused_by_whoever_reads_it(file: Path) -> None:
    ledger = Ledger(f"sqlite:///{file}")
    with tampered(file) as connection:
        connection.execute("UPDATE events SET reason = CAST(x'ff' || reason AS TEXT) WHERE sequence = 5")
    for read in (ledger.events, lambda: list(ledger.texts())):
        with pytest.raises(CustodyError, match="not UTF-8 any more; run retrain audit verify"):
            read()


def test_two_events_that_changed_places_are_found(file: Path) -> None:
    with tampered(file) as connection:
        connection.execute("UPDATE events SET sequence = 100 WHERE sequence = 5")
        connection.execute("UPDATE events SET sequence = 5 WHERE sequence = 6")
        connection.execute("UPDATE events SET sequence = 6 WHERE sequence = 100")
    assert (faults(file)[0].sequence, "does not follow event 4" in faults(file)[0].message) == (5, True)


def test_a_forged_event_put_in_between_is_found(file: Path) -> None:
    with tampered(file) as connection:
        for sequence in range(8, 3, -1):
            connection.execute("UPDATE events SET sequence = sequence + 1 WHERE sequence = ?", (sequence,))
        connection.execute(
            "INSERT INTO events SELECT 4, at, at, 'x', 'x', kind, model, retrain, toggle, 1, 2, 'x', '{}', 'p', 'h' "
            "FROM events WHERE sequence = 1"
        )
        connection.execute("UPDATE head SET sequence = 9")
    assert (faults(file)[0].sequence, "does not follow event 3" in faults(file)[0].message) == (4, True)


def test_a_tail_cut_off_with_its_head_is_found_by_the_checkpoint(file: Path) -> None:
    with tampered(file) as connection:
        connection.execute("DELETE FROM events WHERE sequence > 5")
        connection.execute("UPDATE head SET sequence = 5, hash = (SELECT hash FROM events WHERE sequence = 5)")
        connection.execute("UPDATE projections SET sequence = 0")
        connection.execute("DELETE FROM projections")
    ledger = Ledger(f"sqlite:///{file}")
    assert ledger.verify() == []
    assert "checkpoint 7: it covers 7 events, the ledger has 5" in checkpoint_faults(ledger)[0].message


@pytest.mark.parametrize("name", ["events_never_changed", "head_never_back"])
@pytest.mark.parametrize("instead", ["", "CREATE TRIGGER {name} BEFORE UPDATE ON events WHEN 0 BEGIN SELECT 1; END"])
def test_a_trigger_that_was_taken_off_or_made_harmless_is_named(file: Path, name: str, instead: str) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute(f"DROP TRIGGER {name}")
        if instead:
            connection.execute(instead.format(name=name))
    connection.close()
    (broken,) = faults(file)
    assert f"the trigger {name}, which keeps the record from being changed, is not as it was made" in broken.message


def test_an_index_that_does_not_find_an_event_is_named(file: Path) -> None:
    """A read by model would leave the event out, although the table has it."""
    with tampered(file) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        other = "replace(sql, 'model, sequence', 'kind, sequence')"
        connection.execute(f"UPDATE sqlite_master SET sql = {other} WHERE name = 'events_of_model'")
    assert "the structure of the database is damaged" in faults(file)[-1].message


def test_a_column_whose_constraint_was_taken_away_is_named(file: Path) -> None:
    """One letter of the schema; every stored value stays as it was."""
    with tampered(file) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        other = "replace(sql, 'reason TEXT NOT NULL', 'reason TEXT MOT NULL')"
        changed = connection.execute(f"UPDATE sqlite_master SET sql = {other} WHERE name = 'events' AND sql <> {other}")
        assert changed.rowcount == 1
    assert "column events.reason is not as it was made" in faults(file)[-1].message


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_page_is_one_answer_and_no_trace(tmp_path: Path, seed: int) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.append_all([draft(payload={"text": "x" * 3000})] * 60)
    ledger.close()
    file, dice = tmp_path / "ledger.db", random.Random(seed)
    data = bytearray(file.read_bytes())
    page = dice.randrange(1, len(data) // 4096)
    data[page * 4096 : page * 4096 + 64] = dice.randbytes(64)
    file.write_bytes(data)
    try:
        found = Ledger(f"sqlite:///{file}").verify()
    except sqlite3.DatabaseError as error:
        pytest.fail(f"a trace instead of an answer: {error}")
    assert found
    assert any("damaged" in link.message or "cannot be read" in link.message or "event" in link.message for link in found)


def test_a_file_cut_off_is_told_in_one_line(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.append_all([draft(payload={"text": "x" * 3000})] * 60)
    ledger.close()
    file = tmp_path / "ledger.db"
    file.write_bytes(file.read_bytes()[: 30 * 4096])
    assert "malformed" in ledger.verify()[0].message
    with pytest.raises(CustodyError, match="malformed"):
        Ledger(f"sqlite:///{file}")


def test_verification_starts_from_a_checkpoint_and_looks_at_nothing_before(file: Path) -> None:
    ledger = Ledger(f"sqlite:///{file}")
    first, second = ledger.checkpoints()
    with tampered(file) as connection:
        connection.execute("UPDATE events SET reason = 'x' WHERE sequence = 6")
    assert [link.sequence for link in ledger.verify(since=first)] == [6]
    assert ledger.verify(since=second) == []
    with tampered(file) as connection:
        connection.execute("UPDATE events SET reason = 'x' WHERE sequence = 7")
    assert "event 7, from which on the chain was to be verified, is not the one" in ledger.verify(since=second)[0].message
    with tampered(file) as connection:
        connection.execute("DELETE FROM events WHERE sequence = 7")
    assert "event 7, from which on the chain was to be verified, is missing" in ledger.verify(since=second)[0].message


def test_memory_does_not_grow_with_the_chain(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    text = draft(payload={"text": "x" * 2000})
    peaks = []
    for _ in range(2):
        ledger.append_all([text] * 2000)
        tracemalloc.start()
        assert ledger.verify() == []
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 500_000, "two thousand events more have four million bytes more"


def test_a_postgresql_ledger_is_verified_the_same_way(postgres_database: str) -> None:
    import psycopg

    ledger = Ledger(postgres_database)
    ledger.append_all([draft() for _ in range(5)])
    ledger.set_projection("flags", 3)
    for edit, words in (
        ("UPDATE events SET payload = replace(payload, ':', ': ') WHERE sequence = 2", "event 2 (stage_failed"),
        ("UPDATE head SET sequence = 9", "the head names event 9"),
        ("UPDATE projections SET sequence = 4", "was changed: its seal"),
        ("DELETE FROM events WHERE sequence = 3", "event 3 missing"),
    ):
        with psycopg.connect(postgres_database) as connection:
            for table in ("events", "head"):
                connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            connection.execute(edit)
            for table in ("events", "head"):
                connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
        assert any(words in link.message for link in ledger.verify()), edit
    with psycopg.connect(postgres_database) as connection:
        connection.execute("ALTER TABLE events DISABLE TRIGGER events_never_changed")
        connection.execute(
            "CREATE OR REPLACE FUNCTION head_never_back() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$"
        )
    said = " ".join(link.message for link in ledger.verify())
    assert "the trigger events_never_changed," in said
    assert "the trigger head_never_back()," in said


@pytest.mark.parametrize(
    "instead",
    [
        "CREATE TRIGGER events_never_changed BEFORE DELETE ON events FOR EACH STATEMENT EXECUTE FUNCTION events_never_changed()",
        "CREATE TRIGGER events_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON events "
        "FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION events_never_changed()",
        "CREATE TRIGGER events_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoints "
        "FOR EACH STATEMENT EXECUTE FUNCTION events_never_changed()",
        "CREATE SCHEMA theirs; CREATE FUNCTION theirs.events_never_changed() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RETURN NULL; END$$; CREATE TRIGGER events_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON events "
        "FOR EACH STATEMENT EXECUTE FUNCTION theirs.events_never_changed()",
        "CREATE TRIGGER events_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON events "
        "FOR EACH STATEMENT EXECUTE FUNCTION checkpoints_never_changed()",
    ],
    ids=["fewer events", "never true", "another table", "another schema", "another function"],
)
def test_a_postgresql_trigger_of_the_same_name_that_does_something_else_is_named(postgres_database: str, instead: str) -> None:
    import psycopg

    ledger = Ledger(postgres_database)
    ledger.append(draft())
    assert ledger.verify() == []
    with psycopg.connect(postgres_database) as connection:
        connection.execute("DROP TRIGGER events_never_changed ON events")
        for statement in instead.split("; CREATE"):
            connection.execute(statement if statement.startswith("CREATE") else f"CREATE{statement}")
    assert "the trigger events_never_changed," in " ".join(link.message for link in ledger.verify())


def test_thousands_of_broken_links_are_all_told(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.append_all([draft(at=datetime(2013, 7, 1, tzinfo=UTC) + timedelta(seconds=number)) for number in range(1200)])
    with tampered(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE events SET at = '2013-01-01T00:00:00.000000+00:00'")
    assert [link.sequence for link in ledger.verify()] == list(range(1, 1201))
