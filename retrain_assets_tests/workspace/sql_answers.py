"""What a statement answers: DESCRIBE HISTORY and DESCRIBE DETAIL through delta-rs, queries through DuckDB."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
from databricks.sdk.service.catalog import DataSourceFormat
from databricks.sdk.service.sql import ColumnInfo, ColumnInfoTypeName

from .unity_catalog import Table

Value = str | None
Find = Callable[[str], Table]

_NAME = r"(?:`[^`]+`|\w+)(?:\.(?:`[^`]+`|\w+)){0,2}"
_DESCRIBE = re.compile(rf"\s*DESCRIBE\s+(HISTORY|DETAIL)\s+({_NAME})(?:\s+LIMIT\s+(\d+))?\s*;?\s*", re.IGNORECASE)
_READ = re.compile(
    rf"\b(FROM|JOIN)\s+({_NAME})(?:@v(\d+)|\s+VERSION\s+AS\s+OF\s+(\d+)|\s+TIMESTAMP\s+AS\s+OF\s+'([^']+)')?", re.IGNORECASE
)

TYPES = {
    pl.Int8: ("BYTE", "TINYINT"),
    pl.Int16: ("SHORT", "SMALLINT"),
    pl.Int32: ("INT", "INT"),
    pl.Int64: ("LONG", "BIGINT"),
    pl.Float32: ("FLOAT", "FLOAT"),
    pl.Float64: ("DOUBLE", "DOUBLE"),
    pl.Boolean: ("BOOLEAN", "BOOLEAN"),
    pl.String: ("STRING", "STRING"),
    pl.Binary: ("BINARY", "BINARY"),
    pl.Date: ("DATE", "DATE"),
    pl.Datetime: ("TIMESTAMP", "TIMESTAMP"),
    pl.Decimal: ("DECIMAL", "DECIMAL"),
    pl.List: ("ARRAY", "ARRAY"),
    pl.Struct: ("STRUCT", "STRUCT"),
    pl.Null: ("NULL", "VOID"),
}


@dataclass(frozen=True)
class Rows:
    """The columns and values of a result; every value is text, as JSON_ARRAY has it."""

    columns: Sequence[ColumnInfo]
    values: Sequence[Sequence[Value]]


def answer_of(
    statement: str, find: Find, *, catalog: str | None, schema: str | None, parameters: Mapping[str, str | None]
) -> Rows:
    """The rows of a statement; SyntaxError for one that cannot be read.

    Args:
        statement: the text.
        find: the table of a three-level name.
        catalog: completes names of one and two levels.
        schema: completes names of one level.
        parameters: value by name of the markers ``:name``.
    """

    def table(name: str) -> Table:
        parts = [part.strip("`") for part in re.findall(r"`[^`]+`|\w+", name)]
        before = [one for one in (catalog, schema) if one][: 3 - len(parts)]
        return find(".".join([*before, *parts]))

    described = _DESCRIBE.fullmatch(statement)
    if described is not None:
        kind, name, limit = described.groups()
        return _rows(_history(table(name), limit) if kind.upper() == "HISTORY" else _detail(table(name)))
    if not re.match(r"\s*(SELECT|WITH)\b", statement, re.IGNORECASE):
        raise SyntaxError(f"Syntax error at or near '{statement.split()[0] if statement.split() else ''}'.")
    return _rows(_query(statement, table, parameters))


def _query(statement: str, table: Find, parameters: Mapping[str, str | None]) -> pl.DataFrame:
    import duckdb

    own = {name.lower() for name in re.findall(r"(\w+)\s+AS\s*\(", statement, re.IGNORECASE)}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        seen: list[pl.DataFrame] = []

        def view(found: re.Match[str]) -> str:
            keyword, name, at, version, moment = found.groups()
            if name.lower() in own:
                return found.group(0)
            frame = _frame(table(name), int(at or version) if at or version else None, moment)
            seen.append(frame)
            connection.register(f"table_{len(seen)}", frame.to_arrow())
            return f"{keyword} table_{len(seen)}"

        text = re.sub(r"(?<![:\w]):(\w+)", r"$\1", _READ.sub(view, statement)).replace("`", '"')
        try:
            used = {name: value for name, value in parameters.items() if f"${name}" in text}
            return pl.DataFrame(connection.sql(text, params=used).to_arrow_table())
        except duckdb.Error as error:
            raise SyntaxError(str(error).partition("\n")[0]) from error


def _frame(table: Table, version: int | None, moment: str | None) -> pl.DataFrame:
    if table.format is not DataSourceFormat.DELTA:
        return pl.read_parquet(table.folder / "**/*.parquet")
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC) if moment else None
    return pl.read_delta(str(table.folder), version=version if at is None else at)


def _history(table: Table, limit: str | None) -> pl.DataFrame:
    from deltalake import DeltaTable

    return pl.DataFrame(
        [
            {
                "version": entry["version"],
                "timestamp": datetime.fromtimestamp(entry["timestamp"] / 1000, UTC),
                "userName": None,
                "operation": entry["operation"],
                "operationParameters": json.dumps(entry.get("operationParameters", {})),
                "engineInfo": entry.get("engineInfo"),
            }
            for entry in DeltaTable(str(table.folder)).history(None if limit is None else int(limit))
        ],
        schema_overrides={"version": pl.Int64, "userName": pl.String},
    )


def _detail(table: Table) -> pl.DataFrame:
    from deltalake import DeltaTable

    known = DeltaTable(str(table.folder))
    metadata, protocol = known.metadata(), known.protocol()
    return pl.DataFrame(
        [
            {
                "format": "delta",
                "id": str(metadata.id),
                "name": table.name,
                "location": table.location,
                "createdAt": datetime.fromtimestamp((metadata.created_time or 0) / 1000, UTC),
                "partitionColumns": json.dumps(metadata.partition_columns),
                "numFiles": len(known.file_uris()),
                "properties": json.dumps(metadata.configuration),
                "minReaderVersion": protocol.min_reader_version,
                "minWriterVersion": protocol.min_writer_version,
            }
        ]
    )


def _rows(frame: pl.DataFrame) -> Rows:
    return Rows([_column(place, *one) for place, one in enumerate(frame.schema.items())], [_texts(row) for row in frame.rows()])


def _column(place: int, name: str, dtype: pl.DataType) -> ColumnInfo:
    known, text = TYPES.get(type(dtype), ("STRING", "STRING"))
    return ColumnInfo(name=name, position=place, type_name=ColumnInfoTypeName(known), type_text=text)


def _texts(row: Sequence[Any]) -> list[Value]:
    return [None if value is None else _text(value) for value in row]


def _text(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            aware = value if value.tzinfo else value.replace(tzinfo=UTC)
            return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        case date():
            return value.isoformat()
        case list() | dict():
            return json.dumps(value, default=str)
    return str(value)
