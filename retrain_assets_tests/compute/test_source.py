from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from retrain_assets.compute.stages.source import read_source, source_files, source_fingerprint
from retrain_assets.contract import Source, SourceError
from retrain_assets_tests.compute.parcels import CUTOFF, Parcels, parcels, source_values, write_source

START, END = CUTOFF - timedelta(days=10), CUTOFF - timedelta(days=3)
ROWS = parcels(days=12)


def read(folder: Path, **changes: Any) -> pl.DataFrame:
    return read_source(Source.model_validate({**source_values(folder), **changes}), Parcels, START, END)


def test_rows_of_the_period_are_read_in_order_whatever_the_files(tmp_path: Path) -> None:
    rows = read(write_source(tmp_path / "a", ROWS))
    shuffled = read(write_source(tmp_path / "b", ROWS.sample(fraction=1.0, shuffle=True, seed=1)))
    assert rows.height == 7 * 60
    assert rows["sent_at"].min() == START
    assert rows["sent_at"].is_sorted()
    assert rows.equals(shuffled)


def test_a_day_without_rows_is_no_fault(tmp_path: Path) -> None:
    write_source(tmp_path, ROWS)
    ROWS.clear().write_parquet(tmp_path / "quiet_day.parquet")
    assert read(tmp_path).height == 7 * 60


def test_columns_the_schema_does_not_name_are_left_out(tmp_path: Path) -> None:
    assert "note" not in read(write_source(tmp_path, ROWS.with_columns(note=pl.lit("x")))).columns


def test_a_variable_in_the_uri_is_expanded_and_the_home_has_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_source(tmp_path / "home" / "parcels", ROWS)
    assert len(source_files("${RETRAIN_HOME}/parcels/*.parquet")) == 2
    monkeypatch.delenv("RETRAIN_HOME")
    write_source(tmp_path / ".retrain" / "parcels", ROWS)
    assert source_files("$RETRAIN_HOME/parcels/a.parquet") == [tmp_path / ".retrain" / "parcels" / "a.parquet"]
    with pytest.raises(SourceError, match="environment variable NO_SUCH_PLACE is not set; set NO_SUCH_PLACE"):
        source_files("${NO_SUCH_PLACE}/a.parquet")


def test_files_on_a_volume_are_found_where_volumes_are_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_source(tmp_path / "mount" / "main" / "s" / "v", ROWS)
    source = Source.model_validate({**source_values(tmp_path), "uri": "/Volumes/main/s/v/*.parquet"})
    monkeypatch.setenv("RETRAIN_VOLUMES", str(tmp_path / "mount"))
    fingerprint = source_fingerprint(source)
    assert read_source(source, Parcels, START, END).height == 7 * 60
    (tmp_path / "mount").rename(tmp_path / "elsewhere")
    monkeypatch.setenv("RETRAIN_VOLUMES", str(tmp_path / "elsewhere"))
    assert source_fingerprint(source) == fingerprint, "a volume is the same wherever it is mounted"


def test_files_in_object_storage_are_refused_with_what_works() -> None:
    with pytest.raises(SourceError, match=r"s3://b/\*\.parquet: Parquet files in object storage are not listed; .* delta"):
        source_files("s3://b/*.parquet")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"parcels/\*\.parquet: no such file; correct source\.uri"):
        read(tmp_path / "parcels")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: b"", r"a\.parquet: is empty \(0 bytes\)"),
        (lambda data: data[: len(data) // 2], r"a\.parquet: is not a readable Parquet file, truncated or damaged"),
        (lambda data: data[:-1], r"a\.parquet: is not a readable Parquet file, truncated or damaged"),
        (lambda data: b"PAR1" + b"\0" * (len(data) - 8) + b"PAR1", r"a\.parquet: is not a readable Parquet file"),
        (lambda data: data[:200] + b"\xff" * 2000 + data[2200:], r"a\.parquet: is not a readable Parquet file"),
        (lambda data: b"parcel_id,late\np1,0\n", r"a\.parquet: is not a readable Parquet file"),
    ],
    ids=["empty", "half", "last byte lost", "zeros", "a spoilt page", "csv"],
)
def test_a_damaged_file_is_named(tmp_path: Path, spoil: Any, message: str) -> None:
    path = write_source(tmp_path, ROWS) / "a.parquet"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(SourceError, match=message):
        read(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.clear(), r"a\.parquet, .*b\.parquet: has no rows"),
        (
            lambda rows: rows.rename({"weight": "weight_kg"}),
            r"column 'weight' is missing \(there is 'weight_kg'; was it renamed\?\); .* Float64",
        ),
        (lambda rows: rows.drop("sent_at"), r"column 'sent_at' is missing; the schema expects sent_at: Datetime"),
        (lambda rows: rows.cast({"weight": pl.Int64}), r"column 'weight' is Int64; the schema expects weight: Float64"),
        (lambda rows: rows.with_columns(pl.col("sent_at").cast(pl.String)), r"column 'sent_at' is String; the schema expects"),
    ],
    ids=["no rows", "renamed", "dropped", "type", "time as text"],
)
def test_a_file_that_is_not_as_the_schema_says_is_named_with_the_column(tmp_path: Path, change: Any, message: str) -> None:
    write_source(tmp_path, change(ROWS))
    with pytest.raises(SourceError, match=message):
        read(tmp_path)


@pytest.mark.parametrize(
    ("role", "column", "message"),
    [
        ("unit", "parcel", r"source\.unit 'parcel' is not a column of the schema"),
        ("event_time", "rain", r"source\.event_time 'rain' is Float64 in the schema"),
    ],
)
def test_a_role_the_schema_does_not_know_is_refused(tmp_path: Path, role: str, column: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(write_source(tmp_path, ROWS), **{role: column})


def test_the_fingerprint_changes_with_the_files(tmp_path: Path) -> None:
    source = Source.model_validate(source_values(write_source(tmp_path, ROWS)))
    before = source_fingerprint(source)
    assert source_fingerprint(source) == before
    ROWS.head(5).write_parquet(tmp_path / "c.parquet")
    assert source_fingerprint(source) != before
