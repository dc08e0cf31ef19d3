"""Which hold-out rows are in which slice: the values of the declared columns, and of each two of them where the contract asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from retrain_assets.contract.offline import SliceThreshold

Array = np.ndarray
SLICES_LISTED = 50
"""Slices per column, or pair of columns, that are looked at, largest first."""
MISSING = "(none)"
"""Value of a slice of rows without one."""


@dataclass(frozen=True, slots=True, eq=False)
class SliceMembers:
    """The rows of one slice.

    Args:
        column: name of the column, or ``origin & carrier`` of a pair.
        value: its value as text, ``(none)`` for null, or ``EWR & AA`` of a pair.
        rows: positions in the frame, ascending.
        judged: whether there are enough of them (``min_support``).
    """

    column: str
    value: str
    rows: Array
    judged: bool


@dataclass(frozen=True, slots=True, eq=False)
class Slicing:
    """The slices of one frame; ``left_out`` counts the ones beyond the largest of each column or pair."""

    members: tuple[SliceMembers, ...]
    left_out: int


def slicing(rows: pl.DataFrame, limits: SliceThreshold) -> Slicing:
    """The largest slices of every column (and pair, with ``limits.pairs``) of a frame, columns in the contract's order.

    Args:
        rows: a frame with every column of ``limits.columns``, of any type that has a text.
        limits: columns, pairs and ``min_support``.

    Raises:
        ValueError: naming the column that is not there or has no text.
    """
    coded = {column: column_codes(rows, column) for column in limits.columns}
    members: list[SliceMembers] = []
    left_out = 0
    for column, codes, names in _keys(coded, limits.pairs):
        sizes = np.bincount(codes, minlength=len(names))
        largest = np.lexsort((names, -sizes))[:SLICES_LISTED]
        left_out += len(names) - len(largest)
        place = np.full(len(names), SLICES_LISTED, dtype=np.uint8)
        place[largest] = np.arange(len(largest))
        order = np.argsort(place[codes], kind="stable")
        for k, inside in zip(largest, np.split(order, np.cumsum(sizes[largest])), strict=False):
            members.append(SliceMembers(column, str(names[k]), inside, len(inside) >= limits.min_support))
    return Slicing(tuple(members), left_out)


def value_codes(values: pl.Series) -> tuple[Array, Array]:
    """The number of each row's value, 0..k-1, and the k values as text; null is ``(none)``.

    Raises:
        ValueError: when values of this type have no text.
    """
    try:
        text = values.cast(pl.String).fill_null(MISSING)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"column {values.name} is {values.dtype}, which has no values to tell groups by") from error
    names = pl.DataFrame({"value": text.unique(maintain_order=True)}).with_row_index("code")
    coded = pl.DataFrame({"value": text}).join(names, on="value", how="left", maintain_order="left")
    return coded["code"].to_numpy().astype(np.int64), names["value"].to_numpy().astype(str)


def column_codes(rows: pl.DataFrame, column: str) -> tuple[Array, Array]:
    """As :func:`value_codes`, of a column of a frame.

    Raises:
        ValueError: when there is no such column, or its values have no text.
    """
    if column not in rows.columns:
        raise ValueError(f"the hold-out has no column {column}")
    return value_codes(rows[column])


def _keys(coded: dict[str, tuple[Array, Array]], pairs: bool) -> Iterator[tuple[str, Array, Array]]:
    """Name, code of every row and text of every code, of each column and each pair."""
    for column, (codes, names) in coded.items():
        yield column, codes, names
    for (one, (first, first_names)), (other, (second, second_names)) in combinations(coded.items(), 2) if pairs else ():
        found, codes = _dense(first * len(second_names) + second, len(first_names) * len(second_names))
        left, right = np.divmod(found, len(second_names))
        text = np.array([f"{first_names[a]} & {second_names[b]}" for a, b in zip(left, right, strict=True)])
        yield f"{one} & {other}", codes, text


def _dense(codes: Array, possible: int) -> tuple[Array, Array]:
    """The codes that occur, ascending, and the number of each row's among them."""
    if possible > 4 * len(codes) + 1000:
        found, dense = np.unique(codes, return_inverse=True)
        return found, dense
    found = np.flatnonzero(np.bincount(codes, minlength=possible))
    number = np.zeros(possible, dtype=np.int64)
    number[found] = np.arange(len(found))
    return found, number[codes]
