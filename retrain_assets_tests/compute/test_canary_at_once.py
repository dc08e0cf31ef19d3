"""Several ticks of one canary at the same time, and disks that are full: every one answers right, and the cache stays whole."""

from __future__ import annotations

import errno
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import polars as pl
import pytest

from retrain_assets.compute.canary import known, ticks
from retrain_assets.compute.canary.columns import write_columns
from retrain_assets.compute.canary.scatter import scattered
from retrain_assets.compute.canary.ticks import tick
from retrain_assets.experiment import CanaryData
from retrain_assets_tests.compute.test_canary_ticks import DAY, HOUR, LAST, assert_same, some_files, terms, told, unread


def test_several_ticks_at_once_are_all_right_and_leave_a_cache_that_is_whole(tmp_path: Path) -> None:
    exposures, outcomes = some_files(greatest=100.0)
    moments = [LAST - place * HOUR for place in range(40, -1, -8)]
    expected = [told(tick(tmp_path / f"alone {place}", exposures, outcomes, terms(), at)) for place, at in enumerate(moments)]
    cache, start = tmp_path / "cache", Barrier(4, timeout=60)

    def walk() -> list[dict[Any, Any]]:
        found = []
        for at in moments:
            start.wait()
            found.append(told(tick(cache, exposures, outcomes, terms(), at)))
        return found

    with ThreadPoolExecutor(4) as pool:
        for walked in [pool.submit(walk) for _ in range(4)]:
            for found, right in zip(walked.result(), expected, strict=True):
                assert_same(found, right)
    assert_same(told(tick(cache, unread(exposures), unread(outcomes), terms(), LAST)), expected[-1])
    state = json.loads(json.loads((cache / "state.json").read_text())["state"])
    assert {path.name for path in cache.iterdir()} == {*state["sizes"], "state.json", "lock"}


def test_a_file_that_another_tick_removes_meanwhile_is_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exposures, outcomes = some_files(greatest=100.0)
    tick(tmp_path, exposures, outcomes[1:], terms(), LAST - DAY)
    others: list[CanaryData] = []

    def overtaken(*arguments: Any) -> Any:
        monkeypatch.undo()
        others.append(tick(tmp_path, unread(exposures), outcomes, terms(), LAST))
        return scattered(*arguments)

    monkeypatch.setattr(ticks, "scattered", overtaken)
    found = tick(tmp_path, unread(exposures), outcomes, terms(), LAST)
    assert_same(told(found), told(others[0]))
    assert_same(told(found), told(tick(tmp_path / "whole", exposures, outcomes, terms(), LAST)))


def test_what_another_tick_has_kept_meanwhile_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exposures, outcomes = some_files(greatest=100.0)
    tick(tmp_path, exposures, outcomes[1:], terms(), LAST - DAY)

    def overtaken(frame: pl.DataFrame, path: Path) -> None:
        if path.name.startswith("waiting"):  # the last ones
            monkeypatch.undo()
            tick(tmp_path, unread(exposures), outcomes, terms(), LAST)
        write_columns(frame, path)

    monkeypatch.setattr(known, "write_columns", overtaken)
    found = tick(tmp_path, unread(exposures), outcomes, terms(), LAST - HOUR)
    assert_same(told(found), told(tick(tmp_path / "whole", exposures, outcomes, terms(), LAST - HOUR)))
    state = json.loads(json.loads((tmp_path / "state.json").read_text())["state"])
    assert state["now"] == LAST.isoformat()
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {*state["sizes"], "state.json", "lock"}


def test_a_full_disk_costs_time_but_no_answer_and_leaves_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exposures, outcomes = some_files(greatest=100.0)
    early = tick(tmp_path, exposures, outcomes[1:], terms(), LAST - DAY)
    before = sorted(path.name for path in tmp_path.iterdir())
    written: list[Path] = []

    def full(frame: pl.DataFrame, path: Path) -> None:
        written.append(path)
        if len(written) > 2:
            path.write_bytes(b"a part")
            raise OSError(errno.ENOSPC, "No space left on device")
        write_columns(frame, path)

    with monkeypatch.context() as patch:
        patch.setattr(known, "write_columns", full)
        found = tick(tmp_path, unread(exposures), outcomes, terms(), LAST)
    assert len(written) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert_same(told(found), told(tick(tmp_path, unread(exposures), outcomes, terms(), LAST)))
    assert told(found) != told(early)
