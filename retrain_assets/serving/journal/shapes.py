"""Whether rows are as documented, before they are written. Types are looked at once per shape of a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from math import inf
from types import NoneType
from typing import Any

import polars as pl

from retrain_assets.compute.traffic_schema import EXPOSURE_COLUMNS, EXPOSURE_NULLABLE, MOMENT, OUTCOME_COLUMNS, Dtype
from retrain_assets.contract import SourceError
from retrain_assets.serving.journal.lines import Columns
from retrain_assets.serving.journal.values import TrafficKind

_PYTHON: tuple[tuple[Dtype, str, tuple[type, ...]], ...] = (
    (pl.String, "text", (str,)),
    (pl.Int64, "a whole number", (int,)),
    (pl.Float64, "a number", (int, float)),
    (pl.Boolean, "true or false", (bool,)),
    (MOMENT, "a time", (datetime,)),
)
_DOCUMENTED: Mapping[TrafficKind, Mapping[str, Dtype]] = {
    "exposures": EXPOSURE_COLUMNS,
    "outcomes": OUTCOME_COLUMNS,
    "shadow": {"request_id": pl.String, "shadow_score": pl.Float64},
}
_NULLABLE: Mapping[TrafficKind, frozenset[str]] = {
    "exposures": EXPOSURE_NULLABLE,
    "outcomes": frozenset(),
    "shadow": frozenset({"shadow_score"}),
}
_MOST_SHAPES = 1000
_LARGEST = 1 << 63
_MINUTE = timedelta(minutes=1)

Shape = tuple[TrafficKind, tuple[str, ...], tuple[type, ...]]


class Shapes:
    """Checks the rows of one model; remembers the shapes it has seen."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._seen: dict[Shape, Columns] = {}

    def check(self, kind: TrafficKind, rows: Sequence[Mapping[str, Any]]) -> Columns:
        """The kind of each further column of the rows.

        Raises:
            SourceError: for a row that is not as documented, or a column that is of two kinds.
        """
        found: Columns = {}
        for row in rows:
            shape = (kind, tuple(row), tuple(map(type, row.values())))
            columns = self._seen.get(shape)
            if columns is None:
                columns = self._columns(kind, row)
                if len(self._seen) >= _MOST_SHAPES:
                    self._seen.clear()
                self._seen[shape] = columns
            self._possible(kind, row)
            if not found:
                found = columns
            elif columns is not found:
                found = self._merged(kind, found, columns)
        return found

    def _columns(self, kind: TrafficKind, row: Mapping[str, Any]) -> Columns:
        documented, further, problems = _DOCUMENTED[kind], Columns(), []
        problems += [f"column {name} is missing" for name in documented if name not in row]
        for name, value in row.items():
            if not isinstance(name, str):
                problems.append(f"{name!r} is no column name")
            elif name in documented:
                _, words, accepted = next(one for one in _PYTHON if one[0] == documented[name])
                if value is None and name in _NULLABLE[kind]:
                    continue
                if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted):
                    problems.append(f"column {name} is {_said(value)}, not {words}")
            else:
                further[name] = _kind(value)
                if kind == "shadow" or (value is not None and not _fits(kind, name, further[name])):
                    problems.append(f"column {name} is {_said(value)}, not {_wanted(kind, name)}")
        if kind == "outcomes" and not further:
            problems.append("there is no measure")
        if problems:
            raise self._refusal(kind, "; ".join(problems))
        if kind == "exposures" and "decision" in further:
            further["decision"] = "bool"
        return dict.fromkeys(further, "number") if kind == "outcomes" else further

    def _possible(self, kind: TrafficKind, row: Mapping[str, Any]) -> None:
        if kind == "exposures":
            if row["model"] != self.model:
                raise self._refusal(kind, f"model {row['model']!r} does not belong there")
            if row["arm"] not in ("champion", "challenger"):
                raise self._refusal(kind, f"arm {row['arm']!r} does not belong there")
            if not -_LARGEST <= row["revision"] < _LARGEST:
                raise self._refusal(kind, "revision has more than 64 bits")
            if not 0 <= row["latency_ms"] < inf:
                raise self._refusal(kind, "latency_ms is negative or not a number")
        if kind != "shadow":
            offset = row["exposed_at" if kind == "exposures" else "observed_at"].utcoffset()
            if offset is None:
                raise self._refusal(kind, "a time without zone")
            if offset % _MINUTE:
                raise self._refusal(kind, "a time in a zone whose offset is no whole minutes")

    def _merged(self, kind: TrafficKind, one: Columns, other: Columns) -> Columns:
        if clash := clashing(one, other):
            raise self._refusal(kind, f"column {clash} is {one[clash]} in one row and {other[clash]} in another")
        return merged(one, other)

    def _refusal(self, kind: TrafficKind, what: str) -> SourceError:
        return SourceError(what, where=f"{kind} of {self.model}", remedy="write rows as in docs/data-formats.md")


def merged(one: Columns, other: Columns) -> Columns:
    """Both together; a kind that is known holds against one that is not."""
    return one | {name: kind if kind is not None else one.get(name) for name, kind in other.items()}


def clashing(one: Columns, other: Columns) -> str | None:
    """A column that is of different kinds in the two; None where they agree."""
    for name, kind in other.items():
        if kind is not None and one.get(name, kind) not in (kind, None):
            return name
    return None


def _kind(value: object) -> str | None:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else None


def _fits(kind: TrafficKind, name: str, found: str | None) -> bool:
    if kind == "outcomes":
        return found == "number"
    return found == "bool" if name == "decision" else found is not None


def _wanted(kind: TrafficKind, name: str) -> str:
    if kind == "shadow":
        return "part of a shadow record"
    if kind == "outcomes":
        return "a number"
    return "true or false" if name == "decision" else "text, number or bool"


def _said(value: object) -> str:
    return "null" if isinstance(value, NoneType) else f"{value!r:.40}"
