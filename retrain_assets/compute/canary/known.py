"""What earlier ticks settled, in files that are only ever added: requests with their outcomes, and units in their cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.compute.canary.columns import read_columns, write_columns
from retrain_assets.compute.canary.lookup import Lookup, Numbers
from retrain_assets.compute.canary.records import REVISION_BITS

SMALL = 200_000
"""Rows up to which new rows and those of earlier files are put into one file."""


@dataclass(frozen=True, slots=True)
class CellFile:
    """A file of cells.

    Args:
        name: the file.
        rows: rows in it.
        gone: the file of the numbers of rows that newer files replace; empty when there are none.
        gone_rows: how many they are.
    """

    name: str
    rows: int
    gone: str = ""
    gone_rows: int = 0


@dataclass(slots=True)
class KnownFiles:
    """The files of a toggle below one directory (see :class:`canary_step.Known`).

    Args:
        directory: where they are.
        request_schema: columns of settled requests.
        cell_schema: columns of cells.
        requests: files of settled requests, with their rows.
        cell_files: files of cells, every cell in one of them and not gone there.
        written: names of files that were begun since these were read.
    """

    directory: Path
    request_schema: Mapping[str, Any]
    cell_schema: Mapping[str, Any]
    requests: dict[str, int] = field(default_factory=dict)
    cell_files: list[CellFile] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    _looked_at: dict[str, list[npt.NDArray[np.intp]]] = field(default_factory=dict)

    def part(self, number: int, parts: int) -> KnownFiles:
        """The files that can hold units of one of the parts rows are split into (:func:`canary_scatter.scattered`)."""
        requests = {name: rows for name, rows in self.requests.items() if _overlap(name, number, parts)}
        return replace(self, requests=requests, cell_files=[one for one in self.cell_files if _overlap(one.name, number, parts)])

    def settled_keys(self, keys: pl.Series) -> pl.Series:
        """Those of the keys whose request is settled."""
        wanted = Lookup(np.sort(keys.to_numpy()))
        found = [keys.clear()]
        for name in self.requests:
            column = self._column(name, "key")
            found.append(pl.Series("key", column[wanted.places(column)]))
        return pl.concat(found)

    def settled_reports(self, units: pl.Series) -> pl.DataFrame:
        """Everything of the settled requests of these units."""
        wanted = Lookup(np.sort(units.to_numpy()))
        found = [pl.DataFrame(schema=dict(self.request_schema))]
        for name in self.requests:
            places = wanted.places(self._column(name, "unit"))
            found.append(read_columns(self.directory / name, self.request_schema, places))
        return pl.concat(found)

    def cells(self, units: pl.Series) -> pl.DataFrame:
        """The cells of these units, in the order of ``cell``."""
        wanted = Lookup(np.sort(units.to_numpy()))
        found = [pl.DataFrame(schema=dict(self.cell_schema))]
        for one in self.cell_files:
            places = _places_of_units(self._column(one.name, "cell"), wanted)
            if one.gone and len(places):
                places = places[~self._gone(one)[places]]
            if len(places):
                found.append(read_columns(self.directory / one.name, self.cell_schema, places))
                self._looked_at.setdefault(one.name, []).append(places)
        rows = pl.concat(found)
        return rows[np.argsort(rows["cell"].to_numpy())]

    def add(self, settled: Iterable[pl.DataFrame], cells: Iterable[pl.DataFrame]) -> KnownFiles:
        """The files after new ones were written; those that are mostly replaced are not among them any more.

        Args:
            settled: requests that settled since, by part.
            cells: cells that are new or changed, by part, in the order of ``cell``. They replace those of the same number that
                :meth:`cells` gave before.
        """
        settled, cells = list(settled), list(cells)
        labels = [_part(number, len(cells)) for number in range(len(cells))]
        after = replace(self, requests=dict(self.requests), cell_files=[], _looked_at={})
        for label, frame in zip(labels, settled, strict=True):
            after._add_requests(label, frame.select(*self.request_schema))
        changed = Lookup(np.concatenate([frame["cell"].to_numpy() for frame in cells]))
        moved: list[tuple[str, pl.DataFrame]] = []
        for one in self.cell_files:
            moved += self._replaced(one, changed, after.cell_files)
        for label, frame in (*zip(labels, cells, strict=True), *moved):
            after._add_cells(label, frame.select(*self.cell_schema))
        return after

    def _add_requests(self, label: str, frame: pl.DataFrame) -> None:
        """Write settled requests, together with those of small files."""
        pieces = [frame]
        for name, rows in reversed(list(self.requests.items())):
            if _label(name) == label and _joins(rows, sum(piece.height for piece in pieces)):
                pieces.append(read_columns(self.directory / name, self.request_schema))
                del self.requests[name]
        if frame.height:
            together = pl.concat(pieces)
            self.requests[self.write(together, label)] = together.height

    def _add_cells(self, label: str, frame: pl.DataFrame) -> None:
        """Write cells, together with those of small files."""
        pieces = [frame]
        for one in reversed(list(self.cell_files)):
            if _label(one.name) == label and _joins(one.rows, sum(piece.height for piece in pieces)):
                pieces.append(read_columns(self.directory / one.name, self.cell_schema, np.flatnonzero(~self._gone(one))))
                self.cell_files.remove(one)
        if frame.height:
            together = pl.concat(pieces)
            if len(pieces) > 1:
                together = together[np.argsort(together["cell"].to_numpy())]
            self.cell_files.append(CellFile(self.write(together, label), together.height))

    def _replaced(self, one: CellFile, changed: Lookup, kept: list[CellFile]) -> list[tuple[str, pl.DataFrame]]:
        """Keep a file without the cells that changed, or give what is left of it when that is less than half."""
        places = np.concatenate([np.zeros(0, dtype=np.intp), *self._looked_at.get(one.name, [])])
        places = places[changed.places(self._column(one.name, "cell")[places])] if len(places) else places
        if not len(places):
            kept.append(one)
            return []
        gone = self._gone(one)
        gone[places] = True
        number = int(gone.sum())
        if number * 2 < one.rows:
            numbers = pl.DataFrame({"row": np.flatnonzero(gone).astype(np.uint32)})
            kept.append(CellFile(one.name, one.rows, self.write(numbers, "gone"), number))
            return []
        left = np.flatnonzero(~gone)
        return [(_label(one.name), read_columns(self.directory / one.name, self.cell_schema, left))] if len(left) else []

    def names(self) -> list[str]:
        """Every file there is."""
        return [*self.requests, *(name for one in self.cell_files for name in (one.name, one.gone) if name)]

    def write(self, frame: pl.DataFrame, label: str) -> str:
        """Write a file under a new name that begins with the label, and give the name."""
        name = f"{label}-{uuid4().hex}.columns"
        self.written.append(name)
        write_columns(frame, self.directory / name)
        return name

    def _gone(self, one: CellFile) -> npt.NDArray[np.bool_]:
        gone = np.zeros(one.rows, dtype=np.bool_)
        if one.gone:
            gone[read_columns(self.directory / one.gone, {"row": pl.UInt32})["row"].to_numpy()] = True
        return gone

    def _column(self, name: str, column: str) -> Numbers:
        return read_columns(self.directory / name, {column: pl.UInt64})[column].to_numpy()


def _part(number: int, parts: int) -> str:
    return f"part-{number}-of-{parts}"


def _label(name: str) -> str:
    return name.rpartition("-")[0]


def _overlap(name: str, number: int, parts: int) -> bool:
    """Whether a file's part of the units and another part have some in common."""
    _, its_number, _, its_parts, _ = name.split("-")
    return int(its_number) * parts < (number + 1) * int(its_parts) and number * int(its_parts) < (int(its_number) + 1) * parts


def _joins(rows: int, more: int) -> bool:
    """Whether a file is put together with newer rows: the rows of small files are written again only as they double."""
    return rows <= 2 * more and rows + more <= SMALL


def _places_of_units(cells: Numbers, units: Lookup) -> npt.NDArray[np.intp]:
    """Where the cells of some units are among ascending cells."""
    if not len(units.numbers):
        return np.zeros(0, dtype=np.intp)
    mask = np.uint64(2**REVISION_BITS - 1)
    start = np.searchsorted(cells, units.numbers[0], side="left")
    stop = np.searchsorted(cells, units.numbers[-1] | mask, side="right")
    places: npt.NDArray[np.intp] = start + units.places(cells[start:stop] & ~mask)
    return places
