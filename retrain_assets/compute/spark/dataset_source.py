"""The source as a Spark frame, checked as without Spark: files, or a version of a Delta table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from retrain_assets.compute.delta import LoggedTable, VersionedTable
from retrain_assets.compute.delta_catalog import SessionTable
from retrain_assets.compute.spark.dataset_parts import refuse_types
from retrain_assets.compute.spark.session import spark_path
from retrain_assets.compute.stages.source import expected_columns, file_columns, table_columns
from retrain_assets.contract import Source, SourceError, StageError

if TYPE_CHECKING:
    import pandera.polars
    from pyspark.sql import DataFrame, SparkSession


def source_frame(
    session: SparkSession,
    source: Source,
    schema: type[pandera.polars.DataFrameModel],
    table: VersionedTable | None,
) -> tuple[DataFrame, dict[str, pl.DataType]]:
    """All rows of the source with the schema's columns, and the types they have without Spark.

    Raises:
        SourceError: as :func:`retrain_assets.compute.stages.source.read_source`; when a column has a type that Spark cannot hold,
            or the files of a Delta table do not tell its rows and the session knows no Delta.
    """
    expected = expected_columns(source, schema)
    if table is None:
        return _files(session, file_columns(source, expected))
    columns = table_columns(table, expected)
    found = table.schema()
    types = {name: found[name] for name in columns}
    refuse_types(types, table.name)
    if isinstance(table, SessionTable):
        return table.frame().select(*columns), types
    if not isinstance(table, LoggedTable):
        raise StageError("cannot be read by Spark", where=table.name, remedy="set engine: single_node")
    files = table.files()
    if not files:
        return session.createDataFrame(pl.DataFrame(schema=types).to_arrow()), types
    return session.read.parquet(*[spark_path(file) for file in files]).select(*columns), types


def _files(session: SparkSession, columns: Mapping[Path, tuple[str, ...]]) -> tuple[DataFrame, dict[str, pl.DataType]]:
    types: dict[str, pl.DataType] = {}
    frame: DataFrame | None = None
    for wanted in sorted(set(columns.values())):
        paths = [path for path, names in columns.items() if names == wanted]
        for path in paths:
            found = pl.read_parquet_schema(path)
            refuse_types({name: found[name] for name in wanted}, str(path))
            for name in wanted:
                if types.setdefault(name, found[name]) != found[name]:
                    raise SourceError(
                        f"column {name!r} is {found[name]}, and {types[name]} in other files",
                        where=str(path),
                        remedy="write the column with one type in all files",
                    )
        part = session.read.parquet(*[spark_path(path) for path in paths]).select(*wanted)
        frame = part if frame is None else frame.unionByName(part, allowMissingColumns=True)
    if frame is None:
        raise SourceError("there is no file", where="source.uri")
    return frame, types
