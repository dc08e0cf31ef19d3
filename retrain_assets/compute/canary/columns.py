"""A table in one file, column after column, of which single columns or rows are read without the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

_ALIGNED = 64


def write_columns(frame: pl.DataFrame, path: Path) -> None:
    """Write a table of numbers, booleans, times and lists of whole numbers."""
    buffers: list[npt.NDArray[Any]] = []
    header: dict[str, list[list[Any]]] = {}
    for name in frame.columns:
        header[name] = []
        for part in _parts(frame[name]):
            header[name].append([len(buffers), part.dtype.str, len(part)])
            buffers.append(part)
    places, place = [], 0
    for buffer in buffers:
        places.append(place)
        place += -(-buffer.nbytes // _ALIGNED) * _ALIGNED
    columns = {name: [[places[at], kind, count] for at, kind, count in parts] for name, parts in header.items()}
    text = json.dumps({"columns": columns, "rows": frame.height, "bytes": place}).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        start = file.tell()
        for at, buffer in zip(places, buffers, strict=True):
            file.seek(start + at)
            file.write(buffer.data)
        file.truncate(start + place)


def read_columns(path: Path, schema: Mapping[str, Any], rows: npt.NDArray[Any] | None = None) -> pl.DataFrame:
    """Columns of a file.

    Args:
        path: the file.
        schema: the columns to read, with their types.
        rows: numbers of the rows to read; all by default.

    Raises:
        OSError: when the file is gone or damaged.
    """
    try:
        return _read(path, schema, rows)
    except (ValueError, LookupError, TypeError, OverflowError, pl.exceptions.PolarsError) as fault:
        raise OSError(f"{path} is damaged") from fault


def _read(path: Path, schema: Mapping[str, Any], rows: npt.NDArray[Any] | None) -> pl.DataFrame:
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        start = file.tell()
    if not header["rows"]:
        return pl.DataFrame(schema=dict(schema))

    def mapped(place: int, kind: str, count: int) -> npt.NDArray[Any]:
        if not count:
            return np.zeros(0, dtype=kind)
        return np.memmap(path, dtype=kind, mode="r", offset=start + place, shape=(count,))

    return pl.DataFrame(
        [_series(name, kind, [mapped(*part) for part in header["columns"][name]], rows) for name, kind in schema.items()]
    )


def _parts(column: pl.Series) -> list[npt.NDArray[Any]]:
    """Values and, where some are null, which are not; of lists the values and where each list ends."""
    if isinstance(column.dtype, pl.List):
        lengths = column.list.len().fill_null(0).to_numpy()
        return [column.explode(empty_as_null=False).drop_nulls().to_numpy(), np.cumsum(lengths, dtype=np.int64)]
    missing = column.null_count()
    known = column.is_not_null().to_numpy().astype(np.uint8) if missing else None
    plain = column.to_physical()
    if missing:
        plain = plain.fill_null(value=False) if column.dtype == pl.Boolean else plain.fill_null(0)
    values = plain.to_numpy()
    values = values.astype(np.uint8) if values.dtype == np.bool_ else np.ascontiguousarray(values)
    return [values] if known is None else [values, known]


def _series(name: str, kind: Any, parts: list[npt.NDArray[Any]], rows: npt.NDArray[Any] | None) -> pl.Series:
    if isinstance(kind, pl.List):
        values, ends = parts
        chosen = np.arange(len(ends)) if rows is None else rows
        stops = ends[chosen]
        starts = np.where(chosen > 0, ends[np.maximum(chosen, 1) - 1], 0)
        lengths = stops - starts
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        members = pl.DataFrame({"row": np.repeat(np.arange(len(chosen)), lengths), "value": values[places]})
        lists = members.group_by("row", maintain_order=True).agg("value")
        found = pl.DataFrame({"row": np.arange(len(chosen))}).join(lists, on="row", how="left", maintain_order="left")
        return found["value"].cast(kind).fill_null([]).alias(name)
    values, *known = (part if rows is None else part[rows] for part in parts)
    column = pl.Series(name, np.asarray(values)).cast(kind)
    if known:
        column = pl.select(pl.when(pl.Series(np.asarray(known[0]).astype(np.bool_))).then(column)).to_series().alias(name)
    return column
