"""The columns of exposures and outcomes (docs/data-formats.md): one check for what is written and for what others wrote."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from retrain_assets.contract import SourceError

Dtype = pl.DataType | type[pl.DataType]

MOMENT = pl.Datetime("us", "UTC")

EXPOSURE_COLUMNS: Mapping[str, Dtype] = {
    "request_id": pl.String,
    "model": pl.String,
    "unit_id": pl.String,
    "toggle": pl.String,
    "revision": pl.Int64,
    "stage": pl.String,
    "arm": pl.String,
    "version": pl.String,
    "bundle": pl.String,
    "exposed_at": MOMENT,
    "latency_ms": pl.Float64,
    "error": pl.Boolean,
    "score": pl.Float64,
    "shadow_score": pl.Float64,
}
"""Columns every exposure has; any further column is an attribute."""

EXPOSURE_NULLABLE = frozenset({"unit_id", "toggle", "stage", "score", "shadow_score"})
"""Exposure columns that may be null: no unit named, outside the experiment, no answer, one arm scored alone."""

REQUEST = ("request_id", "unit_id")
"""What one request is told by: callers may number the requests of each unit from 1."""

OUTCOME_COLUMNS: Mapping[str, Dtype] = {"request_id": pl.String, "unit_id": pl.String, "observed_at": MOMENT}
"""Columns every outcome has; every further column is a measure."""


def conform_exposures(frame: pl.LazyFrame, where: str, needed: Collection[str] = EXPOSURE_COLUMNS) -> pl.LazyFrame:
    """The frame with exactly the documented types, documented columns first.

    Args:
        frame: exposures.
        where: for messages.
        needed: the documented columns that have to be there; a reader of some columns names these.

    Raises:
        SourceError: naming every column that is missing or has a type that cannot be taken without loss.
    """
    columns = {name: kind for name, kind in EXPOSURE_COLUMNS.items() if name in needed}
    return _conform(frame, columns, EXPOSURE_NULLABLE, where, measures=False)


def conform_outcomes(frame: pl.LazyFrame, where: str, needed: Collection[str] = OUTCOME_COLUMNS) -> pl.LazyFrame:
    """As :func:`conform_exposures`, for outcomes; every measure becomes a 64-bit float."""
    columns = {name: kind for name, kind in OUTCOME_COLUMNS.items() if name in needed}
    return _conform(frame, columns, frozenset(), where, measures=True)


def check_exposures(frame: pl.DataFrame, model: str, where: str) -> None:
    """Refuse exposure rows that could not have happened.

    Raises:
        SourceError: for a null where none is allowed, a request that stands there twice, another model's rows, an unknown arm or
            a negative latency.
    """
    _no_nulls(frame, [name for name in EXPOSURE_COLUMNS if name not in EXPOSURE_NULLABLE], where)
    if repeated(frame) and (twice := frame.filter(pl.struct(REQUEST).is_duplicated())["request_id"]).len():
        raise _refusal(f"request_id {twice.min()!r} stands there twice", where, "write one row per scored request")
    for column, known in (("model", [model]), ("arm", ["champion", "challenger"])):
        if strange := frame.filter(~pl.col(column).is_in(known))[column].unique().sort().to_list():
            raise _refusal(f"{column} {strange[0]!r} does not belong there", where, f"write {' or '.join(known)}")
    if frame.filter(~(pl.col("latency_ms") >= 0)).height:
        raise _refusal("latency_ms is negative or not a number", where, "write measured milliseconds")


def repeated(frame: pl.DataFrame) -> bool:
    """Whether a request id of the exposures stands there twice, be it of different units; much quicker than to find which."""
    return frame["request_id"].n_unique() < frame.height


def check_outcomes(frame: pl.DataFrame, where: str) -> None:
    """Refuse outcome rows that nothing could be joined to.

    Raises:
        SourceError: for a null key or time.
    """
    _no_nulls(frame, list(OUTCOME_COLUMNS), where)


def _conform(
    frame: pl.LazyFrame, columns: Mapping[str, Dtype], nullable: frozenset[str], where: str, *, measures: bool
) -> pl.LazyFrame:
    found = frame.collect_schema()
    further = [name for name in found if name not in columns]
    problems = [f"column {name} is missing" for name in columns if name not in found]
    if measures and not further:
        problems.append("there is no measure column")
    casts: list[pl.Expr] = []
    for name, dtype in found.items():
        wanted = columns.get(name, pl.Float64 if measures else None)
        if name == "decision":
            wanted = pl.Boolean
        fits = _cast(name, dtype, wanted, may_be_null=name in nullable or name in further)
        if fits is None:
            problems.append(f"column {name} is {dtype}, not {wanted if wanted is not None else 'text, number, boolean or time'}")
        else:
            casts.append(fits)
    if problems:
        raise _refusal("; ".join(problems), where, "write the columns of docs/data-formats.md")
    return frame.select(casts).select(*columns, *further)


def _cast(name: str, found: pl.DataType, wanted: Dtype | None, *, may_be_null: bool) -> pl.Expr | None:
    """The expression that gives the column the wanted type, or None where that would lose something."""
    column = pl.col(name)
    if wanted is None:
        return None if found.is_nested() or found == pl.Object else _attribute(column, found)
    if found == wanted:
        return column
    if found == pl.Null:
        return column.cast(wanted) if may_be_null else None
    if wanted == pl.String and found in (pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    if (wanted == pl.Int64 and found.is_integer()) or (wanted == pl.Float64 and found.is_numeric() and found != pl.Decimal):
        return column.cast(wanted)
    if wanted == pl.Float64 and found == pl.Boolean:
        return column.cast(pl.Float64)
    if wanted == MOMENT and isinstance(found, pl.Datetime) and found.time_zone is not None:
        return column.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    return None


def _attribute(column: pl.Expr, found: pl.DataType) -> pl.Expr:
    return column.cast(pl.String) if found in (pl.Categorical, pl.Enum) else column


def _no_nulls(frame: pl.DataFrame, columns: list[str], where: str) -> None:
    empty = [name for name in columns if frame[name].null_count()]
    if empty:
        raise _refusal(f"column {', '.join(empty)} has nulls", where, "write a value in every row")


def _refusal(what: str, where: str, remedy: str) -> SourceError:
    return SourceError(what, where=where, remedy=remedy)


__all__ = [
    "EXPOSURE_COLUMNS",
    "EXPOSURE_NULLABLE",
    "MOMENT",
    "OUTCOME_COLUMNS",
    "REQUEST",
    "check_exposures",
    "check_outcomes",
    "conform_exposures",
    "conform_outcomes",
    "repeated",
]
