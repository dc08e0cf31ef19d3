"""A home with a canary at 25 per cent, and a gateway on it that listens on a port of its own."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import uvicorn

from retrain_assets.serving import ExposureLog
from retrain_assets.serving.gateway import create_app
from retrain_assets_tests.release.world import SettableClock
from retrain_assets_tests.serving.gateway.served import MODEL, TERMS, Served, contract_with

ODD_UNITS = ("Zoë", "飞机 7", "100%", "a b", "\U0001f6eb")


@dataclass
class Serving:
    """A world and its gateway's address."""

    world: Served
    url: str
    end: Callable[[], None]

    def exposures(self) -> pl.DataFrame:
        """What is on record once the gateway has ended."""
        self.end()
        return ExposureLog(self.world.home).read_exposures(MODEL)


@pytest.fixture(scope="session")
def canary_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A challenger at 25 per cent; its bundles are in the serving cache, so that nobody needs a registry."""
    return Served.at(tmp_path_factory.mktemp("canary") / "home").canary().warm().root


@pytest.fixture
def world(canary_base: Path, retrain_home: Path) -> Served:
    """A copy of it, which RETRAIN_HOME names; its clock is now."""
    shutil.copytree(canary_base, retrain_home)
    copy = Served(retrain_home, SettableClock(datetime.now(UTC)), contract_with(TERMS))
    copy.registry.versions = {(MODEL, place.name): place for place in (retrain_home / "registry" / MODEL).iterdir()}
    return copy


@pytest.fixture
def serving(world: Served) -> Iterator[Serving]:
    with listening(world) as found:
        yield found


@contextmanager
def listening(world: Served) -> Iterator[Serving]:
    """A gateway of the world on a port of its own; nothing of it is mocked."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(world.home), lifespan="on", log_level="warning", ws="none"))
        thread = threading.Thread(target=server.run, args=([listener],))

        def end() -> None:
            server.should_exit = True
            thread.join()

        thread.start()
        while not server.started:
            assert thread.is_alive(), "the gateway did not start"
            time.sleep(0.005)
        try:
            yield Serving(world, f"http://127.0.0.1:{listener.getsockname()[1]}", end)
        finally:
            end()
