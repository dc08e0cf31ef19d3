"""``retrain audit query``: the record asked in SQL, or by one of the questions that are ready."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.exits import tell
from retrain_assets.cli.options import json_option
from retrain_assets.cli.show import moment, plain, say, say_json, say_table, short
from retrain_assets.contract import CustodyError, RetrainError, parse_duration
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.ledger import Ledger
    from retrain_assets.reports.query import Answer

FORMATS = ("table", "csv", "json", "parquet")


@click.command()
@click.argument("question", required=False, metavar="[NAME|SQL|-]")
@click.option("--param", "parameters", multiple=True, metavar="NAME=VALUE", help="A value; in SQL it stands as $NAME.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="How to answer.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Where to; parquet needs one.")
@click.option("--list", "list_questions", is_flag=True, help="The questions that are ready.")
@click.option("--schema", is_flag=True, help="Tables and columns, what each says; of one with its NAME.")
@click.option("--timeout", default="60s", show_default=True, metavar="DURATION", help="How long it may take.")
@json_option
def query(
    question: str | None,
    parameters: Sequence[str],
    form: str,
    output: Path | None,
    list_questions: bool,
    schema: bool,
    timeout: str,
    as_json: bool,
) -> None:
    """Ask the record: a question by NAME, or one SELECT; - reads it from standard input.

    Reads the ledger once and changes nothing; what is recorded meanwhile is not in the answer. Times are UTC.
    """
    form = "json" if as_json else form
    if list_questions or schema or question is None:
        if question is None and not (list_questions or schema):
            raise click.UsageError("name a question or write a SELECT; --list names the questions, --schema the tables")
        (_say_schema if schema else _say_questions)(question, as_json=form == "json")
        return
    if form == "parquet" and output is None:
        raise click.UsageError("--format parquet needs --output FILE")
    limit = _duration(timeout)
    answer = _asked(sys.stdin.read() if question == "-" else question, _pairs(parameters), limit)
    if output is not None:
        _write(answer, form, output)
    elif form == "json":
        say_json(_documents(answer))
    elif form == "csv":
        _say_csv(answer)
    else:
        _say_rows(answer)


def _asked(text: str, given: Mapping[str, str], limit: timedelta) -> Answer:
    from retrain_assets.cli.opening import require_record
    from retrain_assets.ledger import Ledger
    from retrain_assets.reports.query import Database, Records, question

    home = Home.from_environment()
    require_record(home)
    named = question(text) if text.strip().isidentifier() else None
    with closing(Ledger(home.ledger_url)) as ledger:
        _note_damage(ledger)
        database = Database(Records(home, ledger), timeout=limit)
        return named.answer(database, given, home.clock.now()) if named else database.ask(text, given)


def _note_damage(ledger: Ledger) -> None:
    """An answer is of what is stored; where the end of the chain alone shows that this is not what was recorded, say so."""
    try:
        ledger.check_end()
    except CustodyError as error:
        tell(f"note: {error.what}; the answer is of what is stored, not verified: retrain audit verify")


def _pairs(written: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for one in written:
        name, separator, value = one.partition("=")
        if not separator or not name.strip().isidentifier():
            raise click.BadParameter(f"{one!r} is not NAME=VALUE", param_hint="--param")
        pairs[name.strip()] = value
    return pairs


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timeout") from error


def _say_questions(_: str | None, *, as_json: bool) -> None:
    from retrain_assets.reports.query import QUESTIONS

    rows = [
        {
            "question": one.name,
            "answers": one.asks,
            "parameters": [
                {"name": known.name, "what": known.doc, "default": known.default, "required": known.required}
                for known in one.parameters
            ],
            "sql": one.sql,
        }
        for one in QUESTIONS.values()
    ]
    if as_json:
        say_json(rows)
        return
    shown = [
        (one.name, one.asks, ", ".join(known.name if known.required else f"[{known.name}]" for known in one.parameters) or None)
        for one in QUESTIONS.values()
    ]
    say_table(["question", "what it answers", "parameters"], shown)


def _say_schema(name: str | None, *, as_json: bool) -> None:
    from retrain_assets.reports.query import TABLES

    if name is not None and name not in TABLES:
        raise RetrainError(f"there is no table {name!r}", where="query", remedy=f"tables: {', '.join(TABLES)}")
    tables = [table for table in TABLES.values() if name in (None, table.name)]
    if as_json:
        columns = {
            table.name: [{"name": one.name, "type": one.type, "what": one.doc} for one in table.columns] for table in tables
        }
        say_json({table.name: {"row": table.row, "columns": columns[table.name]} for table in tables})
        return
    for place, table in enumerate(tables):
        if place:
            say()
        say(f"{table.name}: {table.row}")
        say_table(["column", "type", "what it says"], [(one.name, one.type, one.doc) for one in table.columns])


def _say_rows(answer: Answer) -> None:
    rows = [[_shown(value) for value in row] for row in answer.rows]
    numbers = [name for name, kind in zip(answer.columns, answer.table.schema.types, strict=True) if _is_number(kind)]
    say_table(answer.columns, rows, right=numbers, or_records=True)
    if not rows:
        say("no rows")


def _say_csv(answer: Answer) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows([_written(value) for value in row] for row in answer.rows)


def _documents(answer: Answer) -> list[dict[str, Any]]:
    return [{name: _written(value) for name, value in zip(answer.columns, row, strict=True)} for row in answer.rows]


def _write(answer: Answer, form: str, path: Path) -> None:
    scratch = path.with_name(f".{path.name}.writing")
    try:
        if form == "parquet":
            import pyarrow.parquet as pq

            pq.write_table(answer.table, scratch)
        else:
            import csv

            with scratch.open("w", newline="", encoding="utf-8") as file:
                if form == "json":
                    json.dump(_documents(answer), file, indent=2, ensure_ascii=False)
                    file.write("\n")
                else:
                    writer = csv.writer(file, lineterminator="\n")
                    writer.writerow(answer.columns)
                    writer.writerows([_written(value) for value in row] for row in answer.rows)
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise RetrainError(f"it cannot be written ({error.strerror})", where=str(path), remedy="name another file") from error
    say(f"{len(answer.rows)} rows: {path}")


def _shown(value: Any) -> str | None:
    """A value in a table: times to the minute, the beginning of a digest."""
    if isinstance(value, datetime):
        return moment(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, str) and value.startswith("sha256:"):
        return short(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    written = _written(value)
    return None if written is None else plain(str(written))


def _written(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_written(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _written(one) for name, one in value.items()}
    return str(value)


def _is_number(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))
