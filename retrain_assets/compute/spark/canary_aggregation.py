"""Sufficient statistics of a canary on Spark: rows meet by unit on the executors, sums alone come to the driver.

The executors run the code of a single machine (:mod:`retrain_assets.compute.canary.step`) on the units they have; sums of
disjoint units add. Nothing statistical is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from retrain_assets.compute.canary.records import Labels, require_columns
from retrain_assets.compute.canary.terms import Terms
from retrain_assets.compute.spark.canary_part import PartSums
from retrain_assets.compute.spark.canary_pieces import PACKED, Kind, compact, packing, unpacked
from retrain_assets.compute.spark.canary_refusals import refusals_of_executors
from retrain_assets.compute.traffic_schema import OUTCOME_COLUMNS, conform_exposures, conform_outcomes
from retrain_assets.contract import RetrainError, StageError
from retrain_assets.experiment import CanaryData

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

ROWS_PER_PART = 1_000_000
"""Rows, exposures and outcomes together, that one executor core works on at a time; it needs about 600 bytes for each."""

MOST_PARTS = 4096

ADDED_TOGETHER = 64
"""The sums of more parts than this are added by executors first, about so many at a time."""

SUMMED = "part int, bytes bigint, sums binary"
"""Columns of sums on their way: of which part, the bytes of its pieces, the sums."""


@dataclass(frozen=True, slots=True)
class Moved:
    """How much an aggregation moved.

    Args:
        rows: exposure and outcome rows, as counted or estimated before they were read.
        parts: parts that the units were split into.
        shuffled_bytes: bytes of the compact rows that executors gave each other, before Spark's own compression.
        collected_bytes: bytes of the sums that came to the driver, one number for each part or group of parts.
    """

    rows: int
    parts: int
    shuffled_bytes: int
    collected_bytes: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-able facts."""
        return {
            "rows": self.rows,
            "parts": self.parts,
            "shuffled_bytes": self.shuffled_bytes,
            "collected_bytes": sum(self.collected_bytes),
            "most_collected_bytes": max(self.collected_bytes, default=0),
        }


def aggregate_spark(
    exposures: Sequence[DataFrame],
    outcomes: Sequence[DataFrame],
    terms: Terms,
    now: datetime,
    *,
    rows_per_part: int = ROWS_PER_PART,
    exposure_rows: int | None = None,
) -> tuple[CanaryData, Moved]:
    """What :func:`retrain_assets.compute.canary.aggregation.aggregate` gives of the same records, and what it moved.

    Counts are the same; sums are those of the same numbers in another order. The executors need this package.

    Args:
        exposures: lazy frames of exposures as docs/data-formats.md has them; their further columns may differ.
        outcomes: the same of outcomes.
        terms: what is counted.
        now: the time of the look (timezone-aware).
        rows_per_part: rows that one executor core works on at a time.
        exposure_rows: about how many exposures there are, where counting them would cost as much as reading them; None: they are
            counted.

    Raises:
        StageError: for a missing column, a wrong type, an unknown arm, or a revision without a share.
    """
    if now.tzinfo is None:
        raise StageError("a time has no time zone", where="canary", remedy="pass timezone-aware UTC times")
    now = now.astimezone(UTC)
    read: list[tuple[Kind, DataFrame]] = [("exposures", needed(frame, "exposures", terms)) for frame in exposures]
    read += [("outcomes", needed(frame, "outcomes", terms)) for frame in outcomes]
    with refusals_of_executors():
        known = exposure_rows is not None
        heights = [1 if known and kind == "exposures" else frame.count() for kind, frame in read]
    rows = (exposure_rows or 0) + sum(
        height for (kind, _), height in zip(read, heights, strict=True) if not known or kind == "outcomes"
    )
    parts = _parts(rows, rows_per_part)
    summed = summed_frame(read, terms, now, parts)
    with refusals_of_executors():
        answers = sorted(summed.collect()) if summed is not None else []
    whole = reduce(add, (PartSums.from_bytes(answer["sums"]) for answer in answers), PartSums())
    labels = Labels(columns={name for (_, frame), height in zip(read, heights, strict=True) if height for name in frame.columns})
    data = whole.data(terms)
    require_columns(labels, terms, exposures=whole.exposures > 0, outcomes=whole.outcomes > 0)
    return data, Moved(rows, parts, sum(one["bytes"] for one in answers), tuple(len(one["sums"]) for one in answers))


def summed_frame(read: Sequence[tuple[Kind, DataFrame]], terms: Terms, now: datetime, parts: int) -> DataFrame | None:
    """The lazy frame of sums, columns :data:`SUMMED`; None of no records. Its plan is the plan of an aggregation.

    Args:
        read: kind and records.
        terms: what is counted.
        now: the time of the look, UTC.
        parts: into how many parts the units are split; a power of 2.
    """
    told = terms.to_json()
    pieces = [frame.mapInArrow(packing(told, kind, parts), PACKED) for kind, frame in read]
    if not pieces:
        return None
    together = reduce(lambda one, other: one.unionAll(other), pieces)
    summed = together.groupBy("part").applyInArrow(_summing(told, now), SUMMED)
    if parts <= ADDED_TOGETHER:
        return summed
    from pyspark.sql import functions

    group = functions.floor(functions.col("part") / ADDED_TOGETHER).cast("int")
    return summed.withColumn("part", group).groupBy("part").applyInArrow(_adding, SUMMED)


def needed(frame: DataFrame, kind: Kind, terms: Terms) -> DataFrame:
    """The columns that are counted, after the columns of the frame have been found right."""
    import polars as pl

    empty = pl.DataFrame(frame.limit(0).toArrow())
    (conform_outcomes if kind == "outcomes" else conform_exposures)(empty.lazy(), kind)
    compact(empty, kind, terms, Labels())
    experiment = terms.contract.experiment
    measures = [name for name in frame.columns if name in terms.outcome_columns]
    wanted = (
        (*OUTCOME_COLUMNS, *(measures or [name for name in frame.columns if name not in OUTCOME_COLUMNS][:1]))
        if kind == "outcomes"
        else (
            *("request_id", "model", "unit_id", "toggle", "revision", "arm", "exposed_at", "error", "score", "shadow_score"),
            *terms.exposure_columns,
            *terms.segments,
            *experiment.cohort,
            *terms.covariate_columns,
        )
    )
    return frame.select(*(name for name in dict.fromkeys(wanted) if name in frame.columns))


def _parts(rows: int, rows_per_part: int) -> int:
    parts = 1
    while parts * rows_per_part < rows and parts < MOST_PARTS:
        parts *= 2
    return parts


def _summing(told: Mapping[str, Any], now: datetime) -> Callable[[pa.Table], pa.Table]:
    """What an executor does with the pieces of one part."""

    def summing(pieces: pa.Table) -> pa.Table:
        terms, labels = Terms.from_json(told), Labels()
        try:
            found = PartSums.of(unpacked(pieces, terms, labels), terms, labels, now)
        except RetrainError as error:
            found = PartSums(refused=(error.what, error.where, error.remedy))
        return _row(pieces["part"][0].as_py(), sum(len(piece.as_buffer()) for piece in pieces["piece"]), found)

    return summing


def _adding(summed: pa.Table) -> pa.Table:
    """What an executor does with the sums of some parts."""
    found = [PartSums.from_bytes(one) for one in sorted(summed["sums"].to_pylist())]
    return _row(summed["part"][0].as_py(), sum(summed["bytes"].to_pylist()), reduce(add, found))


def _row(part: int, size: int, sums: PartSums) -> pa.Table:
    import pyarrow as pa

    kinds = {"part": pa.int32(), "bytes": pa.int64(), "sums": pa.binary()}
    row = {"part": part, "bytes": size, "sums": sums.to_bytes()}
    return pa.table({name: pa.array([row[name]], kind) for name, kind in kinds.items()})
