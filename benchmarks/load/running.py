"""Processes of a benchmark: the generator, and servers that are waited for until they answer and ended with their children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load.plan import LoadPlan
from benchmarks.load.records import Records

START_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers on a port of 127.0.0.1."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def workers(self) -> list[int]:
        """Process ids where requests are answered: what the server forked or spawned last, or itself."""
        return _leaves(self.process.pid)


def generate(plan: LoadPlan, folder: Path) -> Records:
    """Carry out a plan in a process of its own, and wait for it."""
    process, records = start(plan, folder)
    if process.wait() != 0:
        raise RuntimeError(f"the load generator ended with {process.returncode}; see {folder}")
    return Records.read(records)


def start(plan: LoadPlan, folder: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """Begin to carry out a plan; gives the process and the file it writes at its end."""
    written = folder / f"{plan.prefix}plan.json"
    plan.write(written)
    records = written.with_suffix(".npy")
    return subprocess.Popen([sys.executable, "-m", "benchmarks.load", str(written), str(records)]), records


@contextmanager
def serving(
    command: list[str], *, port: int, health: str, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """A server from the moment it answers 200 on its health path until the end of the block; what it prints goes to a file.

    Raises:
        RuntimeError: where it ends before it answers or does not answer in time, with the last line it printed.
    """
    said = folder / f"server-{port}.log"
    with said.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **(environment or {})}, start_new_session=True
        )
    try:
        _wait(process, f"http://127.0.0.1:{port}{health}", said)
        yield Running(process, port)
    finally:
        _end(process)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], url: str, said: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError), urllib.request.urlopen(url, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    last = said.read_text(errors="replace").strip().splitlines()[-8:]
    raise RuntimeError(f"{url} does not answer: {' | '.join(last)}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """The server is asked to end, so that it can seal its files; what is left of its session afterwards is killed."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _leaves(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children")
    try:
        found = [int(child) for child in children.read_text().split()]
    except FileNotFoundError:
        return []
    serving = [child for child in found if b"resource_tracker" not in _command(child)]
    return [leaf for child in serving for leaf in _leaves(child)] or [process]


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
