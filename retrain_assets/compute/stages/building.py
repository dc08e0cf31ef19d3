"""Calling the team's feature function, and refusing what is not one feature row per row it was given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from retrain_assets.bundle.encoding import kind_of
from retrain_assets.contract import Source, StageError
from retrain_assets.gates.redaction import scrubbed

Build = Callable[[Any], Any]


def build_features(build: Build, rows: pl.DataFrame, source: Source, where: str) -> pl.DataFrame:
    """Features of source rows, in their order.

    Args:
        build: the contract's feature function, from a ``narwhals.DataFrame`` of source rows to one of unit column and
            features; it must keep rows and their order. Event time may be kept too and is no feature.
        rows: source rows.
        source: roles of the columns.
        where: import path of the function, for messages.

    Returns:
        The feature columns alone, in the function's order; string-like columns as strings, columns without any value as
        floats.

    Raises:
        StageError: when the function raises, returns something else than a frame, other rows, another order, no unit
            column, the label, no feature, or a column that is neither number, boolean nor string.
    """
    features = _call(build, rows, source, where)
    _check_rows(features, rows, source, where)
    names = [name for name in features.columns if name not in (source.unit, source.event_time)]
    if source.label in names:
        raise _wrong(f"returns the label {source.label!r} as a feature", where, "drop it")
    if not names:
        raise _wrong(f"returns no feature besides {source.unit!r}", where, "return the unit column and the features")
    return features.select(_plain(name, features.schema[name]) for name in names)


def _call(build: Build, rows: pl.DataFrame, source: Source, where: str) -> pl.DataFrame:
    import narwhals as nw

    try:
        built = build(nw.from_native(rows, eager_only=True))
    except StageError:
        raise
    except Exception as error:
        said = scrubbed(str(error), rows, source)
        raise _wrong(f"raised {type(error).__name__}: {said}", where, "correct the feature function") from error
    if not isinstance(built, nw.DataFrame):
        raise _wrong(f"returned {type(built).__name__}", where, "return a narwhals DataFrame")
    try:
        native = nw.to_native(built)
        return native if isinstance(native, pl.DataFrame) else built.to_polars()
    except pl.exceptions.DuplicateError as error:
        raise _wrong(f"returned a column twice ({error})", where, "return each column once") from error


def _check_rows(features: pl.DataFrame, rows: pl.DataFrame, source: Source, where: str) -> None:
    if source.unit not in features.columns:
        raise _wrong(f"does not return the unit column {source.unit!r}", where, f"keep {source.unit!r} beside the features")
    if features.height != rows.height:
        raise _wrong(
            f"returned {features.height} rows for {rows.height}",
            where,
            "return exactly one feature row per row, in the same order",
        )
    for key in (source.unit, source.event_time):
        if key in features.columns and not features[key].equals(rows[key]):
            raise _wrong(
                f"returned other values of {key!r}, or the rows in another order",
                where,
                "return the rows as given, in the same order, with the key columns unchanged",
            )


def _plain(name: str, dtype: pl.DataType) -> pl.Expr:
    kind_of(name, dtype)
    if dtype == pl.Null:
        return pl.col(name).cast(pl.Float64)
    return pl.col(name).cast(pl.String) if isinstance(dtype, (pl.Categorical, pl.Enum)) else pl.col(name)


def _wrong(what: str, where: str, remedy: str) -> StageError:
    return StageError(what, where=f"feature function {where}", remedy=remedy)
