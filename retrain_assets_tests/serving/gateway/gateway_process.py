"""``retrain serve`` as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

PATIENCE = 60.0
"""Seconds after which something that should happen is taken not to happen; never waited for when it does."""


@dataclass
class GatewayProcess:
    """A gateway that answers.

    Args:
        process: its supervisor.
        url: where it listens.
        log: its stderr.
    """

    process: subprocess.Popen[str]
    url: str
    log: Path

    @property
    def workers(self) -> list[psutil.Process]:
        """Its worker processes."""
        return [one for one in psutil.Process(self.process.pid).children() if _is_worker(one)]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def gateway(home: Path, *arguments: str) -> Iterator[GatewayProcess]:
    """A gateway on a free port, with the arguments of ``retrain serve``; it is killed where the test has not ended it."""
    log = home.parent / "gateway.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "retrain_assets.cli", "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "RETRAIN_HOME": str(home)},
        )
    assert process.stdout is not None
    with process, process.stdout:
        family = [psutil.Process(process.pid)]
        try:
            said = process.stdout.readline()
            address = re.search(r"at (http://\S+) with", said)
            assert address, f"{said!r}\n{log.read_text()}"
            family += family[0].children(recursive=True)
            yield GatewayProcess(process, address[1], log)
        finally:
            if process.poll() is None:
                family = [family[0], *family[0].children(recursive=True)]
            for one in family:
                if one.is_running():
                    one.kill()


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return False


def eventually(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.02)
