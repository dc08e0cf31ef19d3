"""Housekeeping of a volume: what runs left in transit goes, what they made stays."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from retrain_assets.compute.databricks.tidying import main, tidy
from retrain_assets.contract import StageError

VOLUME = "/Volumes/main/retrain/state"
NOW = 1_800_000_000.0
DAY = 86_400.0


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The volume's folder, mounted on this machine."""
    monkeypatch.setenv("RETRAIN_VOLUMES", str(tmp_path))
    return tmp_path / "main" / "retrain" / "state"


def written(file: Path, days_ago: float) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("{}")
    for place in (file, *list(file.parents)[:4]):
        os.utime(place, (NOW - days_ago * DAY, NOW - days_ago * DAY))
    return file


def test_orders_go_once_nothing_was_written_in_them_for_long_and_results_stay(state: Path) -> None:
    old = written(state / "orders" / "churn" / "2024-03-01" / "a1" / "training" / "request.json", 40)
    result = written(state / "stages" / "churn" / "2024-03-01" / "training" / "result.json", 40)
    young = written(state / "orders" / "churn" / "2024-03-08" / "b2" / "training" / "request.json", 3)
    assert tidy(VOLUME, timedelta(days=30), NOW) == ["churn/2024-03-01/a1"]
    assert (old.exists(), young.exists(), result.exists()) == (False, True, True)


def test_an_order_that_still_gets_messages_stays_however_old_its_request_is(state: Path) -> None:
    request = written(state / "orders" / "churn" / "2024-03-01" / "a1" / "training" / "request.json", 40)
    written(state / "orders" / "churn" / "2024-03-01" / "a1" / "training" / "messages" / "7.json", 0.1)
    assert tidy(VOLUME, timedelta(days=30), NOW) == []
    assert request.exists()


def test_runs_under_way_cannot_be_tidied_away(state: Path) -> None:
    with pytest.raises(StageError, match="would remove orders of runs under way"):
        tidy(VOLUME, timedelta(hours=2), NOW)


@pytest.mark.parametrize("volume", ["/tmp", "/Volumes/main/retrain/nothing"])
def test_what_is_no_folder_of_a_volume_is_refused(state: Path, volume: str) -> None:
    with pytest.raises(StageError, match="is no folder of a volume"):
        tidy(volume, timedelta(days=30), NOW)


def test_the_job_says_what_it_removed_and_refuses_what_it_cannot_read(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = written(state / "orders" / "churn" / "2024-03-01" / "a1" / "request.json", 0)
    for place in (request, request.parent):
        os.utime(place, (0, 0))
    assert main([VOLUME, "30d"]) == 0
    assert capsys.readouterr().out == "1 order removed\nchurn/2024-03-01/a1\n"
    assert main([VOLUME]) == 2
    assert main([VOLUME, "soon"]) == 2
    assert main(["/tmp", "30d"]) == 1
    assert "usage: retrain-tidy" in capsys.readouterr().err
