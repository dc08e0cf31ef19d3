"""Units in their cells: one row per unit and toggle revision with the sums over its requests there; rows of a cell merge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.compute.canary.records import PRE_PERIOD, REVISION_BITS, Labels
from retrain_assets.compute.canary.terms import Measured, Terms
from retrain_assets.contract import StageError
from retrain_assets.contract.measures import REQUESTS
from retrain_assets.experiment.estimation.quantiles import NO_BIN, bin_of

UNIT = pl.lit(2**64 - 2**REVISION_BITS, pl.UInt64)
"""Mask of the unit in the number of a cell."""


def as_cells(exposures: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """What exposures say of units before they mature: who was where, in which arm and segment.

    Returns:
        One row per exposure: ``cell`` (unit and revision in one number, ascending by revision within a unit), ``at``,
        ``champion`` and ``challenger`` (arms seen), ``scored`` (in shadow), the segments ``s0..``. Merge with :func:`merged`.

    Raises:
        StageError: for more revisions than there are numbers.
    """
    return exposures.select(
        (pl.col("unit") | _number(terms)).alias("cell"),
        "at",
        (~pl.col("challenger")).alias("champion"),
        "challenger",
        "scored",
        *_segments(terms),
    )


def repeated_cells(exposures: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """What exposures that repeat a request say of units: the arms they were seen in, and no time and no segment."""
    nothing = {name: kind for name, kind in exposures.schema.items() if name == "at" or name in _segments(terms)}
    return as_cells(exposures, terms).with_columns(pl.lit(None, kind).alias(name) for name, kind in nothing.items())


def matured_cells(requests: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """What matured requests add to the sums of their units' cells.

    Args:
        requests: matured requests with their outcomes.
        terms: measures and covariates.

    Returns:
        One row per request: the columns of :func:`as_cells`, ``requests`` (1), per measure ``n<i>`` (requests with a value),
        ``y<i>`` (sum of the values), ``d<i>`` (sum of a ratio's denominators) or ``q<i>`` (bins of a quantile's values), per
        covariate ``cn<i>``, ``cy<i>``. A value that cannot be makes the sum NaN.
    """
    columns: list[pl.Expr] = [pl.lit(1, pl.UInt32).alias("requests")]
    for place, measure in enumerate(terms.measures):
        columns += _of_measure(place, measure, terms)
    for place in range(terms.recorded_covariates):
        value = pl.col(f"c{place}")
        columns += [
            value.is_finite().fill_null(value=False).cast(pl.UInt32).alias(f"cn{place}"),
            pl.when(value.is_finite()).then(value).otherwise(0.0).alias(f"cy{place}"),
        ]
    return as_cells(requests, terms).hstack(requests.with_columns(columns).select(*_sums(terms)))


def merged(rows: Sequence[pl.DataFrame], terms: Terms, labels: Labels) -> pl.DataFrame:
    """One row per unit and revision, in the order of ``cell``: sums added, arms united, the segment of the earliest exposure.

    Args:
        rows: rows of cells, with or without sums.
        terms: names the segments.
        labels: names of the segments; of several first exposures at one moment the first label in the alphabet counts.
    """
    frame = pl.concat([*(one for one in rows if one.height), pl.DataFrame(schema=cell_schema(terms))], how="diagonal")
    numbers = [name for name, kind in _sums(terms).items() if kind != pl.List(pl.Int16)]
    frame = frame.with_columns(pl.col(name).fill_null(0) for name in numbers if frame[name].null_count())
    order = np.argsort(frame["cell"].to_numpy())
    frame = frame[order]
    cell = frame["cell"].to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1]])) if len(cell) else np.zeros(0, dtype=np.int64)
    if len(starts) == frame.height:
        return frame
    if frame["at"].null_count() or len(numbers) < len(_sums(terms)):
        cells = _merged_any(frame, terms)
    else:
        cells = _merged_fast(frame, starts, numbers, terms)
    for name, column in zip(_segments(terms), terms.segments, strict=True):
        unsure = cells.filter(pl.col(name) != pl.col(f"{name} max")).select("cell")
        if unsure.height:
            sure = first_segment(frame.join(unsure, on="cell", how="semi"), "cell", name, labels.of[column])
            cells = cells.join(sure, on="cell", how="left", suffix=" first", maintain_order="left").with_columns(
                pl.coalesce(f"{name} first", name).alias(name)
            )
    return cells.select(frame.columns)


def first_segment(rows: pl.DataFrame, by: str, name: str, labels: Sequence[str]) -> pl.DataFrame:
    """The segment of the earliest row of each group: the columns ``by`` and ``name``."""
    text = pl.col(name).replace_strict(dict(enumerate(labels)), return_dtype=pl.String)
    timed = rows.filter(pl.col("at").is_not_null()).with_columns(text.alias("label"))
    return timed.sort("at", "label").group_by(by).agg(pl.col(name).first())


def is_matured(terms: Terms, now: datetime) -> pl.Expr:
    """Whether the outcome window of an exposure has closed."""
    return pl.col("at") <= now - terms.window


def _merged_fast(frame: pl.DataFrame, starts: npt.NDArray[np.int64], numbers: Sequence[str], terms: Terms) -> pl.DataFrame:
    """Rows that lie side by side are added."""
    merged: dict[str, Any] = {"cell": frame["cell"].to_numpy()[starts]}
    merged["at"] = pl.Series(np.minimum.reduceat(frame["at"].to_physical().to_numpy(), starts)).cast(frame.schema["at"])
    for name in ("champion", "challenger", "scored"):
        merged[name] = np.logical_or.reduceat(frame[name].to_numpy(), starts)
    for name in _segments(terms):
        values = frame[name].to_numpy()
        merged[name] = np.minimum.reduceat(values, starts)
        merged[f"{name} max"] = np.maximum.reduceat(values, starts)
    for name in numbers:
        values = frame[name].to_numpy()
        merged[name] = np.add.reduceat(values, starts, dtype=values.dtype)
    return pl.DataFrame(merged)


def _merged_any(frame: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """The same for rows without a time and with lists."""
    sums = _sums(terms)
    lists = [name for name, kind in sums.items() if kind == pl.List(pl.Int16)]
    return (
        frame.group_by("cell")
        .agg(
            pl.col("at").min(),
            pl.col("champion", "challenger", "scored").any(),
            *(pl.col(name).min() for name in _segments(terms)),
            *(pl.col(name).max().alias(f"{name} max") for name in _segments(terms)),
            *(pl.col(name).sum() for name in sums if name not in lists),
            *(pl.col(name).explode().drop_nulls() for name in lists),
        )
        .sort("cell")
    )


def _number(terms: Terms) -> pl.Expr:
    """The number of a revision among those of the toggle: they only grow, so it stays; 0 for the time before."""
    known = {PRE_PERIOD: 0} | {revision: number for number, revision in enumerate(sorted(terms.stage_started), start=1)}
    if len(known) > 2**REVISION_BITS:
        raise StageError(f"{len(known) - 1} splits are too many", where="canary", remedy="end this toggle and arm another one")
    return pl.col("revision").replace_strict(known, return_dtype=pl.UInt64)


def _of_measure(place: int, measure: Measured, terms: Terms) -> list[pl.Expr]:
    column = measure.terms.column_of(measure.name)
    value = _value(column, terms)
    if measure.terms.above is not None:
        share = pl.when(value.is_finite()).then((value > measure.terms.above).cast(pl.Float64)).otherwise(float("nan"))
        value = pl.when(value.is_not_null()).then(share)
    if measure.terms.per not in (None, REQUESTS):
        per = _value(str(measure.terms.per), terms)
        both = value.is_not_null() & per.is_not_null()
        return [
            both.cast(pl.UInt32).alias(f"n{place}"),
            pl.when(both).then(value).otherwise(0.0).alias(f"y{place}"),
            pl.when(both).then(per).otherwise(0.0).alias(f"d{place}"),
        ]
    found = [value.is_not_null().cast(pl.UInt32).alias(f"n{place}"), value.fill_null(0.0).alias(f"y{place}")]
    if measure.is_quantile:
        bins = value.fill_null(float("nan")).map_batches(_bins, return_dtype=pl.Int16)
        found.append(pl.concat_list(pl.when(bins != NO_BIN).then(bins)).list.drop_nulls().alias(f"q{place}"))
    return found


def _bins(values: pl.Series) -> pl.Series:
    return pl.Series(bin_of(values.to_numpy()))


def _value(column: str, terms: Terms) -> pl.Expr:
    """A column of a request; a negative latency becomes NaN."""
    if column in terms.outcome_columns:
        return pl.col(f"o{terms.outcome_columns.index(column)}")
    value = pl.col(f"e{terms.exposure_columns.index(column)}").cast(pl.Float64)
    return pl.when(value < 0).then(float("nan")).otherwise(value) if column == "latency_ms" else value


def _segments(terms: Terms) -> list[str]:
    return [f"s{place}" for place in range(len(terms.segments))]


def _sums(terms: Terms) -> dict[str, Any]:
    """The columns that matured requests bring."""
    schema: dict[str, Any] = {"requests": pl.UInt32}
    for place, measure in enumerate(terms.measures):
        schema |= {f"n{place}": pl.UInt32, f"y{place}": pl.Float64}
        schema |= {f"d{place}": pl.Float64} if measure.terms.per not in (None, REQUESTS) else {}
        schema |= {f"q{place}": pl.List(pl.Int16)} if measure.is_quantile else {}
    for place in range(terms.recorded_covariates):
        schema |= {f"cn{place}": pl.UInt32, f"cy{place}": pl.Float64}
    return schema


def cell_schema(terms: Terms) -> dict[str, Any]:
    """The columns of merged cells."""
    arms = dict.fromkeys(("champion", "challenger", "scored"), pl.Boolean)
    segments = dict.fromkeys(_segments(terms), pl.UInt32)
    return {"cell": pl.UInt64, "at": pl.Datetime("us", "UTC"), **arms, **segments, **_sums(terms)}
