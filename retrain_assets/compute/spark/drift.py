"""Stage ``drift`` on Spark: executors read the window, build and sketch its features and join what was served with its labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle import Bundle
from retrain_assets.compute.code import import_path
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.compute.spark.dataset_parts import POSITION, position_of
from retrain_assets.compute.spark.dataset_source import source_frame
from retrain_assets.compute.spark.features_building import spark_features
from retrain_assets.compute.spark.file_order import in_types
from retrain_assets.compute.spark.scores import with_scores
from retrain_assets.compute.spark.session import between, session_of, steady
from retrain_assets.compute.spark.sketches import local_frame, sketch_spark
from retrain_assets.compute.spark.traffic import held, measures_of, served_frame, until
from retrain_assets.compute.stages.building import build_features
from retrain_assets.compute.stages.drift import AskedDrift, Live, predictions_of, reported
from retrain_assets.compute.stages.live_rows import LiveRows
from retrain_assets.compute.stages.segment_losses import segment_columns
from retrain_assets.compute.stages.source import sort_columns, source_table
from retrain_assets.contract import Contract
from retrain_assets.drift import Sketch, sketch_frame

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

Floats = npt.NDArray[np.float64]

SAMPLE = 200
"""Source rows that the feature function is called on without Spark first."""


def drift(request: StageRequest) -> StageResult:
    """Report the drift of a champion: what :func:`retrain_assets.compute.stages.drift.drift` makes.

    To the driver come the sketches, a kilobyte or two a column and partition; of each served request of the window its score, its
    label and its segments; and counts and means of success measures.

    Raises:
        SourceError: when the source is not what the contract says.
        StageError: as the stage without Spark, and when the feature function cannot be run by Spark.
        CustodyError: when the bundle is not the one on record.
    """
    asked = AskedDrift.of(request)
    source = asked.contract.source
    table = source_table(source)
    with steady(session_of(asked.contract.spark)) as session:
        frame, types = source_frame(session, source, import_path(source.schema_, "source.schema"), table)
        rows = frame.where(between(frame, source.event_time, asked.start, asked.now))
        window = _SourceWindow.of(rows, types, asked.bundle, asked.contract)
        found = _found(session, request, asked, window)
    return reported(asked, found, table.at.to_json() if table is not None else None)


@dataclass(frozen=True, slots=True)
class _SourceWindow:
    """Source rows of the window with their places, and the champion's features of them.

    Args:
        rows: the rows with :data:`POSITION`.
        types: their own types.
        built: features with :data:`POSITION`; None without rows.
        feature_types: the features' own types.
    """

    rows: DataFrame
    types: Mapping[str, pl.DataType]
    built: DataFrame | None
    feature_types: Mapping[str, pl.DataType]

    @classmethod
    def of(cls, rows: DataFrame, types: Mapping[str, pl.DataType], bundle: Bundle, contract: Contract) -> _SourceWindow:
        from pyspark.sql import functions as sf

        sample = in_types(rows.limit(SAMPLE).toArrow(), types)
        placed = rows.select(*types, position_of(sf.col("_metadata")).alias(POSITION))
        if sample.is_empty():
            return cls(placed, types, None, dict.fromkeys(bundle.manifest.feature_names, pl.Null()))
        path = bundle.manifest.feature_function
        build = import_path(path, "the champion's features")
        known = build_features(build, sample, contract.source, path).schema
        return cls(placed, types, spark_features(build, rows, list(known), contract, sample), known)

    def segments(self, contract: Contract) -> dict[str, pl.DataType]:
        """Segment columns of the source or the features, which come before the source's."""
        named = {**self.types, **self.feature_types}
        return {name: named[name] for name in segment_columns(contract) if name in named}


def _found(session: SparkSession, request: StageRequest, asked: AskedDrift, window: _SourceWindow) -> Live:
    reference, contract = asked.reference, asked.contract
    columns = list(reference.features.columns)
    if window.built is None:
        nothing = pl.DataFrame(schema=window.feature_types)
        features = sketch_frame(nothing, columns=columns, edges=reference.features)
    else:
        features = sketch_spark(window.built.select(*window.feature_types), columns, reference.features, window.feature_types)
    with held(served_frame(session, request.input("exposures"), asked, segment_columns(contract))) as served:
        recent = served.where(between(served, "exposed_at", asked.start, asked.now))
        live = _scored_again(recent, window, asked) if contract.task == "multiclass" else _as_served(recent, window, asked)
        measures = measures_of(session, served, request.input("outcomes"), asked)
        return Live(features, _predictions(recent, live, asked), live, measures)


def _predictions(recent: DataFrame, live: LiveRows, asked: AskedDrift) -> Sketch:
    if asked.contract.task == "multiclass":
        return predictions_of(pl.DataFrame(), live, asked.reference, asked.bundle, asked.contract)
    columns = [name for name in asked.reference.predictions.columns if name == "score"]
    return sketch_spark(recent.select("score").where("score IS NOT NULL"), columns, asked.reference.predictions)


def _as_served(recent: DataFrame, window: _SourceWindow, asked: AskedDrift) -> LiveRows:
    """Requests with the score they were served, and label and segments of their unit's source rows."""
    from pyspark.sql import functions as sf

    segments = window.segments(asked.contract)
    landed = _landed(recent, window, asked, list(segments))
    last = [sf.first(sf.when(sf.col("_last"), sf.col(f"_s{place}")), ignorenulls=True) for place in range(len(segments))]
    by_unit = landed.groupBy("_unit").agg(
        sf.avg("_label").alias("_label"), *(value.alias(f"_s{place}") for place, value in enumerate(last))
    )
    logged = recent.where(sf.col("score").isNotNull() & ~sf.isnan("score") & (sf.abs("score") < float("inf")))
    both = logged.join(by_unit, logged["unit_id"] == by_unit["_unit"], "left")
    others = [name for name in segment_columns(asked.contract) if name in recent.columns and name not in segments]
    told = local_frame(both.select("score", "_label", *(f"_s{place}" for place in range(len(segments))), *others))
    return LiveRows(_floats(told["score"]), _floats(told["_label"]), _segment_frame(told, segments, others, asked.contract))


def _scored_again(recent: DataFrame, window: _SourceWindow, asked: AskedDrift) -> LiveRows:
    """Source rows of the served units, scored by the same bundle: of several classes only the likeliest is logged."""
    segments = window.segments(asked.contract)
    classes = len(asked.bundle.manifest.classes)
    kept = ["_label", *(f"_s{place}" for place in range(len(segments)))]
    if window.built is None:
        told = pl.DataFrame(schema={"score": pl.List(pl.Float64), "_label": pl.Float64, **dict.fromkeys(kept[1:], pl.String)})
    else:
        landed = _landed(recent, window, asked, list(segments), asked.bundle.manifest.feature_names)
        told = local_frame(with_scores(landed, {"score": asked.bundle}, kept))
    scores = np.array(told["score"].to_list(), dtype=np.float64).reshape(-1, classes)
    return LiveRows(scores, _floats(told["_label"]), _segment_frame(told, segments, [], asked.contract))


def _landed(
    recent: DataFrame, window: _SourceWindow, asked: AskedDrift, segments: list[str], features: tuple[str, ...] = ()
) -> DataFrame:
    """Source rows of served units: ``_unit``, ``_label`` (null where not known), ``_last`` of the unit, ``_s0``…, features."""
    from pyspark.sql import Window
    from pyspark.sql import functions as sf

    source = asked.contract.source
    units = recent.select(sf.col("unit_id").alias("_served")).distinct()
    rows = window.rows.withColumn("_unit", sf.col(source.unit).cast("string"))
    rows = rows.join(units, rows["_unit"] == units["_served"], "left_semi")
    known = until(rows, source.event_time, asked.now - source.label_delay)
    last_first = [_descending(rows, name, window.types[name]) for name in sort_columns(source, window.types)]
    turn = sf.row_number().over(Window.partitionBy("_unit").orderBy(*last_first))
    mine = rows.withColumn("_label", sf.when(known, _label(rows, asked))).withColumn("_last", turn == 1)
    of_features = [name for name in dict.fromkeys([*segments, *features]) if name in window.feature_types]
    if not of_features or window.built is None:
        return mine.select("_unit", "_label", "_last", *(mine[name].alias(f"_s{place}") for place, name in enumerate(segments)))
    built = window.built.select(POSITION, *(window.built[name].alias(f"_f {name}") for name in of_features))
    both = mine.join(built, POSITION, "left")
    value = {name: both[f"_f {name}"] if name in of_features else both[name] for name in [*segments, *features]}
    named = [value[name].alias(f"_s{place}") for place, name in enumerate(segments)]
    return both.select("_unit", "_label", "_last", *named, *(value[name].alias(name) for name in features))


def _label(rows: DataFrame, asked: AskedDrift) -> Column:
    """The label as a number, as :func:`retrain_assets.compute.stages.live_rows.label_number`."""
    from pyspark.sql import functions as sf

    label = rows[asked.contract.source.label]
    if asked.contract.task != "multiclass":
        return label.cast("double")
    classes = list(asked.bundle.manifest.classes)
    kind = "bigint" if all(isinstance(name, int) for name in classes) else "string"
    place = sf.array_position(sf.array(*(sf.lit(name).cast(kind) for name in classes)), label.cast(kind))
    return sf.when(place > 0, (place - 1).cast("double"))


def _descending(rows: DataFrame, name: str, dtype: pl.DataType) -> Column:
    from pyspark.sql import functions as sf

    column = sf.array_position(sf.lit(dtype.categories.to_list()), rows[name]) if isinstance(dtype, pl.Enum) else rows[name]
    return column.desc_nulls_first()


def _segment_frame(
    told: pl.DataFrame, segments: Mapping[str, pl.DataType], others: list[str], contract: Contract
) -> pl.DataFrame:
    """Segment columns under their own names and in their own types, in the contract's order."""
    renamed = told.select(pl.col(f"_s{place}").alias(name) for place, name in enumerate(segments))
    typed = in_types(renamed.to_arrow(), segments) if segments else pl.DataFrame()
    columns = {**{name: typed[name] for name in segments}, **{name: told[name] for name in others}}
    return pl.DataFrame([columns[name] for name in segment_columns(contract) if name in columns])


def _floats(values: pl.Series) -> Floats:
    return values.cast(pl.Float64).fill_null(np.nan).to_numpy()
