"""What is logged is read back, once; what is not as documented is refused by name."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from retrain_assets.compute.traffic_schema import EXPOSURE_COLUMNS, OUTCOME_COLUMNS
from retrain_assets.contract import SourceError
from retrain_assets.home import Home
from retrain_assets.serving import ExposureLog

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> ExposureLog:
    return ExposureLog(Home(tmp_path / "home"))


def exposures(*requests: str, day: int = 0, **columns: object) -> pl.DataFrame:
    rows = {
        "request_id": list(requests),
        "model": "flight_delay",
        "unit_id": [f"unit of {request}" for request in requests],
        "toggle": "t1",
        "revision": 2,
        "stage": "5",
        "arm": "champion",
        "version": "3",
        "bundle": "sha256:a",
        "exposed_at": NOON + timedelta(days=day),
        "latency_ms": 0.5,
        "error": False,
        "score": 0.3,
        "shadow_score": None,
    } | columns
    plain = {name: values for name, values in rows.items() if name not in EXPOSURE_COLUMNS}
    typed = pl.DataFrame({name: rows[name] for name in EXPOSURE_COLUMNS if name in rows}, schema_overrides=EXPOSURE_COLUMNS)
    return typed.with_columns(**{name: pl.lit(value) for name, value in plain.items()})


def outcomes(*requests: str, **columns: object) -> pl.DataFrame:
    rows = {"request_id": list(requests), "unit_id": "u", "observed_at": NOON, "cost": 30.0} | columns
    return pl.DataFrame(rows, schema_overrides=OUTCOME_COLUMNS)


def test_what_is_logged_is_read_back_with_its_attributes_and_types(log) -> None:
    frame = exposures("a", "b", origin="JFK", distance=900, decision=True)
    path = log.append_exposures("flight_delay", frame, "2013-07-01")
    assert path == log.home.exposures_dir("flight_delay") / "2013-07-01.parquet"
    assert_frame_equal(log.read_exposures("flight_delay"), frame)
    assert_frame_equal(log.read_outcomes("flight_delay"), pl.DataFrame(schema=OUTCOME_COLUMNS))
    assert [item.name for item in path.parent.iterdir()] == ["2013-07-01.parquet"]


def test_the_same_batch_twice_is_one_batch_even_if_its_latency_was_measured_again(log) -> None:
    log.append_exposures("flight_delay", exposures("a", "b"), "batch")
    log.append_exposures("flight_delay", exposures("b", "a", latency_ms=9.0), "batch")
    assert log.read_exposures("flight_delay")["latency_ms"].to_list() == [0.5, 0.5]
    log.append_outcomes("flight_delay", outcomes("a"), "batch")
    log.append_outcomes("flight_delay", outcomes("a"), "batch")
    assert log.read_outcomes("flight_delay").height == 1


def test_a_name_that_holds_other_rows_is_refused(log) -> None:
    log.append_exposures("flight_delay", exposures("a"), "batch")
    with pytest.raises(SourceError, match=r"batch\.parquet.*other rows"):
        log.append_exposures("flight_delay", exposures("b"), "batch")
    log.append_outcomes("flight_delay", outcomes("a"), "batch")
    with pytest.raises(SourceError, match=r"batch\.parquet.*other rows"):
        log.append_outcomes("flight_delay", outcomes("a", cost=10.0), "batch")
    assert log.read_exposures("flight_delay")["request_id"].to_list() == ["a"]


def test_a_request_logged_in_two_files_counts_once_and_the_first_holds(log) -> None:
    log.append_exposures("flight_delay", exposures("a", day=1, arm="challenger"), "second")
    log.append_exposures("flight_delay", exposures("a"), "zero")
    assert log.read_exposures("flight_delay")["arm"].to_list() == ["champion"]


def test_exposures_are_found_by_time_toggle_and_revision(log) -> None:
    log.append_exposures("flight_delay", exposures("a"), "0")
    log.append_exposures("flight_delay", exposures("b", day=1, revision=3, gate="B7"), "1")
    log.append_exposures("flight_delay", exposures("c", day=1, toggle=None, stage=None, revision=0), "2")
    read = log.read_exposures

    def found(**where: object) -> list[str]:
        return read("flight_delay", **where)["request_id"].to_list()

    assert found() == ["a", "b", "c"]
    assert found(since=NOON + timedelta(days=1)) == ["b", "c"]
    assert found(toggle="t1") == ["a", "b"]
    assert found(toggle="t1", revision=3) == ["b"]
    assert found(toggle="t2") == []
    assert read("flight_delay")["gate"].to_list() == [None, "B7", None]
    assert read("another").columns == list(EXPOSURE_COLUMNS)


def test_outcomes_keep_repetitions_and_may_bring_new_measures(log) -> None:
    log.append_outcomes("flight_delay", outcomes("a", "a", observed_at=[NOON, NOON + timedelta(hours=1)]), "0")
    log.append_outcomes("flight_delay", outcomes("a").rename({"cost": "missed"}).with_columns(pl.col("missed") > 1), "1")
    read = log.read_outcomes("flight_delay")
    assert (read["cost"].to_list(), read["missed"].to_list()) == ([30.0, None, 30.0], [None, 1.0, None])
    assert log.read_outcomes("flight_delay", since=NOON + timedelta(minutes=1)).height == 1


def test_types_that_lose_nothing_are_taken(log) -> None:
    narrow = exposures("a", "b", toggle=None, stage=None).with_columns(
        pl.col("revision").cast(pl.Int32),
        pl.col("latency_ms").cast(pl.Float32),
        pl.col("arm").cast(pl.Categorical),
        pl.col("exposed_at").dt.convert_time_zone("America/New_York").dt.cast_time_unit("ms"),
        pl.lit(None).alias("toggle"),
    )
    log.append_exposures("flight_delay", narrow, "narrow")
    read = log.read_exposures("flight_delay")
    assert read.schema == exposures("a").schema
    assert read["exposed_at"][0] == NOON


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (exposures("a").drop("arm", "version"), "column arm is missing; column version is missing"),
        (exposures("a").with_columns(pl.lit("slow").alias("latency_ms")), "column latency_ms is String, not Float64"),
        (exposures("a").with_columns(pl.col("exposed_at").dt.replace_time_zone(None)), "column exposed_at is Datetime"),
        (exposures("a").with_columns(pl.lit([["x"]]).alias("tags")), "column tags is List"),
        (exposures("a").with_columns(pl.lit(1.0).alias("decision")), "column decision is Float64, not Boolean"),
        (exposures("a", "a"), "request_id 'a' stands there twice"),
        (exposures("a", arm="control"), "arm 'control' does not belong there"),
        (exposures("a", model="pricing"), "model 'pricing' does not belong there"),
        (exposures("a", latency_ms=-1.0), "latency_ms is negative"),
        (exposures("a", version=None), "column version has nulls"),
    ],
)
def test_exposures_that_could_not_have_happened_are_refused(log, frame, says) -> None:
    with pytest.raises(SourceError, match="exposures b of flight_delay: .*" + says):
        log.append_exposures("flight_delay", frame, "b")
    assert not log.home.exposures_dir("flight_delay").exists()


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (outcomes("a").drop("cost"), "no measure column"),
        (outcomes("a", cost="30"), "column cost is String, not Float64"),
        (outcomes(None), "column request_id has nulls"),
    ],
)
def test_outcomes_that_cannot_be_joined_or_averaged_are_refused(log, frame, says) -> None:
    with pytest.raises(SourceError, match=says):
        log.append_outcomes("flight_delay", frame, "b")


@pytest.mark.parametrize("name", ["../escape", "a/b", ".hidden", ""])
def test_a_name_that_is_not_a_file_name_is_refused(log, name) -> None:
    with pytest.raises(SourceError, match="not a file name"):
        log.append_exposures("flight_delay", exposures("a"), name)


@pytest.mark.parametrize("content", ["empty", "truncated", "text"])
def test_a_damaged_file_is_named(log, content) -> None:
    good = log.append_exposures("flight_delay", exposures("a"), "good").read_bytes()
    damaged = log.home.exposures_dir("flight_delay") / "damaged.parquet"
    damaged.write_bytes({"empty": b"", "truncated": good[: len(good) // 2], "text": b"request_id,unit_id\n"}[content])
    with pytest.raises(SourceError, match=r"damaged\.parquet.*not a readable Parquet file"):
        log.read_exposures("flight_delay")


def test_a_file_of_others_with_a_missing_column_is_named(log) -> None:
    log.append_exposures("flight_delay", exposures("a"), "good")
    exposures("b").drop("bundle").write_parquet(log.home.exposures_dir("flight_delay") / "foreign.parquet")
    with pytest.raises(SourceError, match=r"foreign\.parquet: column bundle is missing"):
        log.read_exposures("flight_delay")


def test_an_unfinished_write_is_not_seen(log) -> None:
    path = log.append_exposures("flight_delay", exposures("a"), "good")
    path.with_name(".next.parquet.77-aa.tmp").write_bytes(b"PAR1")
    assert log.read_exposures("flight_delay").height == 1


def test_only_files_of_the_time_asked_for_are_opened_once_their_times_are_known(log) -> None:
    for day in range(200):
        log.append_exposures("flight_delay", exposures(f"r{day}", day=day, distance=1.0), f"day-{day}")
        log.append_outcomes("flight_delay", outcomes(f"r{day}", observed_at=NOON + timedelta(days=day)), f"day-{day}")

    def found() -> tuple[object, ...]:
        since, until = NOON + timedelta(days=150), NOON + timedelta(days=180)
        return (
            log.read_exposures("flight_delay", since=since)["request_id"].to_list(),
            log.read_outcomes("flight_delay", since=since)["request_id"].to_list(),
            log.newest_exposure("flight_delay", "t1", since=since, until=until),
            log.newest_exposure("flight_delay", "t2", since=since, until=until),
        )

    expected = [f"r{day}" for day in range(150, 200)]
    assert found() == (expected, expected, NOON + timedelta(days=180), None)
    for directory in (log.home.exposures_dir("flight_delay"), log.home.outcomes_dir("flight_delay")):
        for day in range(150):
            _damage(directory / f"day-{day}.parquet")
    assert found() == (expected, expected, NOON + timedelta(days=180), None)
    log.append_exposures("flight_delay", exposures("r179b", day=179, toggle="t2", distance=2.0), "late")
    assert found() == (
        [*expected[:30], "r179b", *expected[30:]],
        expected,
        NOON + timedelta(days=180),
        NOON + timedelta(days=179),
    )
    assert log.read_exposures("flight_delay", since=NOON + timedelta(days=400)).columns == [*EXPOSURE_COLUMNS, "distance"]


def test_what_is_known_of_files_may_be_deleted_or_damaged_and_files_may_change(log) -> None:
    path = log.append_exposures("flight_delay", exposures("a"), "0")
    memory = log.home.traffic_cache_dir("flight_delay") / "exposures.times"
    for damage in (lambda: None, memory.unlink, lambda: memory.write_bytes(b"x"), lambda: outcomes("a").write_parquet(memory)):
        assert log.read_exposures("flight_delay", since=NOON)["request_id"].to_list() == ["a"]
        damage()
    exposures("b", day=9).write_parquet(path)
    assert log.read_exposures("flight_delay", since=NOON + timedelta(days=9))["request_id"].to_list() == ["b"]
    path.unlink()
    assert log.read_exposures("flight_delay", since=NOON).is_empty()
    assert log.newest_exposure("flight_delay", "t1", since=None, until=NOON) is None


def _damage(path: Path) -> None:
    """Another content of the same size and time, which nobody may read."""
    told = path.stat()
    path.write_bytes(b"x" * told.st_size)
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))
