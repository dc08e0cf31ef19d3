"""Merging traffic files of closed days loses no row and doubles none, wherever it is interrupted and whoever reads meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from retrain_assets.cli.reproduction.as_of import Moment, Way
from retrain_assets.cli.reproduction.scene import Scene
from retrain_assets.compute.merged_traffic import MERGED, STAYS, counting, members
from retrain_assets.contract import SourceError
from retrain_assets.home import Home
from retrain_assets.release import ModelState
from retrain_assets.serving import ExposureLog, compaction
from retrain_assets.serving.compaction import OPEN_FOR, compact_traffic, settle, settle_whole
from retrain_assets_tests.release.world import MODEL, World

from .test_exposure_log import NOON, exposures, outcomes

NOW = NOON + timedelta(days=10)
NOBODY = ModelState(MODEL)


@pytest.fixture
def log(tmp_path: Path) -> ExposureLog:
    """Three closed days of several small files, one with a column more, and an open one."""
    made = ExposureLog(Home(tmp_path / "home"))
    fill(made)
    return made


def fill(log: ExposureLog) -> None:
    for day in range(3):
        for part in range(4):
            log.append_exposures(MODEL, exposures(f"{day}-{part}-a", f"{day}-{part}-b", day=day), f"gateway-{day}-{part}")
            log.append_outcomes(
                MODEL, outcomes(f"{day}-{part}-a", observed_at=NOON + timedelta(days=day)), f"gateway-{day}-{part}"
            )
    log.append_exposures(MODEL, exposures("2-x", day=2, origin="JFK"), "with-an-attribute")
    log.append_exposures(MODEL, exposures("open-1", day=9), "open-1")
    log.append_exposures(MODEL, exposures("open-2", day=9), "open-2")


def rows(log: ExposureLog) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Everything a reader gets, repeated rows included."""
    order = ["request_id", "unit_id"]
    both = log.scan_exposures(MODEL).collect(), log.scan_outcomes(MODEL).collect()
    return both[0].sort(order), both[1].sort(order)


def same(found: tuple[pl.DataFrame, pl.DataFrame], wanted: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert_frame_equal(one, other, check_column_order=False)


def an_hour_passes(log: ExposureLog) -> None:
    for kind in ("exposures", "outcomes"):
        for path in log.directory(MODEL, kind).glob(".*.merging"):
            os.utime(path, (time.time() - STAYS - 60,) * 2)


def names(log: ExposureLog, kind: str = "exposures") -> list[str]:
    return sorted(one.name for one in log.directory(MODEL, kind).iterdir())


def test_a_closed_day_becomes_one_file_and_every_row_is_read_once_at_every_step(log: ExposureLog) -> None:
    before = rows(log)
    done = compact_traffic(log.home, NOBODY, NOW, worth=2)
    assert (len(done.merged), done.files, done.removed) == (6, 24, 0)
    same(rows(log), before)
    assert "gateway-0-0.parquet" in names(log)
    assert compact_traffic(log.home, NOBODY, NOW, worth=2).files == 0
    an_hour_passes(log)
    assert compact_traffic(log.home, NOBODY, NOW, worth=2).removed == 24
    same(rows(log), before)
    left = [name for name in names(log) if not MERGED.fullmatch(name)]
    assert left == ["open-1.parquet", "open-2.parquet", "with-an-attribute.parquet"]
    assert compact_traffic(log.home, NOBODY, NOW, worth=2) == type(done)()


def test_what_an_active_toggle_looks_at_is_left_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.ramp()
    log = ExposureLog(world.home)
    early, late = world.toggle("2013-07-01").armed_at - timedelta(days=5), world.clock.now()
    for number in range(2):
        log.append_exposures(MODEL, exposures(f"early {number}", exposed_at=early), f"early-{number}")
        log.append_exposures(MODEL, exposures(f"late {number}", exposed_at=late), f"late-{number}")
    done = compact_traffic(world.home, world.state, late + timedelta(days=20), worth=2)
    assert [one.name for path in done.merged for one in members(path)] == ["early-0.parquet", "early-1.parquet"]


def test_a_day_that_may_still_get_rows_is_left_alone(log: ExposureLog) -> None:
    assert compact_traffic(log.home, NOBODY, NOON + OPEN_FOR, worth=2).files == 0


def test_a_few_files_are_not_worth_it(log: ExposureLog) -> None:
    assert compact_traffic(log.home, NOBODY, NOW) == compaction.Compacted()


def test_a_tick_merges_no_more_than_it_may(log: ExposureLog) -> None:
    assert compact_traffic(log.home, NOBODY, NOW, worth=2, at_once=1).files == 4
    assert compact_traffic(log.home, NOBODY, NOW, worth=2, at_once=5).files == 8


def test_who_listed_the_files_before_still_reads_them(log: ExposureLog) -> None:
    listed = log.exposure_batches(MODEL)
    before = rows(log)[0]
    compact_traffic(log.home, NOBODY, NOW, worth=2)
    read = pl.concat([one.records().collect() for one in listed], how="diagonal_relaxed").sort("request_id", "unit_id")
    assert_frame_equal(read, before, check_column_order=False)


def test_a_batch_sent_again_after_its_file_was_merged_adds_nothing(log: ExposureLog) -> None:
    before = rows(log)
    compact_traffic(log.home, NOBODY, NOW, worth=2)
    an_hour_passes(log)
    compact_traffic(log.home, NOBODY, NOW, worth=2)
    again = log.append_exposures(MODEL, exposures("0-1-b", "0-1-a", latency_ms=9.0), "gateway-0-1")
    log.append_outcomes(MODEL, outcomes("0-1-a"), "gateway-0-1")
    assert MERGED.fullmatch(again.name)
    same(rows(log), before)
    with pytest.raises(SourceError, match="exists with other rows"):
        log.append_exposures(MODEL, exposures("another"), "gateway-0-1")
    with pytest.raises(SourceError, match="exists with other rows"):
        log.append_outcomes(MODEL, outcomes("0-1-a", observed_at=NOW), "gateway-0-1")


def test_rows_that_come_late_are_merged_too(log: ExposureLog) -> None:
    compact_traffic(log.home, NOBODY, NOW, worth=2)
    an_hour_passes(log)
    for number in range(2):
        log.append_exposures(MODEL, exposures(f"late {number}"), f"late-{number}")
    before = rows(log)
    done = compact_traffic(log.home, NOBODY, NOW, worth=2)
    assert done.files == 2
    same(rows(log), before)


def test_a_reader_of_whole_folders_finds_each_row_once(log: ExposureLog) -> None:
    before = rows(log)[0].height
    compact_traffic(log.home, NOBODY, NOW, worth=2)
    folder = log.directory(MODEL, "exposures")
    assert settle(folder, at_once=True) == 12
    assert pl.concat([pl.read_parquet(path) for path in folder.glob("*.parquet")], how="diagonal").height == before
    assert [one.name for one in counting(folder)] == names(log)


def test_a_reader_of_whole_folders_waits_for_who_merges_just_then(log: ExposureLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its marker a merged file would be counted beside its members once an hour is over."""
    before, write, readers = rows(log), compaction.write_merged, list[Thread]()

    def with_a_reader(paths: list[Path], scratch: Path) -> None:
        write(paths, scratch)
        reader = Thread(target=settle_whole, args=(log.home, MODEL, "exposures"))
        readers.append(reader)
        reader.start()
        reader.join(timeout=0.05)

    monkeypatch.setattr(compaction, "write_merged", with_a_reader)
    compact_traffic(log.home, NOBODY, NOW, worth=2)
    for reader in readers:
        reader.join()
    assert readers
    same(rows(log), before)
    an_hour_passes(log)
    same(rows(log), before)


def test_reproduction_gets_the_files_as_they_were_written(log: ExposureLog, tmp_path: Path) -> None:
    """Names, rows, their order and the time of writing: which of them a look of then has seen is told by that time."""
    folder = log.directory(MODEL, "exposures")
    first, last = folder / "gateway-1-2.parquet", folder / "gateway-1-3.parquet"
    os.utime(last, (time.time() + 100,) * 2)
    was = {path.name: (pl.read_parquet(path), path.stat().st_mtime_ns) for path in folder.glob("*.parquet")}
    compact_traffic(log.home, NOBODY, NOW, worth=2)
    settle(folder, at_once=True)
    assert not first.exists()
    scene = Scene(log.home, MODEL, tmp_path / "scene")
    scene.fill(Moment(NOW, datetime.now(UTC)), Way.WRITTEN)
    found = {path.name: path for path in scene.home.exposures_dir(MODEL).iterdir()}
    assert found.keys() == was.keys() - {last.name}
    for name, path in found.items():
        assert_frame_equal(pl.read_parquet(path), was[name][0])
        assert path.stat().st_mtime_ns == was[name][1]


def test_a_merged_file_that_does_not_say_what_it_holds_is_refused(log: ExposureLog) -> None:
    (made, *_) = compact_traffic(log.home, NOBODY, NOW, worth=2).merged
    pl.read_parquet(made).write_parquet(made)
    with pytest.raises(SourceError, match="does not say which files it holds"):
        log.read_exposures(MODEL)


class Killed(BaseException):
    """The process ended here."""


def dying_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step that leaves something on the disk counts; before one of them the process ends."""
    done = [0]

    def counted(work: Callable[..., Any]) -> Callable[..., Any]:
        def once(*arguments: Any, **named: Any) -> Any:
            if done[0] == step:
                raise Killed
            done[0] += 1
            return work(*arguments, **named)

        return once

    for name in ("replace", "touch", "unlink"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    for name in ("synchronised_directory", "write_merged"):
        monkeypatch.setattr(compaction, name, counted(getattr(compaction, name)))


@pytest.mark.parametrize("settling", [False, True])
def test_ended_before_any_of_its_steps_it_loses_and_doubles_nothing(log: ExposureLog, settling: bool) -> None:
    before = rows(log)
    if settling:
        compact_traffic(log.home, NOBODY, NOW, worth=2)
    for step in range(200):
        with pytest.MonkeyPatch.context() as patched:
            dying_at(step % 7, patched)
            if settling:
                patched.setattr(compaction, "STAYS", 0.0)
            with suppress(Killed):
                done = compact_traffic(log.home, NOBODY, NOW, worth=2)
                if done == compaction.Compacted():
                    break
        if step % 7 == 0 or step < 30:
            same(rows(log), before)
    else:
        pytest.fail("it never came to an end")
    an_hour_passes(log)
    compact_traffic(log.home, NOBODY, NOW, worth=2)
    same(rows(log), before)
    assert not [name for name in names(log) if name.startswith(".")]


def test_killed_by_the_machine_it_goes_on_where_it_was(log: ExposureLog) -> None:
    before = rows(log)
    code = """
import os, sys
from pathlib import Path
from retrain_assets.serving import compaction
from retrain_assets_tests.serving.test_compaction import NOBODY, NOW, Home
real = Path.replace
Path.replace = lambda path, to: os.kill(os.getpid(), 9) if path.name.startswith(".merged") else real(path, to)
compaction.compact_traffic(Home(Path(sys.argv[1])), NOBODY, NOW, worth=2)
"""
    assert subprocess.run([sys.executable, "-c", code, str(log.home.root)], check=False).returncode == -9
    assert any(name.endswith(".merging") for name in names(log))
    same(rows(log), before)
    assert compact_traffic(log.home, NOBODY, NOW, worth=2).files == 24
    same(rows(log), before)
