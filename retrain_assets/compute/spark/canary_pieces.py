"""Compact rows of a canary on their way from the executor that read them to the one that has their units.

Rows are packed column by column, many to a piece, and split by unit: what is shuffled is small and no row is touched singly.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from retrain_assets.compute.canary.records import Labels, exposure_rows, no_exposures, no_outcomes, outcome_rows
from retrain_assets.compute.canary.step import Rows
from retrain_assets.compute.canary.terms import Terms
from retrain_assets.compute.traffic_schema import conform_exposures, conform_outcomes
from retrain_assets.contract import RetrainError, StageError

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["exposures", "outcomes"]

PACKED = "part int, kind string, rows bigint, piece binary"
"""Columns of pieces: the part of the units they are of, what they hold, how many rows, and these as an Arrow stream."""

REFUSED = "refused"
"""Kind of a piece that says why rows cannot be counted."""

FEWEST_TOGETHER, MOST_TOGETHER, ROWS_PER_PIECE = 100_000, 1_000_000, 1_000
"""How many rows are packed together: enough that pieces are not tiny, few enough for an executor's memory."""


def packing(told: Mapping[str, Any], kind: Kind, parts: int) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What an executor does with batches of records: their pieces, in the columns of :data:`PACKED`.

    Args:
        told: the terms as JSON.
        kind: which records they are.
        parts: into how many parts the units are split; a power of 2.
    """

    def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        terms, labels = Terms.from_json(told), Labels()
        for records in _together(batches, min(max(FEWEST_TOGETHER, ROWS_PER_PIECE * parts), MOST_TOGETHER)):
            try:
                rows = compact(records, kind, terms, labels)
            except RetrainError as error:
                yield _batch([(0, REFUSED, 0, json.dumps([error.what, error.where, error.remedy]).encode())])
                return
            yield _batch([(part, kind, piece.height, _written(piece)) for part, piece in split(rows, parts)])

    return pack


def compact(records: pl.DataFrame, kind: Kind, terms: Terms, labels: Labels) -> pl.DataFrame:
    """Rows as :func:`exposure_rows` and :func:`outcome_rows` give them, segments as texts.

    Raises:
        RetrainError: for a value that cannot be.
    """
    if kind == "outcomes":
        return outcome_rows(conform_outcomes(records.lazy(), kind, set(records.columns)), terms, labels)
    rows = exposure_rows(conform_exposures(records.lazy(), kind, set(records.columns)), terms, labels)
    return rows.with_columns(
        pl.col(f"s{place}").replace_strict(dict(enumerate(labels.of[column])), return_dtype=pl.String)
        if column in labels.of
        else pl.lit(None, pl.String).alias(f"s{place}")
        for place, column in enumerate(terms.segments)
    )


def split(rows: pl.DataFrame, parts: int) -> Iterator[tuple[int, pl.DataFrame]]:
    """The rows of each part that has any; a unit is in one part."""
    if parts == 1:
        yield from [(0, rows)] if rows.height else []
        return
    place = (rows["unit"].to_numpy() >> np.uint64(65 - parts.bit_length())).astype(np.int32)
    ordered = rows[np.argsort(place, kind="stable")]
    counts = np.bincount(place, minlength=parts)
    for part, (end, size) in enumerate(zip(np.cumsum(counts), counts, strict=True)):
        if size:
            yield part, ordered[int(end - size) : int(end)]


def unpacked(pieces: pa.Table, terms: Terms, labels: Labels) -> Rows:
    """The rows in the pieces of one part, ordered by request, whichever order the pieces came in.

    Args:
        pieces: in the columns of :data:`PACKED`.
        terms: what is counted.
        labels: gets the numbers of the segments.

    Raises:
        StageError: where an executor refused its records.
    """
    found: dict[str, list[pl.DataFrame]] = {"exposures": [], "outcomes": []}
    for kind, piece in zip(pieces["kind"].to_pylist(), pieces["piece"], strict=True):
        if kind == REFUSED:
            what, where, remedy = json.loads(piece.as_py())
            raise StageError(what, where=where, remedy=remedy)
        found[kind].append(pl.read_ipc_stream(io.BytesIO(piece.as_buffer())))
    exposures = _concatenated(found["exposures"], no_exposures(terms).with_columns(_texts(terms)))
    for place, column in enumerate(terms.segments):
        texts = exposures[f"s{place}"]
        labels.of[column] = sorted(texts.drop_nulls().unique())
        numbers = {text: number for number, text in enumerate(labels.of[column])}
        codes = texts.replace_strict(numbers, default=0, return_dtype=pl.UInt32)
        exposures = exposures.with_columns(codes.alias(f"s{place}"))
    return Rows(exposures, _concatenated(found["outcomes"], no_outcomes(terms)))


def _concatenated(frames: Sequence[pl.DataFrame], nothing: pl.DataFrame) -> pl.DataFrame:
    rows = pl.concat([nothing, *frames], rechunk=True)
    return rows[np.lexsort((rows["at"].to_physical().to_numpy(), rows["key"].to_numpy()))] if rows.height else rows


def _texts(terms: Terms) -> list[pl.Expr]:
    return [pl.col(f"s{place}").cast(pl.String) for place in range(len(terms.segments))]


def _together(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pl.DataFrame]:
    """Batches put together until they have so many rows."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    height = 0
    for batch in batches:
        waiting.append(batch)
        height += batch.num_rows
        if height >= most:
            yield pl.DataFrame(pa.Table.from_batches(waiting))
            waiting, height = [], 0
    if height:
        yield pl.DataFrame(pa.Table.from_batches(waiting))


def _written(rows: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    rows.write_ipc_stream(stream, compression="lz4", compat_level=pl.CompatLevel.oldest())
    return stream.getvalue()


def _batch(pieces: Sequence[tuple[int, str, int, bytes]]) -> pa.RecordBatch:
    import pyarrow as pa

    kinds = (pa.int32(), pa.string(), pa.int64(), pa.binary())
    columns = zip(*pieces, strict=True) if pieces else [[]] * len(kinds)
    arrays = [pa.array(list(column), kind) for column, kind in zip(columns, kinds, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=["part", "kind", "rows", "piece"])
