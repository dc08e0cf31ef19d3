from __future__ import annotations

import hashlib
import struct
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from retrain_assets.compute.frames import Tables, frame_digest, read_tables, write_tables
from retrain_assets.contract import StageError, digest_of

FRAME = pl.DataFrame(
    {
        "text": ["a", None, "ü", ""],
        "number": [1, 2, None, 4],
        "real": [0.5, float("nan"), None, -1.0],
        "flag": [True, None, False, True],
        "moment": [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3, 4)],
        "day": [date(2024, 1, 1), None, date(2024, 1, 3), date(2024, 1, 4)],
        "length": [timedelta(hours=1), None, timedelta(0), timedelta(days=2)],
        "raw": [b"a", b"", None, b"\x00"],
        "price": [Decimal("1.50"), None, Decimal("0.00"), Decimal("2.00")],
        "nothing": [None, None, None, None],
    }
)


def test_the_digest_is_of_the_content_and_not_of_the_parquet_writer(tmp_path: Path) -> None:
    ways = {"one": {"compression": "zstd"}, "two": {"compression": "snappy", "row_group_size": 2, "statistics": False}}
    for name, options in ways.items():
        FRAME.write_parquet(tmp_path / name, **options)  # type: ignore[arg-type]
    assert (tmp_path / "one").read_bytes() != (tmp_path / "two").read_bytes()
    chunked = pl.concat([FRAME.head(1), FRAME.tail(3)], rechunk=False)
    digests = {frame_digest(frame) for frame in (FRAME, chunked, *(pl.read_parquet(tmp_path / name) for name in ways))}
    assert len(digests) == 1


def test_the_digest_is_the_documented_one() -> None:
    text = hashlib.sha256(bytes([1, 1, 0]) + struct.pack("<3q", 1, 2, 0) + "aü".encode()).hexdigest()
    value = hashlib.sha256(bytes([1, 0, 1]) + struct.pack("<3d", 1.5, 0.0, -2.0)).hexdigest()
    columns = [{"name": "text", "type": "String", "sha256": text}, {"name": "value", "type": "Float64", "sha256": value}]
    frame = pl.DataFrame({"text": ["a", "ü", None], "value": [1.5, None, -2.0]})
    assert frame_digest(frame) == digest_of({"rows": 3, "columns": columns})


@pytest.mark.parametrize(
    "other",
    [
        FRAME.with_columns(text=pl.Series(["a", "", "ü", None])),
        FRAME.with_columns(text=pl.Series(["aü", None, "", ""])),
        FRAME.with_columns(number=pl.Series([1, 2, 0, 4])),
        FRAME.with_columns(number=pl.col("number").cast(pl.Int32)),
        FRAME.with_columns(real=pl.Series([0.5, None, float("nan"), -1.0])),
        FRAME.with_columns(flag=pl.Series([True, False, False, True])),
        FRAME.with_columns(moment=pl.col("moment").dt.offset_by("1us")),
        FRAME.with_columns(moment=pl.col("moment").dt.cast_time_unit("ms")),
        FRAME.rename({"number": "numbers"}),
        FRAME.select(reversed(FRAME.columns)),
        FRAME.reverse(),
        FRAME.head(3),
    ],
)
def test_any_other_content_has_another_digest(other: pl.DataFrame) -> None:
    assert frame_digest(other) != frame_digest(FRAME)


def test_a_category_is_its_text() -> None:
    text = FRAME.select("text")
    assert frame_digest(text.cast(pl.Categorical)) == frame_digest(text)


def test_a_nested_column_is_refused_by_name() -> None:
    with pytest.raises(StageError, match=r"column parts: type List\(Int64\) has no content digest"):
        frame_digest(pl.DataFrame({"parts": [[1], [2]]}))


def test_tables_survive_storage(tmp_path: Path) -> None:
    tables = Tables(FRAME, FRAME.head(2), {"window": {"train_start": "x"}})
    write_tables(tmp_path, tables)
    again = read_tables(tmp_path)
    assert again.digest == tables.digest
    assert again.about == tables.about


def test_tables_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    write_tables(tmp_path / "one", Tables(FRAME, FRAME, {"window": 1}))
    write_tables(tmp_path / "two", Tables(FRAME, FRAME, {"window": 2}))
    (tmp_path / "two" / "holdout.parquet").replace(tmp_path / "one" / "holdout.parquet")
    with pytest.raises(StageError, match="do not belong together"):
        read_tables(tmp_path / "one")


def test_missing_and_damaged_tables_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"train\.parquet: cannot be read"):
        read_tables(tmp_path)
    write_tables(tmp_path, Tables(FRAME, FRAME, {}))
    (tmp_path / "holdout.parquet").write_bytes((tmp_path / "holdout.parquet").read_bytes()[:200])
    with pytest.raises(StageError, match=r"holdout\.parquet: cannot be read"):
        read_tables(tmp_path)
