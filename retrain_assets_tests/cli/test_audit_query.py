"""``retrain audit query``: questions and SQL from the command line, in every form an answer can have."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import polars as pl

from .conftest import Run, parsed
from .world import RUTH, World


def test_a_question_answers_as_table_csv_and_json(candidates: World, run: Run) -> None:
    candidates.bootstrap()

    asked = ("audit", "query", "approved_by", "--param", f"approver={RUTH.name}")
    table = run(*asked).stdout.splitlines()
    rows = list(csv.reader(io.StringIO(run(*asked, "--format", "csv").stdout)))
    (told,) = parsed(run(*asked, "--json"))

    assert table[0].split()[:4] == rows[0][:4] == ["happened_at", "model", "retrain", "act"]
    assert "2024-04-01 06:00 UTC" in table[1]
    assert rows[1][0] == told["happened_at"] == "2024-04-01T06:00:00+00:00"
    assert (told["act"], told["counted"]) == ("champion_bootstrapped", True)
    assert len(told["bundle"]) == len("sha256:") + 64


def test_sql_comes_as_an_argument_or_from_standard_input_with_parameters(candidates: World, run: Run) -> None:
    sql = "SELECT count(*) AS number FROM events WHERE kind = $kind"
    for told in (
        run("audit", "query", sql, "--param", "kind=retrain_launched", "--json"),
        run("audit", "query", "-", "--param", "kind=retrain_launched", "--json", stdin=sql),
    ):
        assert parsed(told) == [{"number": 2}]


def test_parquet_is_written_with_its_types(candidates: World, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "events.parquet"
    run("audit", "query", "SELECT sequence, happened_at, payload FROM events", "--format", "parquet", "--output", str(file))

    found = pl.read_parquet(file)
    assert found.schema == {"sequence": pl.Int64, "happened_at": pl.Datetime("us", "UTC"), "payload": pl.String}
    assert json.loads(found["payload"][0])["contract_digest"].startswith("sha256:")
    run("audit", "query", "SELECT 1", "--format", "parquet", code=2)
    fault = run("audit", "query", "SELECT 1", "--output", str(tmp_path / "nowhere" / "x.csv"), "--format", "csv", code=3)
    assert "it cannot be written" in fault.stderr


def test_questions_and_columns_are_listed(run: Run) -> None:
    questions = run("audit", "query", "--list").stdout
    assert "live_on" in questions
    assert "date, [model]" in questions
    assert "happened_at" in run("audit", "query", "looks", "--schema").stdout
    assert set(parsed(run("audit", "query", "--schema", "--json"))) >= {"events", "retrains", "custody"}


def test_what_cannot_be_asked_is_told_in_one_line(candidates: World, run: Run) -> None:
    assert "line 1, column 8" in run("audit", "query", "SELECT knd FROM events", code=3).stderr
    assert "did you mean live_on?" in run("audit", "query", "live_onn", code=3).stderr
    assert "is not NAME=VALUE" in run("audit", "query", "SELECT 1", "--param", "kind", code=2).stderr
    assert "only SELECT" in run("audit", "query", "DROP TABLE events", code=3).stderr
    run("audit", "query", code=2)


def test_without_a_ledger_nothing_is_made(run: Run, retrain_home: Path) -> None:
    assert "there is no ledger here" in run("audit", "query", "SELECT 1", code=3).stderr
    assert not retrain_home.exists()


def test_asking_changes_nothing_in_the_home(candidates: World, run: Run) -> None:
    candidates.controller.ledger.close()
    before = {path: path.stat().st_mtime_ns for path in candidates.home.root.rglob("*") if path.is_file()}
    run("audit", "query", "SELECT count(*) FROM retrains")
    after = {path: path.stat().st_mtime_ns for path in candidates.home.root.rglob("*") if path.is_file()}
    assert {path for path in after if not path.name.startswith("ledger.db-")} == {
        path for path in before if not path.name.startswith("ledger.db-")
    }
    assert all(after[path] == time for path, time in before.items() if path in after and not path.name.startswith("ledger.db"))


def test_an_answer_of_a_ledger_whose_end_was_changed_says_that_it_is_not_verified(candidates: World, run: Run) -> None:
    asked = ("audit", "query", "SELECT count(*) AS number FROM events", "--json")
    assert run(*asked).stderr == ""
    with closing(sqlite3.connect(candidates.home.root / "ledger.db")) as database, database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'head'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute("UPDATE head SET hash = 'a different one'")

    told = run(*asked)

    assert parsed(told)[0]["number"] > 0
    assert told.stderr.startswith("retrain: note: the head names event")
    assert "not verified: retrain audit verify" in told.stderr
