"""A canary is rolled back from another terminal while the gateway is under load."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from shutil import copy
from typing import Any

import httpx
import polars as pl

from retrain_assets.bundle import Manifest
from retrain_assets.home import Home
from retrain_assets.ledger import EventKind, Ledger
from retrain_assets.registry import Registry
from retrain_assets_tests.serving.gateway.gateway_process import eventually, gateway
from retrain_assets_tests.serving.gateway.served import MODEL, RUTH, Served, row, write_bundle

UNITS = [f"flight-{number}" for number in range(60)]


@dataclass
class Load:
    """Who asks, one request after the other in each of some threads, and what was answered.

    Args:
        url: of the gateway.
    """

    url: str
    answers: list[tuple[datetime, int, dict[str, Any]]] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def going_on(self, threads: int = 3) -> Iterator[Load]:
        """Requests until the end of the block."""
        asking = [threading.Thread(target=self._ask, args=(number,)) for number in range(threads)]
        for one in asking:
            one.start()
        try:
            yield self
        finally:
            self._end.set()
            for one in asking:
                one.join()

    def more(self, number: int) -> None:
        """Wait until so many further requests have been answered."""
        reached = len(self.answers) + number
        eventually(lambda: len(self.answers) >= reached or self.faults)

    def _ask(self, thread: int) -> None:
        try:
            with httpx.Client(base_url=self.url, timeout=30) as client:
                for unit in cycle(UNITS[thread:] + UNITS[:thread]):
                    if self._end.is_set():
                        return
                    sent = datetime.now(UTC)
                    answer = client.post(f"/v1/models/{MODEL}/predict", json=row(unit))
                    self.answers.append((sent, answer.status_code, answer.json()))
        except Exception as fault:  # noqa: BLE001 (told by the test, in whose thread nobody would hear of it)
            self.faults.append(fault)


def test_a_rollback_in_another_terminal_reaches_every_worker_and_the_exposures_prove_when(
    retrain_home: Path, empty_store: Path
) -> None:
    retrain_home.mkdir()
    copy(empty_store, retrain_home / "mlflow.db")
    canary = Canary.at(retrain_home).canary().warm()
    with gateway(retrain_home, "--workers", "2") as running:
        assert len(running.workers) == 2
        with Load(running.url).going_on() as load:
            load.more(200)
            said = roll_back()
            returned = datetime.now(UTC)
            load.more(200)
        assert running.end() == 0, running.log.read_text()

    assert load.faults == []
    assert {status for _, status, _ in load.answers} == {200}, "no request failed because of the flip"
    assert "rolled_back" in said

    log = pl.concat(
        [pl.read_parquet(path) for path in canary.home.exposures_dir(MODEL).glob("*.parquet")], how="diagonal_relaxed"
    )
    given = [one["predictions"][0] for _, _, one in load.answers]
    assert sorted(log["request_id"]) == sorted(one["request_id"] for one in given), "every answer is on record, once"

    (rollback,) = [event for event in Ledger(canary.home.ledger_url).events() if event.kind is EventKind.ROLLED_BACK]
    assert (rollback.actor, rollback.reason) == (RUTH, "complaints since noon")
    challenged = log.filter(pl.col("arm") == "challenger")["exposed_at"]
    assert challenged.len() > 0
    assert challenged.min() < rollback.at
    last = challenged.max()
    assert last < returned, f"the challenger answered at {last}, after the rollback had returned at {returned}"
    assert log.filter(pl.col("exposed_at") > returned).height >= 190

    arms = defaultdict(set)
    for one in given:
        arms[one["unit"], one["revision"]].add(one["arm"])
    assert {len(met) for met in arms.values()} == {1}, "no unit changed its arm without a change of revision"
    assert {one["arm"] for one in given if one["revision"]} == {"champion", "challenger"}
    assert {one["reason"] for one in given if not one["revision"]} == {"rolled_back"}


def roll_back() -> str:
    """What the command says in its own process."""
    command = [sys.executable, "-m", "retrain_assets.cli", "toggle", "rollback", MODEL]
    command += ["--reason", "complaints since noon", "--as", RUTH.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass
class Canary(Served):
    """A served world whose registry is MLflow's, as the command in the other terminal needs it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.registry = MlflowBundles(self.home)  # type: ignore[assignment]
        self.controller = self.another_controller()


class MlflowBundles(Registry):
    """The home's registry, which makes the bundle of a manifest itself."""

    def __init__(self, home: Home) -> None:
        super().__init__(home.mlflow_uri, home.mlflow_artifacts)
        self.folder = home.root / "made"

    def register(self, model: str, manifest: Manifest) -> str:  # type: ignore[override]
        bundle = self.folder / manifest.retrain
        bundle.parent.mkdir(exist_ok=True)
        made = write_bundle(bundle, manifest)
        return super().register(bundle, made.to_json(), made.digest)
