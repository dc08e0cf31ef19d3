"""Stage ``features`` on Spark: the team's function on a lazy frame of the executors, its rows back in the data set's order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from retrain_assets.compute.code import import_path
from retrain_assets.compute.frames import WINDOWS, read_about, read_tables, stored_digest, write_table
from retrain_assets.compute.parts import StoredTable
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.compute.spark.dataset_memory import refuse_what_does_not_fit
from retrain_assets.compute.spark.dataset_parts import POSITION, read_parts, write_parts
from retrain_assets.compute.spark.features_agreement import refuse_other_values
from retrain_assets.compute.spark.features_building import ENGINE_REMEDY, Counted, in_dataset_order, spark_features
from retrain_assets.compute.spark.session import session_of, steady
from retrain_assets.compute.stages.building import Build, build_features
from retrain_assets.compute.stages.features import about_features, judged, key_columns, same_features
from retrain_assets.contract import Contract

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SAMPLE = 200
"""Rows of each window, about, that the function is called on by both engines first: there it must give the same."""


def features(request: StageRequest) -> StageResult:
    """Build the features of a data set: what :func:`retrain_assets.compute.stages.features.features` makes.

    The function is first called on a few rows of each window by both engines: without Spark it must do what that stage asks, and
    the values must agree to 1e-9, or it is refused. Then it is called on a lazy frame of each whole window. Features have the
    types they have without Spark; where Spark computes in a wider one, its value is taken if it fits. Rows and order are the data
    set's. So the digest is the same as without Spark wherever both engines give the same value to the last bit: what is read,
    compared, added, subtracted or multiplied row by row; not division by a constant (Polars multiplies by its reciprocal),
    sums and means over rows, powers, logarithms and angles. Times are UTC to the function, whatever zone a column has.

    Input and output as without Spark; the output is in parts. The driver holds the data set and the features for gate data.

    Raises:
        StageError: as the stage without Spark; when the function needs the whole window at once (eager operations, order without
            ``order_by``) or loses which row is which; when both snapshots do not fit the driver.
    """
    contract = request.parsed_contract()
    folder = request.input("dataset")
    about = read_about(folder)
    build: Build = import_path(contract.features, "features")
    stored = {name: StoredTable.at(folder / f"{name}.parquet") for name in WINDOWS}
    samples = {name: _sample(table) for name, table in stored.items()}
    built = {name: build_features(build, rows, contract.source, contract.features) for name, rows in samples.items()}
    names = same_features(built["train"].columns, built["holdout"].columns, contract)
    types = built["train" if stored["train"].rows else "holdout"].schema
    facts = about_features(contract, names, types, stored_digest(folder), about["window"])
    target = request.directory / "features"
    with steady(session_of(contract.spark)) as session:
        for name, table in stored.items():
            if table.rows:
                refuse_other_values(session, build, contract, samples[name], built[name], request.directory)
            _write_window(session, table, build, contract, types, facts, target / f"{name}.parquet")
    written = [StoredTable.at(target / f"{name}.parquet") for name in WINDOWS]
    refuse_what_does_not_fit([*stored.values(), *written])
    return judged(request, contract, read_tables(target), read_tables(folder), stored_digest(target), target)


def _sample(table: StoredTable) -> pl.DataFrame:
    """Rows spread evenly over a window, in their order."""
    return table.scan().gather_every(max(1, table.rows // SAMPLE)).collect()


def _write_window(
    session: SparkSession,
    table: StoredTable,
    build: Build,
    contract: Contract,
    types: pl.Schema,
    facts: dict[str, object],
    path: Path,
) -> None:
    keys = {name: table.schema[name] for name in key_columns(contract)}
    all_types = {**keys, **types}
    if table.rows == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(path, pl.DataFrame(schema=all_types), facts)
        return
    built = spark_features(build, read_parts(session, table.path), list(types), contract, _sample(table))
    rows = read_parts(session, table.path, position=True).select(POSITION, *keys)
    counted = Counted()
    write_parts(in_dataset_order(rows, built, contract, counted), path, all_types, facts, remedy=ENGINE_REMEDY)
    counted.refuse_other_rows(table.rows, contract)
