"""The database holds the record as it is and can do nothing else: no file, no change, no endless statement."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from retrain_assets.contract import RetrainError
from retrain_assets.reports.custody import custody_of
from retrain_assets.reports.query import TABLES, Database, Records
from retrain_assets.reports.record import read_record
from retrain_assets_tests.release.world import World
from retrain_assets_tests.reports.query.conftest import Ask
from retrain_assets_tests.reports.sample import Sample


@pytest.mark.parametrize("table", sorted(TABLES))
def test_a_table_has_the_columns_and_types_it_says(database: Database, table: str) -> None:
    described = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = $name ORDER BY ordinal_position"
    rows = database.ask(described, {"name": table}).rows
    types = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
    assert rows == [(one.name, types.get(one.type, one.type)) for one in TABLES[table].columns]
    if table != "custody":
        database.ask(f"SELECT * FROM {table}")


def test_times_are_utc_and_payloads_are_json(ask: Ask) -> None:
    (row,) = ask(
        "SELECT min(happened_at) AS first, any_value(payload->>'version') AS version FROM events WHERE kind = 'promoted'"
    )
    assert row == {"first": datetime(2013, 7, 1, 3, tzinfo=UTC), "version": "2"}
    (day,) = ask("SELECT date_trunc('day', max(valid_from)) AS day FROM reigns")
    assert day["day"] == datetime(2013, 7, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM glob('{folder}/*')",
        "COPY events TO '{folder}/out.csv'",
        "ATTACH '{folder}/other.db'",
        "EXPORT DATABASE '{folder}/out'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM 'https://example.org/x.csv'",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "RESET lock_configuration",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "DROP TABLE events",
        "DELETE FROM events",
        "INSERT INTO events SELECT * FROM events",
        "CREATE TABLE mine AS SELECT 1",
        "UPDATE events SET reason = 'x'",
        "SELECT 1; DROP TABLE events",
        "SELECT * FROM secret",
        "",
    ],
)
def test_no_statement_reads_a_file_changes_anything_or_opens_the_lock(database: Database, tmp_path: Path, statement: str) -> None:
    file, secret = tmp_path / "secret.csv", {"a": [1]}
    file.write_text("a\n1\n")
    before = sorted(tmp_path.iterdir())

    with pytest.raises(RetrainError):
        database.ask(statement.format(file=file, folder=tmp_path))

    assert secret
    assert sorted(tmp_path.iterdir()) == before
    assert database.ask("SELECT count(*) > 10 FROM events").rows == [(True,)]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "SELECT knd FROM events",
            'query, line 1, column 8: Referenced column "knd" not found in FROM clause; did you mean kind',
        ),
        ("SELECT kind\nFROM events\nWHERE sequenc = 3", "query, line 3, column 7: Referenced column"),
        ("SELECT * FROM event", "query, line 1, column 15: Table with name event does not exist; did you mean events?"),
        ("SELECT kind FORM events", 'query, line 1, column 18: syntax error at or near "events"'),
        ("SELECT 'x'::INT", "query, line 1, column 11: Could not convert string 'x'"),
        ("SELECT $model", "query: $model has no value; add --param model=VALUE"),
    ],
)
def test_a_wrong_statement_gives_one_line_with_its_place_and_the_nearest_name(
    database: Database, statement: str, said: str
) -> None:
    with pytest.raises(RetrainError) as refused:
        database.ask(statement)
    assert refused.value.line.startswith(said)
    assert "\n" not in refused.value.line


def test_a_statement_that_takes_too_long_is_ended_and_the_next_one_works(recorded: World) -> None:
    database = Database(Records(recorded.home, recorded.ledger), timeout=timedelta(milliseconds=200))
    with pytest.raises(RetrainError, match=r"took longer than 0\.2 s"):
        database.ask("SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range * b.range % 7 = 3")
    assert database.ask("SELECT 1").rows == [(1,)]


def test_an_answer_without_end_is_cut_off(database: Database) -> None:
    with pytest.raises(RetrainError, match="more than 1,000,000 rows"):
        database.ask("SELECT * FROM range(3000000)")


@pytest.mark.parametrize("hidden", ["query_table('ret' || 'rains')", "query('SELECT * FROM ret' || 'rains')"])
def test_a_table_whose_name_is_made_of_texts_is_refused_because_it_would_be_empty(ask: Ask, hidden: str) -> None:
    with pytest.raises(RetrainError, match="is not possible here; write the table's name itself"):
        ask(f"SELECT count(*) FROM {hidden}")


def test_one_database_shows_one_moment_whatever_is_recorded_meanwhile(tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    world.bootstrap()
    database = Database(Records(world.home, world.ledger))
    counted = database.ask("SELECT max(sequence) FROM events").rows
    world.launch("2013-07-01")

    assert database.ask("SELECT count(*) FROM retrains").rows == [(1,)]
    assert database.ask("SELECT max(sequence) FROM events").rows == counted
    assert Database(Records(world.home, world.ledger)).ask("SELECT count(*) FROM retrains").rows == [(2,)]


def test_custody_has_every_field_of_every_retrain_with_its_source(lived: Sample) -> None:
    database = Database(Records(lived.home, lived.ledger))
    state = lived.state()
    for key in state.retrains:
        record = read_record(lived.ledger, lived.evidence, lived.home, state.model, key)
        wanted = {row["key"]: row["event"] for group in custody_of(record) for row in group["rows"]}
        rows = database.ask("SELECT key, event FROM custody WHERE retrain = $key", {"key": key}).rows
        assert dict(rows) == wanted
        assert len(rows) == len(wanted)
