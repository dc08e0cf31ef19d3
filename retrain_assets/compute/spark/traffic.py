"""What a champion served, as Spark reads it: exposures once a request, and the success measures of its windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from retrain_assets.compute.spark.session import between, moment, spark_path
from retrain_assets.compute.stages.drift import AskedDrift, asked_measures
from retrain_assets.compute.stages.live_rows import REQUEST
from retrain_assets.contract import StageError, first_line
from retrain_assets.drift import MeasureChange

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

EXPOSURE = "request_id string, unit_id string, exposed_at timestamp, score double, arm string, bundle string"
OUTCOME = "request_id string, unit_id string, observed_at timestamp"


def served_frame(session: SparkSession, traffic: Path, asked: AskedDrift, attributes: Sequence[str]) -> DataFrame:
    """What a bundle scored as champion in its reign before now: as :func:`retrain_assets.compute.stages.live_rows.served_rows`.

    Of exposures of one request at the same moment the first of the files counts.

    Raises:
        StageError: when a file cannot be read or lacks a column.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as sf

    exposures = _read(session, traffic, EXPOSURE, attributes, "exposed_at")
    reign = between(exposures, "exposed_at", asked.since, asked.now)
    kept = exposures.where((sf.col("bundle") == asked.bundle.digest) & (sf.col("arm") == "champion") & reign)
    first = Window.partitionBy(*REQUEST).orderBy("exposed_at", "_place")
    once = kept.withColumn("_turn", sf.row_number().over(first)).where("_turn = 1")
    return once.select(*REQUEST, "exposed_at", sf.col("score").cast("double").alias("score"), *_there(exposures, attributes))


def measures_of(session: SparkSession, served: DataFrame, outcomes: Path, asked: AskedDrift) -> dict[str, MeasureChange]:
    """The success measures of the window, and of the champion's first one; only counts and means come to the driver.

    Raises:
        StageError: when a file cannot be read or lacks a column.
    """
    from pyspark.sql import functions as sf

    wanted = asked_measures(asked)
    if not wanted:
        return {}
    columns = sorted({*wanted.values()})
    seen = _read(session, outcomes, OUTCOME, columns, "observed_at")
    known = _there(seen, columns)
    earlier = seen.where(sf.col("observed_at") < moment(seen, "observed_at", asked.now))
    if not known:
        latest = earlier.select(*REQUEST).distinct()
    else:
        newest = [sf.max(sf.when(sf.col(name).isNotNull(), sf.struct("observed_at", "_place", name))) for name in known]
        named = [value[name].cast("double").alias(f"_{name}") for name, value in zip(known, newest, strict=True)]
        latest = earlier.groupBy(*REQUEST).agg(*named)
    both = served.join(latest, REQUEST)
    first_window = asked.since + asked.rule.window
    in_window = both["exposed_at"] >= moment(both, "exposed_at", asked.start)
    in_first = both["exposed_at"] < moment(both, "exposed_at", first_window)
    sums: list[Column] = [sf.count(sf.lit(1)).alias("requests")]
    for name in known:
        value = sf.col(f"_{name}")
        current, before = sf.when(in_window, value), sf.when(in_first, value)
        sums += [sf.count(current).alias(f"n {name}"), sf.avg(current).alias(f"now {name}"), sf.avg(before).alias(f"then {name}")]
    told = both.agg(*sums).collect()[0].asDict()
    return {
        name: MeasureChange(
            rows=told.get(f"n {column}", 0),
            reference=told.get(f"then {column}") if first_window <= asked.start else None,
            current=told.get(f"now {column}"),
            direction=asked.contract.experiment.success[name].direction,
        )
        for name, column in wanted.items()
    }


@contextmanager
def held(frame: DataFrame) -> Iterator[DataFrame]:
    """The frame, kept by the executors during the block where they can: serverless compute reads it anew each time."""
    from pyspark.errors import PySparkException

    try:
        kept = frame.persist()
    except PySparkException:
        yield frame
        return
    try:
        yield kept
    finally:
        kept.unpersist()


def until(frame: DataFrame, column: str, at: datetime) -> Column:
    """Whether a time column is at a moment or before."""
    return frame[column] <= moment(frame, column, at)


def _read(session: SparkSession, traffic: Path, schema: str, optional: Sequence[str], at: str) -> DataFrame:
    """Some columns of a Parquet file, or a folder of them, and ``_place``, comparable as the rows are ordered."""
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as sf

    files = [traffic] if traffic.is_file() else sorted(traffic.rglob("*.parquet"))
    if not files:
        return session.createDataFrame([], f"{schema}, _place bigint")
    names = [part.split()[0] for part in schema.split(", ")]
    file = sf.col("_metadata")
    place = sf.struct(file["file_path"], file["file_block_start"], sf.monotonically_increasing_id().alias("row"))
    try:
        found = session.read.option("mergeSchema", "true").parquet(*[spark_path(path) for path in files])
        return found.select(*names, *(name for name in optional if name in found.columns), place.alias("_place"))
    except PySparkException as error:
        raise StageError(
            f"traffic cannot be read ({first_line(error)})", where=str(traffic), remedy="see docs/data-formats.md"
        ) from error


def _there(frame: DataFrame, columns: Sequence[str]) -> list[str]:
    return [name for name in columns if name in frame.columns]
