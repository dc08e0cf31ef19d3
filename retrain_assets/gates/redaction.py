"""What evidence may show of a row: identities by their names, texts only where they are categories. No raw id, no free text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from retrain_assets.contract import Source
from retrain_assets.contract.unit_names import UNLINKABLE, UnitNames

MOST_CATEGORIES = 200
"""A text column with more distinct values is taken for identifiers or free text."""

ROWS_A_CATEGORY = 20
"""Rows per distinct value that a text column needs to be taken for categories; below, a value may tell who its row is about."""

LONGEST_VALUE = 120
"""Characters of a value that evidence shows."""


def is_shown(values: pl.Series) -> bool:
    """Whether values of a column may stand in evidence: numbers, truth values, times, and texts that are categories."""
    dtype = values.dtype
    if dtype.is_numeric() or dtype.is_temporal() or dtype in (pl.Boolean, pl.Null):
        return True
    if not (dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum)):
        return False
    return are_categories(values.drop_nulls().n_unique(), len(values))


def are_categories(distinct: int, rows: int) -> bool:
    """Whether so many distinct texts in so many rows are categories, not identifiers or free text."""
    return distinct <= min(MOST_CATEGORIES, rows / ROWS_A_CATEGORY)


def hidden_text(value: Any) -> str:
    """What stands in place of a text that is not shown."""
    return f"text of {len(str(value))} characters"


def copies_of(identity: pl.Series, frame: pl.DataFrame) -> frozenset[str]:
    """Columns of a frame that hold, row by row, the same values as an identity."""
    return frozenset(
        name
        for name in frame.columns
        if frame[name].dtype == identity.dtype and len(identity) and bool((frame[name] == identity).fill_null(False).mean() == 1)
    )


@dataclass(frozen=True)
class RowWords:
    """How rows of a table are told in evidence.

    Args:
        frame: all rows of the table, which decide what is a category.
        source: the roles of its columns.
        names: what units and groups are called.
        among: other rows of the source, whose units and groups are told by their names too.
    """

    frame: pl.DataFrame
    source: Source
    names: UnitNames = UNLINKABLE
    among: tuple[pl.DataFrame, ...] = ()

    def of(self, row: Mapping[str, Any], column: str) -> str:
        """One value of a row: of the unit and the group its name, of other texts their length where they are no categories.

        A value that repeats the row's own unit is told by the unit's name, whatever its column.
        """
        value, unit = row.get(column), row.get(self.source.unit)
        if value is not None and unit is not None and str(value) == str(unit):
            return self.names.of(value)
        return self.value(value, column)

    def value(self, value: Any, column: str) -> str:
        """One value of a column; a text that is a unit or a group of some row is told by its name, whatever its column."""
        if column == self.source.unit or (isinstance(value, str) and value in self._texts(self.source.unit)):
            return self.names.of(value)
        if column == self.source.group or (isinstance(value, str) and value in self._texts(self.source.group)):
            return self.names.of(value, "group")
        return hidden_text(value) if value is not None and column in self.hidden else str(value)[:LONGEST_VALUE]

    def _texts(self, identity: str | None) -> frozenset[str]:
        name = identity or ""
        if name not in self._identities:
            known = [frame[name] for frame in (self.frame, *self.among) if frame.schema.get(name) == pl.String]
            self._identities[name] = frozenset(one for column in known for one in column.drop_nulls().unique().to_list())
        return self._identities[name]

    @cached_property
    def _identities(self) -> dict[str, frozenset[str]]:
        return {}

    @cached_property
    def hidden(self) -> frozenset[str]:
        """Columns whose values are not shown."""
        return frozenset(name for name in self.frame.columns if not is_shown(self.frame[name]))


def scrubbed(text: str, frame: pl.DataFrame, source: Source) -> str:
    """A message of code that met some rows, without what it may have copied from them.

    Units of the rows become ``a unit``, so that the message does not depend on a key; other texts of columns that are no
    categories become their length.

    Args:
        text: the message.
        frame: the rows.
        source: the roles of their columns.
    """
    identities = {source.unit: "unit", **({source.group: "group"} if source.group else {})}
    for column, kind in identities.items():
        if column in frame.columns:
            for found in _found(text, frame[column]):
                text = _replaced(text, found, f"a {kind}")
    for column in frame.columns:
        if column not in identities and frame.schema[column] == pl.String and not is_shown(frame[column]):
            for found in _found(text, frame[column]):
                text = _replaced(text, found, hidden_text(found))
    return text


def _found(text: str, values: pl.Series) -> list[str]:
    """Values that stand in a text as words of their own, the longest first."""
    words = {str(value) for value in values.drop_nulls().to_list()}
    return sorted((one for one in words if one.strip() and one in text), key=len, reverse=True)


def _replaced(text: str, found: str, by: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(found)}(?!\w)", lambda _: by, text)
