"""A real ssh-agent for one test."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def running_agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The socket of an agent without keys; its path is short, as sockets' paths have to be."""
    with tempfile.TemporaryDirectory(prefix="agent-") as folder:
        socket = Path(folder) / "socket"
        process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not socket.exists():
                assert process.poll() is None, "ssh-agent ended"
                time.sleep(0.01)
            monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
            yield socket
        finally:
            process.terminate()
            process.wait()
