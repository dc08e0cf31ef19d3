"""The sketch of a data set: one column sketch each. Small, mergeable, JSON; the rows themselves are not needed again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from retrain_assets.contract import StageError
from retrain_assets.drift.column import ColumnSketch
from retrain_assets.drift.counting import categorical_sketch, numeric_sketch


@dataclass(frozen=True, slots=True)
class Sketch:
    """Column sketches of one data set, by column."""

    columns: Mapping[str, ColumnSketch]

    @property
    def rows(self) -> int:
        """Rows of the data set; 0 where no column was sketched."""
        return max((column.n for column in self.columns.values()), default=0)

    def __add__(self, more: Sketch) -> Sketch:
        """The sketch of both data sets together.

        Raises:
            StageError: where they have different columns, bins or levels.
        """
        if self.columns.keys() != more.columns.keys():
            different = ", ".join(sorted(self.columns.keys() ^ more.columns.keys()))
            raise StageError(f"two sketches differ in columns: {different}", where="drift", remedy="sketch the same columns")
        return Sketch({name: column + more.columns[name] for name, column in self.columns.items()})

    def to_json(self) -> dict[str, Any]:
        """JSON-able values by column."""
        return {name: column.to_json() for name, column in self.columns.items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Mapping[str, Any]]) -> Sketch:
        """The inverse of :meth:`to_json`."""
        return cls({name: ColumnSketch.from_json(column) for name, column in value.items()})


def sketch_frame(
    frame: pl.DataFrame, *, columns: Iterable[str], edges: Sketch | None = None, bins: int = 20, max_levels: int = 50
) -> Sketch:
    """The sketch of some columns of a frame.

    Args:
        frame: the rows.
        columns: the columns to sketch: numbers, booleans or text.
        edges: a reference whose bins and levels are used; None fits them to these rows.
        bins: most bins of a numeric column.
        max_levels: most levels of a categorical column; the rarer ones are counted together as ``other``.

    Raises:
        StageError: where a column is missing, not in the reference, of another kind than there, or of a type that is neither
            number, boolean nor text.
    """
    return Sketch({name: _column(frame, name, edges, bins, max_levels) for name in columns})


def _column(frame: pl.DataFrame, name: str, edges: Sketch | None, bins: int, max_levels: int) -> ColumnSketch:
    if name not in frame.columns:
        raise StageError("column is missing", where=f"drift, column {name}", remedy="give the columns the model was trained on")
    values = frame.get_column(name)
    reference = None
    if edges is not None:
        reference = edges.columns.get(name)
        if reference is None:
            raise StageError("the reference has no such column", where=f"drift, column {name}", remedy="leave it out of columns")
    kind = _kind(values.dtype, name)
    if reference is not None and values.dtype == pl.Null:
        kind = reference.kind
    if reference is not None and reference.kind != kind:
        raise StageError(
            f"type {values.dtype} is {kind}, in the reference it is {reference.kind}",
            where=f"drift, column {name}",
            remedy="give the column the type it had in training",
        )
    if kind == "numeric":
        return numeric_sketch(values, reference, bins)
    return categorical_sketch(values, reference, max_levels)


def _kind(dtype: pl.DataType, name: str) -> str:
    if dtype.is_numeric() or dtype == pl.Null:
        return "numeric"
    if dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum):
        return "categorical"
    raise StageError(f"type {dtype} has no sketch", where=f"drift, column {name}", remedy="give numbers, booleans or text")
