"""What Prometheus is told of several workers: added up over their files, also when some die."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrain_assets.home import Home
from retrain_assets.serving.gateway import metrics_files
from retrain_assets.serving.gateway.metrics_files import RESERVED, VARIABLE, dead_workers, fresh_metrics_folder

from .samples import samples, value

WORKER = """
import sys
from prometheus_client import generate_latest
from retrain_assets.serving.gateway.metrics import PrometheusMeter

meter = PrometheusMeter()
for line in sys.stdin:
    command, *values = line.split()
    if command == "answered":
        meter.answered("m", "champion", int(values[0]), 0, 0.001)
    elif command == "flipped":
        meter.flipped("m", int(values[0]))
    elif command == "told":
        print(generate_latest(meter.collected()).decode())
        print("end")
    print("done", flush=True)
"""


class Worker:
    """A process that counts, as the gateway's workers do."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )

    def do(self, command: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        told = []
        while (line := self.process.stdout.readline()) != "done\n":
            assert line, "the worker has ended"
            told.append(line)
        return "".join(told).removesuffix("end\n")

    def kill(self) -> int:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        return self.process.pid


@pytest.fixture
def workers(retrain_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Worker]]:
    """Two workers of one gateway."""
    monkeypatch.setenv(VARIABLE, "to be replaced")
    folder = fresh_metrics_folder(Home(retrain_home))
    made = [Worker(), Worker()]
    yield made
    for one in made:
        one.kill()
    folder.close()


def test_any_worker_tells_the_sum_and_the_dead_are_gone_but_their_counts(workers: list[Worker]) -> None:
    first, second = workers
    first.do("answered 3")
    second.do("answered 4")
    first.do("flipped 7")
    second.do("flipped 8")
    labels = {"model": "m", "arm": "champion", "version": ""}
    pids = [str(one.process.pid) for one in workers]
    for asked in workers:
        told = samples(asked.do("told"))
        assert value(told, "predictions_total", **labels) == 7
        assert value(told, "prediction_latency_seconds_count", **labels) == 2
        assert value(told, "workers") == 2
        assert [value(told, "toggle_revision", model="m", pid=pid) for pid in pids] == [7, 8]

    first.kill()
    told = samples(second.do("told"))
    assert value(told, "predictions_total", **labels) == 7
    assert value(told, "workers") == 1
    assert [dict(labels)["pid"] for (name, labels) in told if name == "retrain_toggle_revision"] == [pids[1]]


def test_each_start_counts_from_nothing_and_leaves_another_gateway_alone(
    retrain_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "to be replaced")
    home = Home(retrain_home)
    first = fresh_metrics_folder(home)
    assert os.environ[VARIABLE] == str(first.path)
    (first.path / "counter_1.db").write_bytes(b"x")
    second = fresh_metrics_folder(home)
    assert first.path.is_dir()
    assert not list(second.path.glob("*.db"))
    first.lock.close()  # its process has died
    third = fresh_metrics_folder(home)
    assert not first.path.exists()
    assert second.path.is_dir()
    for folder in (second, third):
        folder.close()
        assert not folder.path.exists()
    assert VARIABLE not in os.environ


def test_a_full_disk_ends_no_worker(workers: list[Worker]) -> None:
    """A page of a memory map for which the disk has no room kills the process: all are there before anything is counted."""
    worker = workers[0]
    for command in ("answered 3", "flipped 7"):
        worker.do(command)
        files = {path.name: path.stat() for path in Path(os.environ[VARIABLE]).glob(f"*_{worker.process.pid}.db")}
        assert {name.rsplit("_", 1)[0] for name in files} == set(RESERVED)
        assert [name for name, found in files.items() if found.st_blocks * 512 < found.st_size] == []


def test_without_a_folder_in_memory_the_homes_cache_is_one(
    retrain_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "to be replaced")
    monkeypatch.setattr(metrics_files, "MEMORY", tmp_path / "nowhere")
    folder = fresh_metrics_folder(Home(retrain_home))
    assert folder.path.parent == retrain_home / "cache" / "metrics"
    assert folder.path.stat().st_mode & 0o077 == 0
    folder.close()


def test_a_worker_without_a_mark_counts_as_dead(tmp_path: Path) -> None:
    (tmp_path / "gauge_livesum_4242.db").write_bytes(b"")
    (tmp_path / "gauge_all_4243.db").write_bytes(b"")
    (tmp_path / f"gauge_livesum_{os.getpid()}.db").write_bytes(b"")
    assert dead_workers(tmp_path) == [4242]
