"""Homes at the milestones of the road, prepared once a session and copied for each story that starts there."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
import pytest

from retrain_assets.home import Home
from retrain_assets_tests.scenarios.custody_home import Custody, keys
from retrain_assets_tests.scenarios.story import Story, copy_home
from retrain_assets_tests.scenarios.tampering import Tampered


@contextmanager
def story_in(root: Path) -> Iterator[Story]:
    """A story whose home is ``root``, on a Dagster instance of its own."""
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("RETRAIN_HOME", str(root))
        yield Story(Home(root), instance)


@pytest.fixture(scope="session")
def bootstrapped_home(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """A first champion serves."""
    root = tmp_path_factory.mktemp("bootstrapped") / "home"
    root.mkdir()
    shutil.copy(empty_store, root / "mlflow.db")
    with story_in(root) as story:
        story.bootstrap_champion()
    return root


@pytest.fixture(scope="session")
def evaluated_home(tmp_path_factory: pytest.TempPathFactory, bootstrapped_home: Path) -> Path:
    """A retrain has passed gates data, training and offline, and is not armed."""
    return _further(bootstrapped_home, tmp_path_factory.mktemp("evaluated") / "home", Story.retrain)


@pytest.fixture(scope="session")
def waiting_home(tmp_path_factory: pytest.TempPathFactory, evaluated_home: Path) -> Path:
    """A retrain has gone through its ramp and awaits approval."""
    return _further(evaluated_home, tmp_path_factory.mktemp("waiting") / "home", Story.ramp_to_approval)


@pytest.fixture(scope="session")
def custody_home(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """A promoted, a rolled back and a stopped retrain, signed and anchored."""
    folder = tmp_path_factory.mktemp("custody")
    (folder / "home").mkdir()
    shutil.copy(empty_store, folder / "home" / "mlflow.db")
    Custody(folder / "home", keys(folder / "keys")).build()
    with closing(sqlite3.connect(folder / "home" / "ledger.db")) as ledger:  # whoever copies it copies the one file
        assert ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    return folder / "home"


@pytest.fixture
def tampered(custody_home: Path) -> Iterator[Tampered]:
    """That home, to do as one likes with; every file beside the ledger is put back by the test."""
    home = Tampered(Home(custody_home), (custody_home / "ledger.db").read_bytes())
    yield home
    home.restore()


@pytest.fixture
def road(bootstrapped_home: Path, retrain_home: Path) -> Iterator[Story]:
    """A story that starts with a champion."""
    copy_home(bootstrapped_home, retrain_home)
    with story_in(retrain_home) as story:
        yield story


@pytest.fixture
def evaluated(evaluated_home: Path, retrain_home: Path) -> Iterator[Story]:
    """A story that starts with a candidate that passed its offline gates."""
    copy_home(evaluated_home, retrain_home)
    with story_in(retrain_home) as story:
        yield story


@pytest.fixture
def waiting(waiting_home: Path, retrain_home: Path) -> Iterator[Story]:
    """A story that starts with a challenger that awaits approval."""
    copy_home(waiting_home, retrain_home)
    with story_in(retrain_home) as story:
        yield story


def _further(before: Path, root: Path, verb: Callable[[Story], object]) -> Path:
    copy_home(before, root)
    with story_in(root) as story:
        verb(story)
    return root
