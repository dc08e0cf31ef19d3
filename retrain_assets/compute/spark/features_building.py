"""Calling the team's feature function on a lazy Spark frame, and putting its rows back beside those they were made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from retrain_assets.compute.spark.dataset_parts import POSITION, position_of
from retrain_assets.compute.stages.building import Build
from retrain_assets.contract import Contract, StageError, first_line
from retrain_assets.gates.redaction import scrubbed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ENGINE_REMEDY = (
    "write it with narwhals expressions alone (over for groups, order_by for order, no joins and no eager operations), "
    "or set engine: single_node"
)
"""What to do about a function that Spark cannot run."""

_RETURNED_UNIT, _RETURNED_TIME, _THERE = "__returned_unit__", "__returned_time__", "__there__"


def spark_features(build: Build, rows: DataFrame, names: list[str], contract: Contract, sample: pl.DataFrame) -> DataFrame:
    """Features of the rows, lazily, with the unit and event time that the function returned and the place of each row.

    Args:
        build: the function; it has done what is asked on the sample without Spark.
        rows: rows of one window, read from files.
        names: the features.
        contract: roles of the columns.
        sample: rows of the window; values of theirs are taken out of messages.

    Raises:
        StageError: when the function cannot be run by Spark, returns other columns there, or loses which row is which.
    """
    import narwhals as nw
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as sf
    from pyspark.sql.types import NullType

    source = contract.source
    try:
        built = build(nw.from_native(rows))
    except StageError:
        raise
    except Exception as error:
        said = scrubbed(first_line(error), sample, source)
        raise _cannot(f"cannot be run by Spark ({type(error).__name__}: {said})", contract) from error
    if not isinstance(built, nw.LazyFrame):
        raise _cannot(f"returned {type(built).__name__} for a LazyFrame", contract)
    native: Any = nw.to_native(built)
    found = [name for name in native.columns if name not in (source.unit, source.event_time)]
    if found != names or native.columns.count(source.unit) != 1:
        told = ", ".join(sorted(set(found).symmetric_difference(names))) or "in another order, or twice"
        raise _cannot(f"returns other columns on Spark than without it: {told}", contract)
    void = {field.name for field in native.schema.fields if isinstance(field.dataType, NullType)}
    columns = [native[name].cast("double").alias(name) if name in void else native[name] for name in names]
    returned = [native[source.unit].alias(_RETURNED_UNIT), sf.lit(True).alias(_THERE)]
    if source.event_time in native.columns:
        returned.append(native[source.event_time].alias(_RETURNED_TIME))
    try:
        placed: DataFrame = native.select(*columns, *returned, position_of(sf.col("_metadata")).alias(POSITION))
    except PySparkException as error:
        raise _cannot("loses which row is which (a join, an aggregate or a union)", contract) from error
    return placed


class Counted:
    """What is counted of the rows while they are written."""

    def __init__(self) -> None:
        from pyspark.sql import Observation

        self.observation = Observation()

    def refuse_other_rows(self, rows: int, contract: Contract) -> None:
        """Refuse what is not one feature row per row, with its key.

        Raises:
            StageError: that.
        """
        seen = self.observation.get
        where, key = f"feature function {contract.features}", f"{contract.source.unit!r} or {contract.source.event_time!r}"
        if seen["written"] != rows or seen["built"] != rows:
            said = f"returned {seen['built']} rows for {rows} on Spark, or some twice"
            raise StageError(said, where=where, remedy="return exactly one feature row per row")
        if other := rows - seen["same"]:
            said = f"returned other values of {key} for {other} rows on Spark"
            raise StageError(said, where=where, remedy="return the key columns unchanged")


def in_dataset_order(rows: DataFrame, built: DataFrame, contract: Contract, counted: Counted) -> DataFrame:
    """Keys and label of the rows with their features, in the rows' order.

    Args:
        rows: keys, label and place of every row of the window.
        built: as :func:`spark_features` gives it.
        contract: roles of the columns.
        counted: told of how many rows there are, are built, and have their own key.
    """
    from pyspark.sql import functions as sf

    joined = rows.join(built, POSITION, "left")
    same = joined[contract.source.unit].eqNullSafe(joined[_RETURNED_UNIT])
    if _RETURNED_TIME in built.columns:
        same = same & joined[contract.source.event_time].eqNullSafe(joined[_RETURNED_TIME])
    told = [
        sf.count(sf.lit(1)).alias("written"),
        sf.count(joined[_THERE]).alias("built"),
        sf.count(sf.when(same, 1)).alias("same"),
    ]
    return joined.orderBy(POSITION).observe(counted.observation, *told)


def _cannot(what: str, contract: Contract) -> StageError:
    return StageError(what, where=f"feature function {contract.features}", remedy=ENGINE_REMEDY)
