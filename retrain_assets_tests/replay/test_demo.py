"""The demo's first days on the real flights, and the homes it refuses."""

from __future__ import annotations

import io
import json
import shutil
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from retrain_assets.contract import RetrainError
from retrain_assets.home import Home
from retrain_assets.ledger import EventKind, Ledger
from retrain_assets.release import fold
from retrain_assets.replay import story
from retrain_assets.replay.demo import play, run_demo
from retrain_assets.replay.table import print_table
from retrain_assets.replay.teller import Teller
from retrain_assets.serving import ExposureLog


def test_the_first_days_bootstrap_a_champion_and_serve_it(retrain_home: Path, empty_store: Path) -> None:
    """Real data, real gates, an approval that says there was nothing to compare with, and every flight of two days scored."""
    retrain_home.mkdir()
    shutil.copy(empty_store, retrain_home / "mlflow.db")
    home = Home(retrain_home)
    play(home, Teller(), last=date(2013, 4, 18))

    events = Ledger(home.ledger_url).events(model=story.MODEL)
    bootstrap = next(event for event in events if event.kind is EventKind.CHAMPION_BOOTSTRAPPED)
    assert str(bootstrap.actor) == f"person:{story.RELEASE_OWNER}"
    assert bootstrap.payload["compared_with"] is None
    state = fold(events)[story.MODEL]
    assert state.retrains["2013-04-16"].audit is not None

    exposures = ExposureLog(home).read_exposures(story.MODEL)
    assert exposures.height > 2500
    assert set(exposures["arm"]) == {"champion"}
    assert exposures["error"].sum() == 0
    outcomes = ExposureLog(home).read_outcomes(story.MODEL)
    assert 0 < outcomes.height < exposures.height, "outcomes follow later"

    printed = io.StringIO()
    print_table(home, story.MODEL, Console(file=printed, width=150))
    assert "ruth.release (bootstrap)" in printed.getvalue()
    assert str(home.reports_dir(story.MODEL) / "2013-04-16.html") in printed.getvalue()


def test_a_home_that_is_not_the_demos_own_is_left_alone(retrain_home: Path) -> None:
    retrain_home.mkdir()
    (retrain_home / "ledger.db").write_bytes(b"somebody's")
    with pytest.raises(RetrainError, match="set RETRAIN_HOME to a new folder"):
        run_demo(Home(retrain_home))
    assert [path.name for path in retrain_home.iterdir()] == ["ledger.db"]


def test_an_unfinished_replay_is_not_taken_for_a_finished_one(retrain_home: Path) -> None:
    retrain_home.mkdir()
    (retrain_home / "clock.json").write_text(json.dumps({"replay_now": "2013-05-01T06:00:00+00:00"}))
    with pytest.raises(RetrainError, match="did not come to its end"):
        run_demo(Home(retrain_home))
