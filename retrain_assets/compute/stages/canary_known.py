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

from retrain_assets.compute.stages.canary_cells import UNIT
from retrain_assets.compute.stages.canary_columns import read_columns, write_columns


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
        requests: names of files of settled requests.
        cell_files: files of cells, every cell in one of them and not gone there.
    """

    directory: Path
    request_schema: Mapping[str, Any]
    cell_schema: Mapping[str, Any]
    requests: list[str] = field(default_factory=list)
    cell_files: list[CellFile] = field(default_factory=list)
    _replaced: dict[str, list[npt.NDArray[np.uint32]]] = field(default_factory=dict)

    def part(self, number: int, parts: int) -> KnownFiles:
        """The files that can hold units of one of the parts rows are split into."""
        if parts == 1:
            return self
        names = (f"{_WHOLE}-", f"{_part(number, parts)}-")
        requests = [name for name in self.requests if name.startswith(names)]
        return replace(self, requests=requests, cell_files=[one for one in self.cell_files if one.name.startswith(names)])

    def settled_keys(self, keys: pl.Series) -> pl.Series:
        """Those of the keys whose request is settled."""
        if not self.requests or keys.is_empty():
            return keys.clear()
        wanted = keys.to_frame("key")
        found = [self._column(name, "key").join(wanted, on="key", how="semi") for name in self.requests]
        return pl.concat(found)["key"]

    def settled_reports(self, units: pl.Series) -> pl.DataFrame:
        """Everything of the settled requests of these units."""
        wanted = units.to_frame("unit")
        found = []
        for name in self.requests:
            place = self._column(name, "unit").with_row_index().join(wanted, on="unit", how="semi")["index"]
            found.append(read_columns(self.directory / name, self.request_schema, place.to_numpy()))
        return pl.concat(found)

    def cells(self, units: pl.Series) -> pl.DataFrame:
        """The cells of these units, in the order of ``cell``; they count as replaced from now on."""
        wanted = units.to_frame("unit")
        found = []
        for one in self.cell_files:
            unit = self._column(one.name, "cell").select((pl.col("cell") & UNIT).alias("unit"))
            place = unit.with_row_index().join(wanted, on="unit", how="semi")["index"].to_numpy()
            if one.gone and len(place):
                place = place[~self._gone(one)[place]]
            if len(place):
                found.append(read_columns(self.directory / one.name, self.cell_schema, place))
                self._replaced.setdefault(one.name, []).append(place)
        if not found:
            return pl.DataFrame(schema=dict(self.cell_schema))
        rows = pl.concat(found)
        return rows[np.argsort(rows["cell"].to_numpy())]

    def add(self, settled: Iterable[pl.DataFrame], cells: Iterable[pl.DataFrame]) -> KnownFiles:
        """The files after new ones were written; those that are mostly replaced are not among them any more.

        Args:
            settled: requests that settled since.
            cells: the new cells of units that changed, those given by :meth:`cells` before among them.
        """
        settled, cells = list(settled), list(cells)
        names = [_part(number, len(cells)) for number in range(len(cells))] if len(cells) > 1 else [_WHOLE]
        requests = list(self.requests)
        for name, frame in zip(names, settled, strict=True):
            requests += [self.write(frame.select(*self.request_schema), name)] if frame.height else []
        after, moved = [], []
        for one in self.cell_files:
            if one.name not in self._replaced:
                after.append(one)
                continue
            gone = self._gone(one)
            gone[np.concatenate(self._replaced[one.name])] = True
            number = int(gone.sum())
            if number * 2 >= one.rows:
                if number < one.rows:
                    moved.append(
                        (_label(one.name), read_columns(self.directory / one.name, self.cell_schema, np.flatnonzero(~gone)))
                    )
            else:
                places = pl.DataFrame({"row": np.flatnonzero(gone).astype(np.uint32)})
                after.append(CellFile(one.name, one.rows, self.write(places, "gone"), number))
        for name, frame in (*zip(names, cells, strict=True), *moved):
            after += [CellFile(self.write(frame.select(*self.cell_schema), name), frame.height)] if frame.height else []
        files = after
        return replace(self, requests=requests, cell_files=files, _replaced={})

    def names(self) -> list[str]:
        """Every file there is."""
        return [*self.requests, *(name for one in self.cell_files for name in (one.name, one.gone) if name)]

    def write(self, frame: pl.DataFrame, label: str) -> str:
        """Write a file under a new name that begins with the label, and give the name."""
        name = f"{label}-{uuid4().hex}.columns"
        write_columns(frame, self.directory / name)
        return name

    def _gone(self, one: CellFile) -> npt.NDArray[np.bool_]:
        gone = np.zeros(one.rows, dtype=np.bool_)
        if one.gone:
            gone[read_columns(self.directory / one.gone, {"row": pl.UInt32})["row"].to_numpy()] = True
        return gone

    def _column(self, name: str, column: str) -> pl.DataFrame:
        return read_columns(self.directory / name, {column: pl.UInt64})


_WHOLE = "whole"


def _part(number: int, parts: int) -> str:
    return f"part-{number}-of-{parts}"


def _label(name: str) -> str:
    return name.rpartition("-")[0]
