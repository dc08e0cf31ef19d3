"""However and whenever a writer is killed, what it acknowledged is in the files after recovery, once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from retrain_assets.home import Home
from retrain_assets.serving.journal import recover
from retrain_assets_tests.serving.journal import writer
from retrain_assets_tests.serving.journal.rows import MODEL

KILLS = 60


class Writers:
    """Starts writers one after the other, and collects what they acknowledged."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.acknowledged: dict[str, list[str]] = {"exposure": [], "outcome": []}
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        command = [sys.executable, writer.__file__]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def run(self, name: str, *, kill_after: float | None = None, **order: int) -> bool:
        """One writer; kills it some time after its first acknowledgement. Tells whether it was killed."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({"home": str(self.home), "name": name, **order}) + "\n")
        self._server.stdin.flush()
        process, done = 0, False
        while (line := self._server.stdout.readline().strip()) != "ended":
            what, _, which = line.partition(" ")
            if what == "pid":
                process = int(which)
            elif what == "done":
                done = True
            else:
                assert what in self.acknowledged, line
                self.acknowledged[what].append(which)
                if kill_after is not None:
                    time.sleep(kill_after)
                    os.kill(process, signal.SIGKILL)
                    kill_after = None
        return not done

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        assert self._server.wait() == 0
        assert self._server.stdout is not None
        self._server.stdout.close()


@pytest.fixture
def writers(retrain_home: Path) -> Iterator[Writers]:
    found = Writers(retrain_home)
    yield found
    found.close()


def in_files(home: Home) -> dict[str, list[str]]:
    """Every row of every file, repetitions included."""
    folders = {"exposure": home.exposures_dir(MODEL), "outcome": home.outcomes_dir(MODEL)}
    return {
        what: sorted(request for file in folder.glob("*.parquet") for request in pl.read_parquet(file)["request_id"])
        for what, folder in folders.items()
    }


def check(home: Home, writers: Writers, *, unacknowledged: int) -> None:
    """Nothing acknowledged is missing, nothing is there twice, and little is there that nobody was told of."""
    found = in_files(home)
    for what, acknowledged in writers.acknowledged.items():
        assert len(set(found[what])) == len(found[what]), f"{what} twice"
        assert set(acknowledged) - set(found[what]) == set(), f"{what} lost"
        assert len(found[what]) - len(acknowledged) <= unacknowledged, f"{what} of nobody"
    assert sorted(home.journal_dir(MODEL).glob("*")) == []
    assert not list(home.exposures_dir(MODEL).glob(".*"))


def test_sixty_kills_at_any_moment_lose_and_repeat_nothing(retrain_home: Path, writers: Writers) -> None:
    home, chance = Home(retrain_home), random.Random()
    unsealed = half_sealed = 0
    for number in range(KILLS):
        assert writers.run(f"w{number}", kill_after=chance.uniform(0, 0.05), rotate_rows=chance.choice([8, 40, 400]))
        left = {path.stem for path in home.journal_dir(MODEL).glob("*.ndjson")}
        unsealed += bool(left)
        half_sealed += any((home.exposures_dir(MODEL) / f"{stem}.parquet").exists() for stem in left)
        if chance.random() < 0.5:  # otherwise the next writer finds it, and may be killed while it seals it
            recover(home)
    recover(home)
    check(home, writers, unacknowledged=KILLS * 6 * 2)
    assert unsealed > KILLS / 4
    assert len(writers.acknowledged["exposure"]) > KILLS


def test_no_step_of_writing_and_sealing_may_not_be_the_last(retrain_home: Path, writers: Writers) -> None:
    home = Home(retrain_home)
    steps = 0
    while writers.run(f"w{steps}", calls=2, rotate_rows=12, dies_at=steps):
        steps += 1
    assert steps > 12
    recover(home)
    check(home, writers, unacknowledged=steps * 6 * 2)
    assert {f"w{steps}-{caller}-{turn}b" for caller in range(6) for turn in range(2)} <= set(in_files(home)["exposure"])
