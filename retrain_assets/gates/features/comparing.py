"""Two builds of the features of the same rows, compared value by value. Used by the probes of availability and of serving."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.contract import RetrainError

TOLERANCE = 1e-9
"""Relative difference up to which two floating-point values of a feature are the same."""

TEAM_CODE_ERRORS = (
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
"""What a team's feature function may raise on rows it did not expect."""

Mask = npt.NDArray[np.bool_]


def changed_rows(expected: pl.DataFrame, found: pl.DataFrame) -> Mapping[str, Mask]:
    """For every feature the rows whose value differs; all of them where the feature is missing or the rows are others.

    Null and NaN are the same: no value.

    Args:
        expected: features, one row per source row.
        found: features of the same rows in the same order.
    """
    masks: dict[str, Mask] = {}
    for name in expected.columns:
        if name not in found.columns or found.height != expected.height:
            masks[name] = np.ones(expected.height, dtype=bool)
        else:
            masks[name] = _differs(expected[name], found[name])
    return masks


def _differs(before: pl.Series, after: pl.Series) -> Mask:
    if before.dtype != after.dtype and not (before.dtype.is_numeric() and after.dtype.is_numeric()):
        before, after = before.cast(pl.String), after.cast(pl.String, strict=False)
    elif before.dtype.is_float() or after.dtype.is_float():
        left, right = (values.cast(pl.Float64).fill_null(float("nan")).to_numpy() for values in (before, after))
        with np.errstate(invalid="ignore"):
            close = np.abs(left - right) <= TOLERANCE * np.maximum(np.abs(left), 1.0)
        return np.asarray(~(close | (left == right) | (np.isnan(left) & np.isnan(right))))
    return before.ne_missing(after).to_numpy()
