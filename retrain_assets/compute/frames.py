"""Tables as files: deterministic Parquet and a content digest that does not depend on how Parquet was written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.compute.parts import StoredTable, about_metadata, remove_parts
from retrain_assets.contract import StageError, digest_of

WINDOWS = ("train", "holdout")
"""The tables of a snapshot; each is a file ``NAME.parquet``, or a folder of that name with its parts."""


def frame_digest(frame: pl.DataFrame) -> str:
    """``sha256:…`` of a table's content: row count and, per column in order, name, type and values.

    The values of a column are hashed as a validity byte per row, then the values with nulls as zero: numbers little-endian
    in their own width (every NaN the same), booleans as bytes, dates, times and durations as 64-bit integers of their unit,
    strings and binaries as 64-bit lengths followed by all bytes. Chunking, compression, row groups, statistics and the
    version of the Parquet writer do not enter.

    Raises:
        StageError: for a nested or otherwise unsupported column type.
    """
    return pieces_digest(frame.schema, frame.height, lambda name: [frame[name]])


def pieces_digest(schema: Mapping[str, pl.DataType], rows: int, pieces: Callable[[str], Iterable[pl.Series]]) -> str:
    """What :func:`frame_digest` gives, of a table in pieces: one column at a time, each piece seen two or three times.

    Args:
        schema: type by name, in order.
        rows: number of rows.
        pieces: the pieces of a column in the order of the rows; asked anew for each pass.

    Raises:
        StageError: as :func:`frame_digest`.
    """
    columns = []
    for name, dtype in schema.items():
        hasher = hashlib.sha256()
        for written in (_validity_bytes, *_value_bytes(name, dtype)):
            for piece in pieces(name):
                hasher.update(written(piece))
        columns.append({"name": name, "type": str(_content_type(dtype)), "sha256": hasher.hexdigest()})
    return digest_of({"rows": rows, "columns": columns})


@dataclass(frozen=True, slots=True)
class Tables:
    """What the stages ``dataset`` and ``features`` hand on: both windows, and JSON-able facts about them.

    Args:
        train: rows of the training window.
        holdout: rows of the held-out window.
        about: facts; ``window`` among them.
    """

    train: pl.DataFrame
    holdout: pl.DataFrame
    about: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """``sha256:…`` of the contents of both tables and the facts, however they are stored."""
        return digest_of({"train": frame_digest(self.train), "holdout": frame_digest(self.holdout), "about": dict(self.about)})


def write_tables(folder: Path, tables: Tables) -> None:
    """Write ``train.parquet`` and ``holdout.parquet``, the facts in the metadata of each file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in zip(WINDOWS, (tables.train, tables.holdout), strict=True):
        write_table(folder / f"{name}.parquet", frame, tables.about)


def write_table(path: Path, frame: pl.DataFrame, about: Mapping[str, Any]) -> None:
    """Write one table as a file, with the facts in its metadata; parts that an earlier try left there are removed."""
    remove_parts(path)
    frame.write_parquet(path, compression="zstd", row_group_size=100_000, metadata=about_metadata(about))


def read_tables(folder: Path) -> Tables:
    """What :func:`write_tables` or a Spark session wrote, all rows of it.

    Raises:
        StageError: when a file is missing or unreadable, or the two do not belong together.
    """
    about = read_about(folder)
    train, holdout = (stored.read() for stored in _stored(folder))
    return Tables(train, holdout, about)


def read_about(folder: Path) -> dict[str, Any]:
    """The facts about stored tables, without their rows.

    Raises:
        StageError: as :func:`read_tables`.
    """
    facts = [stored.about for stored in _stored(folder)]
    if facts[0] is None or facts[0] != facts[1]:
        raise StageError(
            "train and holdout do not belong together", where=str(folder), remedy="run the stage that writes them again"
        )
    found: dict[str, Any] = facts[0]
    return found


def stored_digest(folder: Path) -> str:
    """The digest of stored tables, as :attr:`Tables.digest`; in memory at most one column of one part at a time.

    Raises:
        StageError: as :func:`read_tables`.
    """
    about, tables = read_about(folder), dict(zip(WINDOWS, _stored(folder), strict=True))
    digests = {name: pieces_digest(stored.schema, stored.rows, stored.pieces) for name, stored in tables.items()}
    return digest_of({**digests, "about": about})


def _stored(folder: Path) -> list[StoredTable]:
    return [StoredTable.at(folder / f"{name}.parquet") for name in WINDOWS]


def _content_type(dtype: pl.DataType) -> pl.DataType:
    return pl.String() if isinstance(dtype, (pl.Categorical, pl.Enum)) else dtype


def _validity_bytes(series: pl.Series) -> bytes:
    return series.is_not_null().to_numpy().astype(np.uint8).tobytes()


def _value_bytes(name: str, dtype: pl.DataType) -> tuple[Callable[[pl.Series], bytes], ...]:
    """What is hashed of a column's values, one pass after the other."""
    if dtype == pl.Null:
        return ()
    if dtype == pl.Boolean:
        return (lambda series: series.fill_null(False).to_numpy().astype(np.uint8).tobytes(),)
    if dtype.is_float():
        return (_float_bytes,)
    if dtype.is_integer():
        return (lambda series: _little(series.fill_null(0).to_numpy()),)
    if dtype.is_temporal():
        return (lambda series: series.to_physical().cast(pl.Int64).fill_null(0).to_numpy().astype("<i8").tobytes(),)
    if dtype == pl.Binary:
        return (
            lambda series: series.fill_null(b"").bin.size().to_numpy().astype("<i8").tobytes(),
            lambda series: b"".join(series.fill_null(b"").to_list()),
        )
    if dtype == pl.String or dtype.is_decimal() or isinstance(dtype, (pl.Categorical, pl.Enum)):
        return (
            lambda series: _text(series).str.len_bytes().to_numpy().astype("<i8").tobytes(),
            lambda series: "".join(_text(series).to_list()).encode(),
        )
    raise StageError(
        f"type {dtype} has no content digest", where=f"column {name}", remedy="flatten it into plain columns in the source"
    )


def _float_bytes(series: pl.Series) -> bytes:
    values = series.fill_null(0.0).to_numpy().copy()
    values[np.isnan(values)] = np.nan
    return _little(values)


def _little(values: npt.NDArray[Any]) -> bytes:
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


def _text(series: pl.Series) -> pl.Series:
    return series.cast(pl.String).fill_null("")
