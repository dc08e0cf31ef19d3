"""A segment becomes files of the documented types, once; what ended early is found; what cannot be sealed stays and is said."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from retrain_assets.compute.traffic_schema import EXPOSURE_COLUMNS
from retrain_assets.contract import SourceError
from retrain_assets.home import Home
from retrain_assets.serving import ExposureLog
from retrain_assets.serving.journal import TrafficJournal, recover
from retrain_assets.serving.journal.lines import row_line, together
from retrain_assets.serving.journal.segment import Segment
from retrain_assets_tests.serving.journal.patience import until, until_then
from retrain_assets_tests.serving.journal.rows import MODEL, NOON, exposure, exposures, outcome


@pytest.fixture
def home(retrain_home: Path) -> Home:
    return Home(retrain_home)


@pytest.fixture
def journal(home: Home) -> TrafficJournal:
    return TrafficJournal(home, rotate_after=timedelta(hours=1))


def logged(home: Home) -> pl.DataFrame:
    return ExposureLog(home).read_exposures(MODEL)


def orphan(home: Home, *requests: object) -> Path:
    """A segment of a process that ended."""
    segment = Segment.create(home.journal_dir(MODEL), datetime.now(UTC))
    segment.write(b"".join(row_line("exposures", row) for row in exposures(*requests)), synchronised=False)
    segment.release()
    return segment.path


def test_the_files_have_the_documented_types_whatever_the_rows_hold(home: Home, journal: TrafficJournal) -> None:
    elsewhere = timezone(timedelta(hours=5, minutes=30))
    rows = [
        exposure(1, score=1, latency_ms=0, tier=None, member=None, distance=None, decision=None, unknown=None),
        exposure(2, score=None, toggle=None, stage=None, unit_id=None, revision=0, tier="gold", member=True, distance=3),
        exposure(3, distance=2.5, exposed_at=(NOON + timedelta(microseconds=1)).astimezone(elsewhere)),
    ]
    journal.append_now(MODEL, "exposures", rows)
    journal.append_now(MODEL, "outcomes", [outcome(1, cost=3, late=None), outcome(2, late=1)])
    journal.close_now()
    (file,) = home.exposures_dir(MODEL).iterdir()
    arrow = {field.name: str(field.type) for field in pq.read_schema(file)}
    plain = {"tier": "large_string", "member": "bool", "distance": "double", "decision": "bool", "unknown": "null"}
    assert {name: arrow[name] for name in plain} == plain
    assert {pl.read_parquet(file).schema[name] for name in ("score", "shadow_score", "latency_ms")} == {pl.Float64}
    assert [pl.read_parquet(file).schema[name] for name in EXPOSURE_COLUMNS] == list(EXPOSURE_COLUMNS.values())
    read = logged(home)
    assert read["distance"].to_list() == [None, 3.0, 2.5]
    assert read["exposed_at"].to_list() == [NOON, NOON, NOON + timedelta(microseconds=1)]
    assert ExposureLog(home).read_outcomes(MODEL).select("cost", "late").rows() == [(3.0, None), (None, 1.0)]


def test_an_attribute_keeps_the_type_it_once_had_in_segments_that_hold_nulls_only(home: Home, journal: TrafficJournal) -> None:
    journal.append_now(MODEL, "exposures", [exposure(1, tier="gold", distance=1)])
    journal.append_now(MODEL, "exposures", [exposure(2, tier=7, distance=None)])
    journal.append_now(MODEL, "exposures", [exposure(3, tier="gold", distance=None)])
    journal.close_now()
    schemas = [pl.read_parquet_schema(file) for file in home.exposures_dir(MODEL).iterdir()]
    assert {schema["distance"] for schema in schemas} == {pl.Float64}
    assert sorted(str(schema["tier"]) for schema in schemas) == ["Float64", "String", "String"]


def test_texts_and_numbers_come_back_as_they_were(home: Home, journal: TrafficJournal) -> None:
    texts = ['", "":"e00000000"}\n{"', "\0\x1f\x7f", "飞机 7", "\U0001f6ec\u2028", "\\", ""]
    numbers = [5e-324, 1.7976931348623157e308, -0.0, 0.1 + 0.2, float(2**63), 1e22]
    rows = [
        exposure(number, origin=text, weight=weight) for number, (text, weight) in enumerate(zip(texts, numbers, strict=True))
    ]
    journal.append_now(MODEL, "exposures", rows)
    journal.close_now()
    assert logged(home).select("origin", "weight").rows() == list(zip(texts, numbers, strict=True))


def test_a_shadow_score_reaches_the_exposure_of_its_segment(home: Home, journal: TrafficJournal) -> None:
    journal.append_now(MODEL, "shadow", [{"request_id": "2", "shadow_score": 0.9}])
    journal.append_now(MODEL, "exposures", exposures(1, 2, 3))
    journal.append_now(MODEL, "shadow", [{"request_id": "3", "shadow_score": None}, {"request_id": "9", "shadow_score": 0.1}])
    journal.close_now()
    assert logged(home).sort("request_id")["shadow_score"].to_list() == [None, 0.9, None]
    assert journal.state().shadow_unjoined == 1
    assert journal.state().rows_sealed == 3


def test_a_shadow_score_leaves_every_attribute_as_it_is_whatever_its_name(home: Home, journal: TrafficJournal) -> None:
    names = ("later", "shadow", "request_id_right", "shadow_score_right", "")
    journal.append_now(MODEL, "exposures", [exposure(1, **dict.fromkeys(names, 3.5))])
    journal.append_now(MODEL, "shadow", [{"request_id": "1", "shadow_score": 0.9}])
    journal.close_now()
    assert logged(home).select("shadow_score", *names).rows() == [(0.9, *[3.5] * len(names))]


def test_a_shadow_score_of_a_request_id_that_two_units_have_is_given_to_neither(home: Home, journal: TrafficJournal) -> None:
    journal.append_now(MODEL, "exposures", [exposure(1, unit_id="a"), exposure(1, unit_id="b")])
    journal.append_now(MODEL, "shadow", [{"request_id": "1", "shadow_score": 0.9}])
    journal.close_now()
    assert logged(home).select("unit_id", "shadow_score").sort("unit_id").rows() == [("a", None), ("b", None)]


def test_a_request_that_was_sent_again_counts_once_and_the_first_holds(home: Home, journal: TrafficJournal) -> None:
    later = NOON + timedelta(seconds=1)
    journal.append_now(MODEL, "exposures", [exposure(1, exposed_at=later, arm="challenger"), exposure(1), exposure(2)])
    journal.append_now(MODEL, "exposures", [exposure(2, exposed_at=later, arm="challenger")])
    journal.close_now()
    assert logged(home).select("request_id", "arm").sort("request_id").rows() == [("1", "champion"), ("2", "champion")]
    assert journal.state().repeated_rows == 2


def test_orphans_are_sealed_once_and_again_changes_nothing(home: Home) -> None:
    orphan(home, 1, 2)
    orphan(home, 3)
    assert sorted(path.parent for path in recover(home)) == [home.exposures_dir(MODEL)] * 2
    assert recover(home) == []
    assert sorted(logged(home)["request_id"]) == ["1", "2", "3"]
    assert list(home.journal_dir(MODEL).iterdir()) == []


def test_a_home_without_traffic_has_nothing_to_recover(home: Home) -> None:
    assert recover(home) == []
    assert not home.root.exists()


def test_a_segment_whose_files_were_written_before_its_process_ended_is_not_counted_twice(home: Home) -> None:
    path = orphan(home, 1, 2)
    content = path.read_bytes()
    recover(home)
    path.write_bytes(content)
    left = home.exposures_dir(MODEL) / f".{path.stem}.parquet.77-aa.tmp"
    left.write_bytes(b"PAR1")
    recover(home)
    assert logged(home).height == 2
    assert not path.exists()
    assert not left.exists()


def test_the_next_process_seals_what_others_left_while_it_runs_and_when_it_begins(home: Home) -> None:
    async def run() -> None:
        orphan(home, 1)
        journal = TrafficJournal(home, rotate_after=timedelta(milliseconds=20))
        await journal.start()
        await until_then(lambda: journal.state().rows_sealed == 1)
        orphan(home, 2)
        await until_then(lambda: journal.state().rows_sealed == 2)
        await journal.close()

    asyncio.run(run())
    assert sorted(logged(home)["request_id"]) == ["1", "2"]


def test_files_of_processes_that_ended_before_their_segment_began_go(home: Home) -> None:
    unborn = home.journal_dir(MODEL) / "20260701T120000-aa.new"
    unborn.parent.mkdir(parents=True)
    unborn.touch()
    recover(home)
    assert not unborn.exists()


def test_a_segment_that_cannot_be_sealed_stays_and_all_others_are_sealed(home: Home) -> None:
    path = orphan(home, 1)
    ExposureLog(home).append_exposures(MODEL, pl.DataFrame(exposures("other"), schema=EXPOSURE_COLUMNS), path.stem)
    orphan(home, 2)
    with pytest.raises(SourceError, match=f"1 segments of the journal cannot be sealed, .*{path.stem}.*other rows"):
        recover(home)
    assert path.exists()
    assert sorted(logged(home)["request_id"]) == ["2", "other"]


def test_what_cannot_be_sealed_blocks_nobody_is_said_and_is_sealed_once_that_is_possible(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    path = orphan(home, 1)
    clash = home.exposures_dir(MODEL) / f"{path.stem}.parquet"
    clash.parent.mkdir(parents=True)
    clash.write_bytes(b"not parquet")
    journal = TrafficJournal(home, rotate_after=timedelta(milliseconds=10))
    journal.append_now(MODEL, "exposures", exposures(2))
    until(lambda: journal.state().fault is not None)
    state = journal.state()
    assert f"{path}: cannot be sealed, its rows are kept there" in str(state.fault)
    assert state.since is not None
    assert caplog.text.count("cannot be sealed") == 1
    journal.append_now(MODEL, "exposures", exposures(3))
    clash.unlink()
    until(lambda: journal.state().fault is None)
    journal.close_now()
    assert sorted(logged(home)["request_id"]) == ["1", "2", "3"]
    assert journal.state().fault is None


def test_what_cannot_even_be_opened_is_said_and_keeps_nobody_from_the_others(home: Home) -> None:
    strange = home.journal_dir(MODEL) / "0.ndjson"
    strange.mkdir(parents=True)
    orphan(home, 1)
    with pytest.raises(SourceError, match=f"{strange}: Is a directory"):
        recover(home)
    orphan(home, 2)
    journal = TrafficJournal(home, rotate_after=timedelta(milliseconds=10))
    journal.append_now(MODEL, "exposures", exposures(3))
    until(lambda: f"{strange}: segments of the journal cannot be looked through" in str(journal.state().fault))
    until(lambda: journal.state().rows_sealed == 2)
    strange.rmdir()
    until(lambda: journal.state().fault is None)
    journal.close_now()
    assert sorted(logged(home)["request_id"]) == ["1", "2", "3"]


def test_a_fault_is_over_when_somebody_else_has_sealed_the_segment(home: Home) -> None:
    path = orphan(home, 1)
    clash = home.exposures_dir(MODEL) / f"{path.stem}.parquet"
    clash.parent.mkdir(parents=True)
    clash.write_bytes(b"not parquet")
    journal = TrafficJournal(home, rotate_after=timedelta(milliseconds=10))
    journal.append_now(MODEL, "outcomes", [outcome(1)])
    until(lambda: journal.state().fault is not None)
    path.unlink(missing_ok=True)
    until(lambda: journal.state().fault is None)
    journal.close_now()


def test_a_name_is_new_whatever_the_clock_says(home: Home) -> None:
    made = [Segment.create(home.journal_dir(MODEL), NOON - timedelta(days=day % 2)) for day in range(20)]
    assert len({segment.name for segment in made}) == 20
    for segment in made:
        segment.remove()


def test_columns_are_known_though_their_heading_is_lost(home: Home) -> None:
    segment = Segment.create(home.journal_dir(MODEL), NOON)
    rows = [exposure(1, distance=3, tier="gold", member=True), exposure(2, distance=None, tier=None, member=None)]
    kinds: dict[str, str | None] = {"distance": "number", "tier": "text", "member": "bool"}
    lines = together("exposures", b"".join(row_line("exposures", row) for row in rows), 2, kinds)
    segment.write(b"x" + lines[1:], synchronised=False)
    segment.release()
    recover(home)
    read = logged(home)
    assert [read.schema[name] for name in kinds] == [pl.Float64, pl.String, pl.Boolean]
    assert "" not in read.columns
    (aside,) = home.journal_dir(MODEL).iterdir()
    assert aside.suffix == ".damaged"
