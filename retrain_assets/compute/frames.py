"""Tables as files: deterministic Parquet and a content digest that does not depend on how Parquet was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from retrain_assets.contract import StageError, canonical_json, digest_of

ABOUT = "retrain_assets"
"""Key of the facts about a table in its Parquet file's metadata."""


def frame_digest(frame: pl.DataFrame) -> str:
    """``sha256:…`` of a table's content: row count and, per column in order, name, type and values.

    The values of a column are hashed as a validity byte per row, then the values with nulls as zero: numbers little-endian
    in their own width (every NaN the same), booleans as bytes, dates, times and durations as 64-bit integers of their unit,
    strings and binaries as 64-bit lengths followed by all bytes. Chunking, compression, row groups, statistics and the
    version of the Parquet writer do not enter.

    Raises:
        StageError: for a nested or otherwise unsupported column type.
    """
    columns = []
    for name, dtype in frame.schema.items():
        hasher = hashlib.sha256(frame[name].is_not_null().to_numpy().astype(np.uint8).tobytes())
        for part in _value_bytes(frame[name]):
            hasher.update(part)
        columns.append({"name": name, "type": str(_content_type(dtype)), "sha256": hasher.hexdigest()})
    return digest_of({"rows": frame.height, "columns": columns})


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
    text = canonical_json(dict(tables.about)).decode()
    for name, frame in (("train", tables.train), ("holdout", tables.holdout)):
        frame.write_parquet(folder / f"{name}.parquet", compression="zstd", row_group_size=100_000, metadata={ABOUT: text})


def read_tables(folder: Path) -> Tables:
    """What :func:`write_tables` wrote.

    Raises:
        StageError: when a file is missing or unreadable, or the two do not belong together.
    """
    frames: dict[str, pl.DataFrame] = {}
    facts: dict[str, Any] = {}
    for name in ("train", "holdout"):
        path = folder / f"{name}.parquet"
        try:
            facts[name] = json.loads(pl.read_parquet_metadata(path).get(ABOUT, "null"))
            frames[name] = pl.read_parquet(path, glob=False)
        except (OSError, pl.exceptions.ComputeError) as error:
            raise StageError(f"cannot be read ({error})", where=str(path), remedy="run the stage that writes it again") from error
    if facts["train"] is None or facts["train"] != facts["holdout"]:
        raise StageError(
            "train and holdout do not belong together", where=str(folder), remedy="run the stage that writes them again"
        )
    return Tables(frames["train"], frames["holdout"], facts["train"])


def _content_type(dtype: pl.DataType) -> pl.DataType:
    return pl.String() if isinstance(dtype, (pl.Categorical, pl.Enum)) else dtype


def _value_bytes(series: pl.Series) -> list[bytes]:
    dtype = series.dtype
    if dtype == pl.Null:
        return []
    if dtype == pl.Boolean:
        return [series.fill_null(False).to_numpy().astype(np.uint8).tobytes()]
    if dtype.is_float():
        values = series.fill_null(0.0).to_numpy().copy()
        values[np.isnan(values)] = np.nan
        return [values.astype(values.dtype.newbyteorder("<")).tobytes()]
    if dtype.is_integer():
        values = series.fill_null(0).to_numpy()
        return [values.astype(values.dtype.newbyteorder("<")).tobytes()]
    if dtype.is_temporal():
        return [series.to_physical().cast(pl.Int64).fill_null(0).to_numpy().astype("<i8").tobytes()]
    if dtype == pl.Binary:
        raw = series.fill_null(b"")
        return [raw.bin.size().to_numpy().astype("<i8").tobytes(), b"".join(raw.to_list())]
    if dtype == pl.String or dtype.is_decimal() or isinstance(dtype, (pl.Categorical, pl.Enum)):
        text = series.cast(pl.String).fill_null("")
        return [text.str.len_bytes().to_numpy().astype("<i8").tobytes(), "".join(text.to_list()).encode()]
    raise StageError(
        f"type {dtype} has no content digest", where=f"column {series.name}", remedy="flatten it into plain columns in the source"
    )
