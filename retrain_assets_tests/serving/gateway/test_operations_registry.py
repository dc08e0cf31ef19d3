"""What an operation does to the registry: nothing in the worker, everything in a process that follows."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from retrain_assets.home import Home
from retrain_assets.ledger import SYSTEM, Actor, Ledger
from retrain_assets.release.access import Access, Scope
from retrain_assets.serving.gateway import create_app, operations_registry

from .served import MODEL, RUTH, SECOND, Served, running

pytestmark = pytest.mark.anyio

WHY = {"reason": "complaints since noon"}
TOGGLE = f"{MODEL}-{SECOND}"
ONCALL = Actor("person", "oncall@example.org")


@pytest.fixture
def served(canary_home: Home) -> Served:
    served = Served.at(canary_home.root)
    served.registry.versions = {(MODEL, place.name): place for place in (served.registry.folder / MODEL).iterdir()}
    return served


@asynccontextmanager
async def on_its_own(home: Home) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that opens ledger and registry itself, as a worker does."""
    secret = Access(home, Ledger(home.ledger_url), home.clock).add("oncall", ONCALL, [Scope.OPERATE], RUTH, "on call").secret
    async with running(create_app(home)) as app:
        transport = httpx.ASGITransport(app)
        headers = {"Authorization": f"Bearer {secret}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
            yield client


def reconciling(monkeypatch: pytest.MonkeyPatch, *code: str) -> None:
    """Have the process that follows with the registry do something else."""
    monkeypatch.setattr(operations_registry, "RECONCILE", (sys.executable, "-c", ";".join(code)))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("path", [f"/v1/models/{MODEL}/toggle/rollback", f"/v1/models/{MODEL}/kill", "/v1/kill"])
async def test_a_worker_leaves_the_registry_to_a_process_of_its_own(
    served: Served, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Loading MLflow takes seconds, which requests would feel."""
    reconciling(monkeypatch, "import os, pathlib", "(pathlib.Path(os.environ['RETRAIN_HOME']) / 'followed').touch()")
    async with on_its_own(served.home) as client:
        answer = await client.post(path, json=WHY)
        assert (answer.status_code, answer.json()["notes"]) == (200, [])
        assert answer.json()["served"][0]["state"] == "rolled_back"
    await until((served.home.root / "followed").exists)


async def test_a_registry_that_stays_behind_is_told_in_the_log(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reconciling(monkeypatch, "import sys", "sys.exit('nobody answers at the registry')")
    async with on_its_own(served.home) as client:
        assert (await client.post(f"/v1/models/{MODEL}/toggle/rollback", json=WHY)).status_code == 200
    await until(lambda: "the registry is behind the ledger: nobody answers at the registry" in caplog.text)


@pytest.mark.parametrize("damaged", [False, True])
async def test_a_promotion_is_taken_back_without_the_registry(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, damaged: bool
) -> None:
    """The copy that serving keeps is verified; one that is damaged keeps nobody from going back."""
    reconciling(monkeypatch, "pass")
    promoted(served)
    async with on_its_own(served.home) as client:
        if damaged:
            bundle = served.state.toggles[TOGGLE].previous_champion.bundle.removeprefix("sha256:")
            (served.home.serving_cache_dir(MODEL) / bundle / "manifest.json").write_text("{}")
        answer = await client.post(f"/v1/models/{MODEL}/toggle/rollback", json={**WHY, "toggle": TOGGLE})
    assert (answer.status_code, answer.json()["served"][0]["champion"]) == (200, "1")
    assert ("serves again unverified" in caplog.text) is damaged


def test_the_process_that_follows_is_retrain_reconcile(served: Served) -> None:
    served.home.flags_path.unlink()
    done = subprocess.run(
        [*operations_registry.RECONCILE, "--json"], env={**os.environ, "RETRAIN_HOME": str(served.root)}, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["flags"] is True
    assert served.home.flags_path.exists()


def promoted(served: Served) -> None:
    """The second candidate has become champion."""
    served.controller.step(TOGGLE, SYSTEM, "as planned")
    served.look(SECOND, "ask_approval", "better on cost, guardrails hold")
    served.controller.approve(MODEL, SECOND, RUTH, "clear win")
    assert served.controller.decide(MODEL, SECOND).decision == "promote"
