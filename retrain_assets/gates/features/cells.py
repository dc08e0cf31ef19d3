"""A feature's values as numbered cells, so that what separation and agreement count are counts over cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.gates.redaction import are_categories, hidden_text

Codes = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]
"""Positions of rows."""

MOST_CLASSES = 20
"""Classes of a multiclass label that are looked at one against the rest, most frequent first."""
SEED = 20130701
"""Of the samples and permutations; fixed, so that the same rows get the same verdict."""


@dataclass(frozen=True, slots=True)
class Cells:
    """One feature as cell numbers.

    Args:
        codes: cell of each row: 0 for rows without a value (null, NaN), from 1 on the distinct values.
        size: number of cells, the one without a value included.
        ordered: whether the numbers follow the order of the values.
        values: the feature.
        identity: whether the values are the units' ids, which evidence never shows.
    """

    codes: Codes
    size: int
    ordered: bool
    values: pl.Series
    identity: bool = False

    @classmethod
    def of(cls, feature: pl.Series, *, identity: bool = False) -> Cells:
        """The cells of a feature of any type; nested values are taken as text."""
        if is_ordered(feature.dtype):
            codes = _physical(feature).rank("dense").cast(pl.Int64).fill_null(0).to_numpy()
            return cls(codes, int(codes.max(initial=0)) + 1, True, feature, identity)
        text = pl.Series(map(str, feature.to_list())) if feature.dtype.is_nested() else feature.cast(pl.String)
        distinct = text.drop_nulls().unique(maintain_order=True)
        numbers = text.cast(pl.Enum(distinct)).to_physical().cast(pl.Int64) + 1
        return cls(numbers.fill_null(0).to_numpy(), len(distinct) + 1, False, feature, identity)

    def bins(self, rows: Codes, bins: int) -> tuple[Codes, int]:
        """Cells joined to bins of equal mass (numbers keep their order, no value stays cell 0); text keeps its cells.

        Args:
            rows: rows per cell.
            bins: most bins.

        Returns:
            Bin of each cell, and the number of bins with the one without a value.
        """
        if not self.ordered:
            return np.arange(self.size), self.size
        with_value = rows[1:]
        middle = np.cumsum(with_value) - with_value / 2
        share = middle / max(float(with_value.sum()), 1.0)
        return np.append(0, np.clip((share * bins).astype(np.int64), 0, bins - 1) + 1), bins + 1

    def name_of(self, code: int) -> str:
        """The value of a cell in words; of identities and free text the length."""
        if code == 0:
            return "no value"
        value = str(self.values[int(np.flatnonzero(self.codes == code)[0])])
        shown = not self.identity and (self.ordered or are_categories(self.size - 1, self.codes.size))
        return value if shown else hidden_text(value)


def is_ordered(dtype: pl.DataType) -> bool:
    """Whether values of this type have an order of their own: numbers, truth values, times."""
    return dtype.is_numeric() or dtype.is_temporal() or dtype == pl.Boolean


def binary_targets(labels: pl.Series, task: str) -> list[npt.NDArray[np.bool_]]:
    """The label as yes/no questions: itself, one class against the rest, or above its median for a regression."""
    if task == "regression":
        values = labels.cast(pl.Float64).to_numpy()
        return [values > np.median(values)] if values.size else []
    counts = labels.alias("class").value_counts(name="rows").sort(["rows", "class"], descending=[True, False])
    classes = counts["class"].to_list()
    if len(classes) <= 2:
        return [(labels == max(classes)).to_numpy()] if classes else []
    return [(labels == value).to_numpy() for value in classes[:MOST_CLASSES]]


def sampled(frame: pl.DataFrame, most: int) -> pl.DataFrame:
    """The rows, or a seeded random sample of them in their order where there are more than ``most``."""
    if frame.height <= most:
        return frame
    chosen = np.random.default_rng(SEED).choice(frame.height, most, replace=False, shuffle=False)
    return frame[np.sort(chosen)]


def shuffles(rows: int, count: int) -> Iterator[Rows]:
    """Seeded permutations of row positions."""
    draw = np.random.default_rng(SEED)
    for _ in range(count):
        yield draw.permutation(rows)


def _physical(feature: pl.Series) -> pl.Series:
    if feature.dtype == pl.Boolean:
        return feature.cast(pl.Int8)
    return feature.fill_nan(None) if feature.dtype.is_float() else feature.to_physical()
