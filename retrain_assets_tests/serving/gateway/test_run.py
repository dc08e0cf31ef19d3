"""A gateway of real processes: it starts, outlives its workers, and loses nothing when it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import polars as pl
import psutil
import pytest

from retrain_assets.bundle import load_bundle
from retrain_assets.contract import Refused, RetrainError
from retrain_assets.home import Home
from retrain_assets.serving.gateway import Options, run_gateway
from retrain_assets.serving.gateway.metrics_files import VARIABLE, fresh_metrics_folder
from retrain_assets_tests.serving.gateway.gateway_process import eventually, gateway
from retrain_assets_tests.serving.gateway.served import FEATURES, MODEL, row

PREDICT = f"/v1/models/{MODEL}/predict"
HEAVY = ("mlflow", "pyspark", "sklearn", "pandas", "matplotlib", "scipy.stats", "dagster")


def answered(client: httpx.Client, ids: Iterator[str]) -> set[str]:
    """Requests sent on connections of their own, so that every worker gets some; the ids of those that were answered."""
    acknowledged = set()
    for request_id in ids:
        answer = client.post(PREDICT, json=row(f"u-{request_id}", request_id=request_id), headers={"Connection": "close"})
        assert answer.status_code == 200, answer.text
        acknowledged.add(request_id)
    return acknowledged


def logged(home: Home) -> list[str]:
    """Request ids in the finished traffic files."""
    return [
        request_id
        for path in home.exposures_dir(MODEL).glob("*.parquet")
        for request_id in pl.read_parquet(path)["request_id"].to_list()
    ]


def test_a_dead_worker_is_replaced_and_nothing_that_was_acknowledged_is_lost(canary_home: Home) -> None:
    with gateway(canary_home.root, "--workers", "2") as running, httpx.Client(base_url=running.url) as client:
        counted = Path(running.workers[0].environ()[VARIABLE])
        assert counted.is_dir()
        assert client.get("/readyz").json() == {"ready": True, "problems": [], "warnings": []}
        first, second = running.workers
        acknowledged = answered(client, (f"before-{number}" for number in range(40)))
        first.suspend()
        second.kill()
        second.wait()
        eventually(lambda: len(running.workers) == 2)
        assert first.status() == psutil.STATUS_STOPPED  # nobody waited for it
        first.resume()
        acknowledged |= answered(client, (f"between-{number}" for number in range(20)))
        assert first in running.workers
        assert second not in running.workers
        acknowledged |= answered(client, (f"after-{number}" for number in range(20)))
        running.process.send_signal(signal.SIGHUP)
        assert running.end() == 0, running.log.read_text()
    assert sorted(logged(canary_home)) == sorted(acknowledged)
    assert len(acknowledged) == 80
    assert not list(canary_home.journal_dir(MODEL).glob("*.ndjson"))
    assert not counted.exists()


def test_workers_end_with_a_supervisor_that_was_killed_and_seal_what_they_have(canary_home: Home) -> None:
    with gateway(canary_home.root, "--workers", "1") as running, httpx.Client(base_url=running.url) as client:
        acknowledged = answered(client, iter(["only"]))
        (worker,) = running.workers
        counted = Path(worker.environ()[VARIABLE])
        running.end(signal.SIGKILL)
        eventually(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    assert logged(canary_home) == sorted(acknowledged)
    assert counted.is_dir()
    fresh_metrics_folder(canary_home).close()  # as the next gateway does
    assert not counted.exists()


def test_a_port_that_is_taken_is_told_before_anything_starts(canary_home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RetrainError, match=rf"serve: port {port} of 127\.0\.0\.1 is taken; give another with --port"):
            run_gateway(canary_home, port=port)


def test_an_address_of_another_machine_is_refused(canary_home: Home) -> None:
    with pytest.raises(RetrainError, match="give --host and --port of this machine"):
        run_gateway(canary_home, host="192.0.2.1", port=0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_nobody_listens_to_strangers_without_tokens(canary_home: Home, host: str) -> None:
    with pytest.raises(Refused, match="can be reached from elsewhere, and there are no tokens; make one with retrain token add"):
        run_gateway(canary_home, host=host, port=0)


def test_a_worker_carries_nothing_that_is_only_needed_for_training(canary_home: Home) -> None:
    """A second of its start, and more than half of its memory; a model that needs it can import it all the same."""
    code = f"""
import asyncio, sys
from retrain_assets.serving.gateway.run import worker
async def main():
    app = worker()
    async with app.router.lifespan_context(app):
        live = app.state.models.current({MODEL!r})
        print(live.champion.score_rows([{dict(FEATURES)!r}])[0].hex(), *[name for name in {HEAVY!r} if name in sys.modules])
asyncio.run(main())
print(*[name for name, module in sys.modules.items() if module is None])
"""
    said = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    place = canary_home.serving_cache_dir(MODEL) / json.loads(canary_home.flags_path.read_bytes())["flags"][MODEL]["metadata"][
        "champion_bundle"
    ].removeprefix("sha256:")
    assert said.stdout.split() == [load_bundle(place).score_rows([FEATURES])[0].hex()]


def test_options_reach_the_workers_as_they_were_given() -> None:
    options = Options(max_body_bytes=5, rotate_after_seconds=0.5, require_tokens=True, drain_seconds=3)
    assert Options.from_text(options.to_text()) == options
    assert Options.from_text("{}") == Options()
