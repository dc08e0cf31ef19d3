"""A registry that does not answer, behind a tracking server: what must not wait for it does not, and nothing waits long."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from .conftest import Run
from .world import MODEL, World

ONCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


class DeafServer:
    """A tracking server that refuses everything, and keeps what the ledger's last event was when it was asked."""

    def __init__(self, world: World) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with closing(sqlite3.connect(world.home.root / "ledger.db")) as ledger:
                    outer.asked.append(ledger.execute("SELECT kind FROM events ORDER BY sequence DESC").fetchone()[0])
                body = json.dumps({"error_code": "BAD_REQUEST", "message": "not today"}).encode()
                self.send_response(400)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = Thread(target=self.server.serve_forever)

    @property
    def environment(self) -> dict[str, str]:
        return {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{self.server.server_port}", **ONCE}


@pytest.fixture
def deaf(ramping: World) -> Iterator[DeafServer]:
    """It is behind the ledger already, so that every command has reason to ask it."""
    with closing(sqlite3.connect(ramping.home.root / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE projections SET sequence = 0 WHERE name = 'registry'")
    found = DeafServer(ramping)
    found.thread.start()
    yield found
    found.server.shutdown()
    found.thread.join()
    found.server.server_close()


@pytest.mark.parametrize(
    ("arguments", "recorded"),
    [
        (["toggle", "rollback", MODEL], "rolled_back"),
        (["toggle", "hold", MODEL], "toggle_held"),
        (["kill", MODEL], "rolled_back"),
    ],
)
def test_what_gives_traffic_back_is_recorded_before_anybody_asks_a_registry_that_is_behind(
    act: Run, deaf: DeafServer, arguments: list[str], recorded: str
) -> None:
    act(*arguments, **deaf.environment)
    assert set(deaf.asked) == {recorded}


def test_a_command_does_not_try_a_registry_that_is_down_for_minutes(ramping: World) -> None:
    command = [sys.executable, "-m", "retrain_assets.cli", "kill", "--all", "--reason", "why", "--as", "ruth@example.org"]
    nobody = {**os.environ, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=nobody, timeout=60)
    assert (done.returncode, "ramping at 50 % → rolled back at 50 %" in done.stdout) == (0, True)
    assert "the registry is behind" in done.stderr
