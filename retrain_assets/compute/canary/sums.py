"""What a group of units adds to the sums of a canary. Sums of disjoint groups add; those of a group can be taken away again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from operator import add, sub
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.compute.canary.records import Labels
from retrain_assets.compute.canary.terms import Terms
from retrain_assets.compute.canary.units import Units, columns_of, units_of
from retrain_assets.experiment.estimation.quantiles import RequestHistogram, histograms

ALL = ""
"""In place of a segment: everybody."""

Key = tuple[str | int, ...]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sums:
    """Counts and sums of a group of units.

    Args:
        numbers: by key: ``("stage", segment, revision, arm)`` units exposed, matured, with every outcome, in their first
            revision;
            ``("shadow", segment, revision)`` units, scored, matured, both; ``("measure", segment, i, revision, arm)`` n, not
            finite, outside 0..1, n and sum in the first revision, sums, products; ``("overlap", segment, i, revision, arm,
            revision, arm)`` n, sums of the earlier and of the later cell, products; ``("crossing",)`` units in both arms.
            The arm is 0 for the champion, 1 for the challenger; i is the measure's place.
        histograms: by key as for a measure, the requests' values of a quantile.
    """

    numbers: Mapping[Key, Floats] = field(default_factory=dict)
    histograms: Mapping[Key, RequestHistogram] = field(default_factory=dict)

    def __add__(self, other: Sums) -> Sums:
        return self._with(other, add)

    def __sub__(self, other: Sums) -> Sums:
        return self._with(other, sub)

    def to_json(self) -> dict[str, list[Any]]:
        """A JSON-able dict that keeps every bit; NaN and infinities stay what they are."""
        return {
            "numbers": [[list(key), [float(number) for number in numbers]] for key, numbers in self.numbers.items()],
            "histograms": [[list(key), histogram.to_json()] for key, histogram in self.histograms.items()],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Sums:
        """The inverse of :meth:`to_json`."""
        return cls(
            {tuple(key): np.array(numbers) for key, numbers in value["numbers"]},
            {tuple(key): RequestHistogram.from_json(histogram) for key, histogram in value["histograms"]},
        )

    def _with(self, other: Sums, both: Callable[[Any, Any], Any]) -> Sums:
        numbers, counted = dict(self.numbers), dict(self.histograms)
        for key, value in other.numbers.items():
            numbers[key] = both(numbers[key] if key in numbers else np.zeros_like(value), value)
        for key, histogram in other.histograms.items():
            counted[key] = both(counted.get(key, RequestHistogram.empty()), histogram)
        return Sums(numbers, counted)


def sums_of(cells: pl.DataFrame, terms: Terms, labels: Labels) -> Sums:
    """The sums of a group of units.

    Args:
        cells: every cell of every unit of the group, one row per unit and revision (:func:`canary_cells.merged`).
        terms: measures, covariates, segments, shares.
        labels: names of the segments.
    """
    units = units_of(cells, terms, labels)
    numbers: dict[Key, Floats] = {}
    counted: dict[Key, RequestHistogram] = {}
    if units.crossing:
        numbers["crossing",] = np.array([units.crossing], dtype=np.float64)
    pairs = _pairs(units.traffic, terms)
    by_segment: list[tuple[str | None, list[str]]] = [
        (f"s{place}", labels.of.get(column, [])) for place, column in enumerate(terms.segments)
    ]
    for column, names in by_segment or [(None, [ALL])]:
        found = _cells(units, column, names, terms)
        found.update(_shadow(units, column, names))
        if pairs is not None:
            found.update(_overlaps(units, pairs, column, names, terms))
        histogram = _histograms(units, column, names, terms)
        if column == "s0":
            _total(found, numbers)
            _total(histogram, counted)
        numbers.update(found)
        counted.update(histogram)
    return Sums(numbers, counted)


def _cells(units: Units, column: str | None, names: list[str], terms: Terms) -> dict[Key, Floats]:
    """Sums per segment, revision and arm."""
    counts: list[pl.Expr] = [pl.len(), (pl.col("requests") > 0).sum(), pl.col("complete").sum(), pl.col("first").sum()]
    sizes = [len(counts)]
    for place, measure in enumerate(terms.measures):
        usable, columns = columns_of(place, measure, terms)
        first = pl.col("first") & usable
        value = columns[0]
        of_measure = [
            usable.sum(),
            ((pl.col(f"n{place}") > 0) & ~usable).sum(),
            ((value < 0) | (value > 1)).sum(),
            first.sum(),
            pl.when(first).then(value).otherwise(0.0).sum(),
            *(one.sum() for one in columns),
            *((one * other).sum() for one, other in combinations_with_replacement(columns, 2)),
        ]
        counts += of_measure
        sizes.append(len(of_measure))
    by = [*([column] if column else []), "number", "challenger"]
    wanted = [one.cast(pl.Float64).alias(f"a{place}") for place, one in enumerate(counts)]
    rows = units.traffic.group_by(by, maintain_order=True).agg(wanted)
    ends = np.cumsum(sizes)
    found: dict[Key, Floats] = {}
    for row in rows.iter_rows():
        segment, revision, challenger = names[row[0]] if column else ALL, units.revisions[row[len(by) - 2]], row[len(by) - 1]
        stage, *measures = np.split(np.array(row[len(by) :], dtype=np.float64), ends[:-1])
        found["stage", segment, revision, int(challenger)] = stage
        for place, sums in enumerate(measures):
            found["measure", segment, place, revision, int(challenger)] = sums
    return found


def _shadow(units: Units, column: str | None, names: list[str]) -> dict[Key, Floats]:
    """Units that the challenger could have scored along, per segment and revision."""
    matured = pl.col("requests") > 0
    by = [*([column] if column else []), "number"]
    rows = units.shadow.group_by(by, maintain_order=True).agg(
        pl.len().cast(pl.Float64),
        pl.col("scored").sum(),
        matured.sum().alias("matured"),
        (matured & pl.col("scored")).sum().alias("both"),
    )
    return {
        ("shadow", names[row[0]] if column else ALL, units.revisions[row[len(by) - 1]]): np.array(
            row[len(by) :], dtype=np.float64
        )
        for row in rows.iter_rows()
    }


def _pairs(cells: pl.DataFrame, terms: Terms) -> pl.DataFrame | None:
    """Each pair of cells of a unit, the earlier one first; None without any. Cells lie side by side, by unit and revision."""
    unit = cells["unit"].to_numpy()
    found = []
    for apart in range(1, len(terms.stage_started)):
        place = np.flatnonzero(unit[apart:] == unit[:-apart])
        if not len(place):
            break
        later = cells[place + apart]
        found.append(cells[place].hstack(later.rename({name: f"{name} later" for name in later.columns})))
    return pl.concat(found) if found else None


def _overlaps(units: Units, pairs: pl.DataFrame, column: str | None, names: list[str], terms: Terms) -> dict[Key, Floats]:
    by = [*([column] if column else []), "number", "challenger", "number later", "challenger later"]
    sums: list[pl.Expr] = []
    sizes = []
    for place, measure in enumerate(terms.measures):
        usable, earlier = columns_of(place, measure, terms)
        usable_later, later = columns_of(place, measure, terms, suffix=" later")
        both = usable & usable_later
        earlier, later = ([pl.when(both).then(one).otherwise(0.0) for one in side] for side in (earlier, later))
        of_measure = [both.sum(), *(one.sum() for one in (*earlier, *later)), *((a * b).sum() for a in earlier for b in later)]
        sums += of_measure
        sizes.append(len(of_measure))
    rows = pairs.group_by(by, maintain_order=True).agg(one.cast(pl.Float64).alias(f"a{place}") for place, one in enumerate(sums))
    found: dict[Key, Floats] = {}
    for row in rows.iter_rows():
        segment, ends = names[row[0]] if column else ALL, row[len(by) - 4 : len(by)]
        cells = (units.revisions[ends[0]], int(ends[1]), units.revisions[ends[2]], int(ends[3]))
        for place, one in enumerate(np.split(np.array(row[len(by) :], dtype=np.float64), np.cumsum(sizes)[:-1])):
            found["overlap", segment, place, *cells] = one
    return found


def _histograms(units: Units, column: str | None, names: list[str], terms: Terms) -> dict[Key, RequestHistogram]:
    found: dict[Key, RequestHistogram] = {}
    by = [*([column] if column else []), "number", "challenger"]
    for place, measure in enumerate(terms.measures):
        if not measure.is_quantile:
            continue
        usable, _ = columns_of(place, measure, terms)
        rows = units.traffic.filter(usable).select(*by, f"q{place}").with_row_index("unit row")
        groups = rows.select(by).unique(maintain_order=True).with_row_index("group")
        values = (
            rows.join(groups, on=by, how="left", nulls_equal=True).select("group", "unit row", f"q{place}").explode(f"q{place}")
        )
        counted = histograms(
            values["group"].to_numpy(), values["unit row"].to_numpy(), values[f"q{place}"].to_numpy(), cells_in_all=groups.height
        )
        for group, histogram in zip(groups.iter_rows(), counted, strict=True):
            segment = names[group[1]] if column else ALL
            found["measure", segment, place, units.revisions[group[-2]], int(group[-1])] = histogram
    return found


def _total(parts: Mapping[Key, Any], total: dict[Key, Any]) -> None:
    """Add the parts of every segment to those of everybody."""
    for key, part in parts.items():
        everybody = (key[0], ALL, *key[2:])
        total[everybody] = total[everybody] + part if everybody in total else part
