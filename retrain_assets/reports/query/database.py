"""A DuckDB in memory that holds the record and is asked in SQL: no file, no network, no change, bounded in time and memory."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from retrain_assets.contract import RetrainError
from retrain_assets.ledger.reading import all_stays
from retrain_assets.reports.query.event_rows import approval_rows, event_rows, follow_up_rows, gate_rows, override_rows
from retrain_assets.reports.query.evidence_rows import custody_rows, dataset_rows, look_rows
from retrain_assets.reports.query.records import Records, Row
from retrain_assets.reports.query.schema import TABLES, Table
from retrain_assets.reports.query.state_rows import reign_rows, retrain_rows, toggle_rows

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY = "2GB"
TIMEOUT = timedelta(seconds=60)
MOST_ROWS = 1_000_000
"""Rows an answer may have."""

BY_TEXT = frozenset({"query", "query_table"})
"""Functions that take the name of a table, or a statement, as a text: a table that is not named would not be filled."""

_LOCKED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "memory_limit": MEMORY,
}
"""Neither files nor network nor extensions nor variables of this process; too much memory is an error, not a file."""

_ROWS: Mapping[str, Callable[[Records], Iterable[Row]]] = {
    "events": event_rows,
    "retrains": retrain_rows,
    "toggles": toggle_rows,
    "approvals": approval_rows,
    "gates": gate_rows,
    "looks": look_rows,
    "reigns": reign_rows,
    "follow_ups": follow_up_rows,
    "overrides": override_rows,
    "custody": custody_rows,
    "datasets": dataset_rows,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave, as an Arrow table; times are UTC."""

    table: pa.Table

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.table.column_names)

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The rows as Python values."""
        return list(zip(*(column.to_pylist() for column in self.table.columns), strict=True)) if self.table.num_columns else []


class Database:
    """The record as tables. A table is made when a statement first names it.

    Args:
        records: the record; read once.
        timeout: how long a statement may run.
    """

    def __init__(self, records: Records, timeout: timedelta = TIMEOUT) -> None:
        import duckdb

        self._records, self._timeout = records, timeout
        self._connection = duckdb.connect(":memory:", config=dict(_LOCKED))
        self._connection.execute("SET TimeZone = 'UTC'")
        for table in TABLES.values():
            self._connection.execute(_definition(table))
        self._connection.execute("SET lock_configuration = true")
        self._loaded: set[str] = set()

    def ask(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """The answer to one SELECT.

        Args:
            sql: one statement; ``$name`` stands for a parameter.
            parameters: their values.

        Raises:
            RetrainError: in one line, for what is no single SELECT, does not fit the tables, takes too long or too much memory,
                or has more than a million rows.
        """
        import duckdb

        given = dict(parameters or {})
        try:
            wanted = self._single_select(sql)
            if unknown := wanted - set(given):
                raise RetrainError(
                    f"{_listed(unknown)} has no value", where="query", remedy=f"add --param {sorted(unknown)[0]}=VALUE"
                )
            values = {name: given[name] for name in wanted}
            self._understood(sql, values)
            for table in sorted(self._named(sql, wanted) - self._loaded):
                self._load(table)
            return self._answered(sql, values)
        except duckdb.InterruptException as error:
            seconds = f"{self._timeout.total_seconds():g}"
            raise RetrainError(
                f"it took longer than {seconds} s", where="query", remedy="ask for less, or add --timeout"
            ) from error
        except duckdb.OutOfMemoryException as error:
            raise RetrainError(f"it needs more than {MEMORY} of memory", where="query", remedy="ask for less") from error
        except duckdb.Error as error:
            raise _told(str(error)) from error

    def _single_select(self, sql: str) -> set[str]:
        import duckdb

        statements = self._connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
            what = "it is more than one statement" if len(statements) > 1 else "only SELECT is possible here"
            raise RetrainError(what, where="query", remedy="write one SELECT; nothing can be changed")
        return set(statements[0].named_parameters)

    def _understood(self, sql: str, values: Mapping[str, Any]) -> None:
        """What does not fit the tables is told with its place, before a table is made; run as a relation it has none."""
        import duckdb

        if not sql.lstrip().lower().startswith("explain"):
            try:
                self._connection.execute(f"EXPLAIN {sql}", values)
            except duckdb.Error as error:
                raise _told(str(error), before="EXPLAIN ") from error

    def _named(self, sql: str, parameters: Iterable[str]) -> set[str]:
        """Every table that a statement may read: those the parser names, and every one whose name stands in it."""
        import duckdb

        words = set(re.findall(r"\w+", sql.lower()))
        if by_text := words & BY_TEXT:
            raise RetrainError(f"{min(by_text)} is not possible here", where="query", remedy="write the table's name itself")
        with suppress(duckdb.Error):  # what is wrong with it is told with its position when it is asked
            words |= self._connection.get_table_names(_spelled_out(sql, parameters))
        return words & set(_ROWS)

    def _load(self, name: str) -> None:
        table = TABLES[name]
        with all_stays():
            rows = _arrow(table, _ROWS[name](self._records))
        self._connection.register("_rows", rows)
        self._connection.execute(f"INSERT INTO {name} SELECT * FROM _rows")
        self._connection.unregister("_rows")
        self._loaded.add(name)

    def _answered(self, sql: str, parameters: Mapping[str, Any]) -> Answer:
        import pyarrow as pa

        timer = threading.Timer(self._timeout.total_seconds(), self._connection.interrupt)
        timer.start()
        try:
            reader = self._connection.sql(sql, params=dict(parameters)).to_arrow_reader(10_000)
            batches, rows = [], 0
            for batch in reader:
                batches.append(batch)
                rows += batch.num_rows
                if rows > MOST_ROWS:
                    raise RetrainError(f"the answer has more than {MOST_ROWS:,} rows", where="query", remedy="add LIMIT or WHERE")
            return Answer(pa.Table.from_batches(batches, reader.schema))
        finally:
            timer.cancel()


def _definition(table: Table) -> str:
    columns = ", ".join(f'"{column.name}" {column.type}' for column in table.columns)
    comments = [f"COMMENT ON TABLE {table.name} IS {_quoted(table.row)}"]
    comments += [f'COMMENT ON COLUMN {table.name}."{one.name}" IS {_quoted(one.doc)}' for one in table.columns]
    return "; ".join([f"CREATE TABLE {table.name} ({columns})", *comments])


def _arrow(table: Table, rows: Iterable[Row]) -> pa.Table:
    import pyarrow as pa

    types = {
        "VARCHAR": pa.string(),
        "JSON": pa.string(),
        "BIGINT": pa.int64(),
        "DOUBLE": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
    }
    listed = list(rows)
    arrays = []
    for column in table.columns:
        values = [row[column.name] for row in listed]
        if column.type == "TIMESTAMPTZ":
            values = [_moment(value) for value in values]
        arrays.append(pa.array(values, types[column.type]))
    return pa.Table.from_arrays(arrays, [column.name for column in table.columns])


def _moment(value: datetime | str | None) -> datetime | None:
    """A time; one without a zone, as dates of a window may be written, is UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _spelled_out(sql: str, parameters: Iterable[str]) -> str:
    """The statement with NULL for its parameters: the names of its tables do not depend on them."""
    for name in parameters:
        sql = re.sub(rf"\${re.escape(name)}\b", "NULL", sql)
    return sql


def _told(text: str, before: str = "") -> RetrainError:
    """A fault of a statement in one line: what, where in it, and what was probably meant."""
    head, *rest = text.split("\n")
    what = re.sub(r"^[\w ]+ Error: ", "", head).rstrip("!. ")
    near = [found.group(2) for line in rest if (found := re.match(r'(Did you mean|Candidate \w+:) ?"?(.*?)"?\??$', line))]
    if missing := re.match(r"Table with name (\S+) does not exist", what):
        near = get_close_matches(missing.group(1), TABLES, n=1, cutoff=0.5) or [", ".join(TABLES)]
    position = _position(rest, len(before))
    remedy = f"did you mean {_plain(near[0])}?" if near else "retrain audit query --schema shows tables and columns"
    return RetrainError(what, where=f"query{position}", remedy=remedy)


def _position(lines: list[str], before: int) -> str:
    """`` line 1, column 8``, as the caret below the quoted line says; empty without one."""
    for quoted, caret in pairwise(lines):
        found = re.match(r"LINE (\d+): ", quoted)
        if found and "^" in caret:
            column = caret.index("^") - found.end() + 1 - (before if found.group(1) == "1" else 0)
            return f", line {found.group(1)}" + ("" if quoted[found.end() :].startswith("...") else f", column {column}")
    return ""


def _plain(text: str) -> str:
    return text.replace('"', "")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"${name}" for name in sorted(names))
