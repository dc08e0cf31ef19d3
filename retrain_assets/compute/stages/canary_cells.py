"""Units in their cells: one row per unit and toggle revision with the sums over its requests there; rows of a cell merge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from retrain_assets.compute.stages.canary_records import Labels
from retrain_assets.compute.stages.canary_terms import Measured, Terms
from retrain_assets.contract.measures import REQUESTS
from retrain_assets.experiment.quantiles import NO_BIN, bin_of

KEY = ("unit", "revision")


def as_cells(exposures: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """What exposures say of units before they mature: who was where, in which arm and segment.

    Returns:
        One row per exposure: ``unit``, ``revision``, ``at``, ``champion`` and ``challenger`` (arms seen), ``scored`` (in shadow),
        the segments ``s0..``. Merge with :func:`merged`.
    """
    return exposures.select(
        *KEY, "at", (~pl.col("challenger")).alias("champion"), "challenger", "scored", *_segments(terms)
    )


def repeated_cells(exposures: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """What exposures that repeat a request say of units: the arms they were seen in, nothing else; ``at`` and segments are null."""
    nothing = {name: kind for name, kind in exposures.schema.items() if name == "at" or name in _segments(terms)}
    return as_cells(exposures, terms).with_columns(
        pl.lit(None, kind).alias(name) for name, kind in nothing.items()
    )


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
    return as_cells(requests, terms).hstack(requests.select(columns))


def merged(rows: Sequence[pl.DataFrame], terms: Terms, labels: Labels) -> pl.DataFrame:
    """One row per unit and revision: sums added, arms united, the segment of the earliest exposure.

    Args:
        rows: rows of cells, with or without sums.
        terms: names the segments.
        labels: names of the segments; of several first exposures at one moment the first label in the alphabet counts.
    """
    frame = pl.concat([*rows, pl.DataFrame(schema=_sums(terms))], how="diagonal")
    segments = dict(zip(_segments(terms), terms.segments, strict=True))
    known = {*KEY, "at", "champion", "challenger", "scored", *segments}
    sums = [name for name in frame.columns if name not in known and not name.startswith("q")]
    lists = [name for name in frame.columns if name not in known and name.startswith("q")]
    cells = frame.group_by(*KEY).agg(
        pl.col("at").min(),
        pl.col("champion", "challenger", "scored").any(),
        *(pl.col(name).min() for name in segments),
        *(pl.col(name).max().alias(f"{name} max") for name in segments),
        *(pl.col(name).sum() for name in sums),
        *(pl.col(name).explode().drop_nulls() for name in lists),
    )
    for name, column in segments.items():
        differs = pl.col(name) != pl.col(f"{name} max")
        unsure = cells.filter(differs).select(*KEY)
        if unsure.height:
            sure = first_segment(frame.join(unsure, on=KEY, how="semi"), KEY, name, labels.of[column])
            cells = cells.join(sure, on=KEY, how="left", suffix=" first").with_columns(
                pl.coalesce(f"{name} first", name).alias(name)
            )
    return cells.select(pl.exclude("^.* (max|first)$"))


def first_segment(rows: pl.DataFrame, by: Sequence[str], name: str, labels: Sequence[str]) -> pl.DataFrame:
    """The segment of the earliest row of each group: the columns ``by`` and ``name``."""
    text = pl.col(name).replace_strict(dict(enumerate(labels)), return_dtype=pl.String)
    return rows.filter(pl.col("at").is_not_null()).with_columns(text.alias("label")).sort("at", "label").group_by(*by).agg(pl.col(name).first())


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
        found.append(pl.concat_list(pl.when(bins != NO_BIN).then(bins)).alias(f"q{place}"))
    return found


def _segments(terms: Terms) -> list[str]:
    return [f"s{place}" for place in range(len(terms.segments))]


def _sums(terms: Terms) -> dict[str, pl.DataType | type[pl.DataType]]:
    """The columns that matured requests bring."""
    schema: dict[str, pl.DataType | type[pl.DataType]] = {"requests": pl.UInt32}
    for place, measure in enumerate(terms.measures):
        schema |= {f"n{place}": pl.UInt32, f"y{place}": pl.Float64}
        schema |= {f"d{place}": pl.Float64} if measure.terms.per not in (None, REQUESTS) else {}
        schema |= {f"q{place}": pl.List(pl.Int16)} if measure.is_quantile else {}
    for place in range(terms.recorded_covariates):
        schema |= {f"cn{place}": pl.UInt32, f"cy{place}": pl.Float64}
    return schema


def _bins(values: pl.Series) -> pl.Series:
    return pl.Series(bin_of(values.to_numpy()))


def _value(column: str, terms: Terms) -> pl.Expr:
    """A column of a request; a negative latency becomes NaN."""
    if column in terms.outcome_columns:
        return pl.col(f"o{terms.outcome_columns.index(column)}")
    value = pl.col(f"e{terms.exposure_columns.index(column)}")
    return pl.when(value < 0).then(float("nan")).otherwise(value) if column == "latency_ms" else value


def is_matured(terms: Terms, now: datetime) -> pl.Expr:
    """Whether the outcome window of an exposure has closed."""
    return pl.col("at") + terms.window <= now
