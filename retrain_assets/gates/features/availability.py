"""Which features change when columns that are known only after the prediction are taken away. Evidence for features.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from retrain_assets.contract import RetrainError

FAILS_WITHOUT = "the function fails without "
"""Start of a probe's entry for a column whose absence makes the feature function raise."""

TOLERANCE = 1e-9
"""Relative difference up to which two floating-point values of a feature are the same."""

_TEAM_CODE_ERRORS = (
    RetrainError,
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def availability_probe(
    build: Callable[[pl.DataFrame], pl.DataFrame], rows: pl.DataFrame, blanked: Sequence[str], key: str
) -> Mapping[str, int]:
    """Run the team's feature function without the columns that are not known in time and count what changed.

    The columns keep their name and type and lose every value. A function that raises then depends on them too; each
    column alone is tried to name the one that is missed.

    Args:
        build: from source rows to one row of features each, with the key column.
        rows: source rows.
        blanked: columns to blank out; names that are not columns of ``rows`` have no effect.
        key: column that ties a feature row to its source row; a repeated key is matched in order of appearance.

    Returns:
        Feature to number of rows whose value changed (0 where none did; every feature is named), plus one entry
        ``the function fails without COLUMN`` with the number of rows where the function raised.

    Raises:
        Exception: whatever ``build`` raises on the rows as they are.
    """
    expected = build(rows)
    present = [column for column in blanked if column in rows.columns]
    features = [column for column in expected.columns if column != key]
    unchanged = dict.fromkeys(features, 0)
    if not present:
        return unchanged
    try:
        found = build(_without(rows, present))
    except _TEAM_CODE_ERRORS:
        return unchanged | {FAILS_WITHOUT + name: rows.height for name in _needed(build, rows, present)}
    return _changes(expected, found, features, key)


def _without(rows: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    return rows.with_columns(pl.lit(None, dtype=rows.schema[column]).alias(column) for column in columns)


def _needed(build: Callable[[pl.DataFrame], pl.DataFrame], rows: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    needed = []
    for column in columns:
        try:
            build(_without(rows, [column]))
        except _TEAM_CODE_ERRORS:
            needed.append(column)
    return needed or [" and ".join(columns)]


def _changes(expected: pl.DataFrame, found: pl.DataFrame, features: Sequence[str], key: str) -> dict[str, int]:
    if key not in found.columns:
        return dict.fromkeys(features, expected.height)
    nth = pl.int_range(pl.len()).over(key).alias("_nth")
    right = found.with_columns(nth, pl.lit(True).alias("_found")).rename(
        {name: f"{name} (blanked)" for name in features if name in found.columns}
    )
    if right.schema[key] != expected.schema[key]:
        return dict.fromkeys(features, expected.height)
    both = expected.with_columns(nth).join(right, on=[key, "_nth"], how="left", nulls_equal=True)
    counts = {}
    for name in features:
        if f"{name} (blanked)" not in both.columns:
            counts[name] = expected.height
            continue
        differs = _differs(both.schema[name], pl.col(name), pl.col(f"{name} (blanked)"))
        counts[name] = int(both.select((pl.col("_found").is_null() | differs).sum()).item())
    return counts


def _differs(dtype: pl.DataType, before: pl.Expr, after: pl.Expr) -> pl.Expr:
    after = after.cast(dtype, strict=False)
    if not dtype.is_float():
        return before.ne_missing(after)
    close = (before - after).abs() <= TOLERANCE * pl.max_horizontal(before.abs(), pl.lit(1.0))
    return before.ne_missing(after) & ~close.fill_null(False)
