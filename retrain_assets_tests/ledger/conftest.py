"""A ledger on each database it supports: a SQLite file, and a private PostgreSQL server started for the session."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.ledger import SYSTEM, EventDraft, EventKind, Ledger

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
_databases = count(1)


def draft(**changes: Any) -> EventDraft:
    """Some event of the model ``flight_delay``."""
    values: dict[str, Any] = {
        "at": NOON,
        "actor": SYSTEM,
        "kind": EventKind.STAGE_FAILED,
        "model": "flight_delay",
        "reason": "the source was empty",
        "retrain": "2013-07-01",
        "payload": {"stage": "dataset", "message": "0 rows", "share": 0.5},
    }
    return EventDraft(**{**values, **changes})


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/home/ledger.db"
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture
def ledger(url: str) -> Ledger:
    return Ledger(url)


@pytest.fixture
def sqlite_ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path}/home/ledger.db")


@pytest.fixture
def postgres_database(postgres: str) -> str:
    """A fresh database on the session's server."""
    import psycopg

    name = f"ledger_{os.getpid()}_{next(_databases)}"
    with psycopg.connect(f"{postgres}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{postgres}/{name}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A private PostgreSQL server, run by an unprivileged account because the server refuses root."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")) or [
        Path(found) for name in ("postgres",) if (found := shutil.which(name))
    ]
    if not binaries:
        if os.environ.get("CI") == "true":
            pytest.fail("no PostgreSQL server is installed")
        pytest.skip("no PostgreSQL server is installed")
    as_postgres = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    root = Path(tempfile.mkdtemp(prefix="retrain-pg-"))  # a short path: socket names are limited to about 100 characters
    root.chmod(0o777)
    data, folder = root / "data", binaries[-1].resolve().parent
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        _run([*as_postgres, str(folder / "initdb"), "-D", str(data), "-U", "retrain", "-A", "trust", "--no-sync"], root)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={root}"
        start = [*as_postgres, str(folder / "pg_ctl"), "-D", str(data), "-o", options, "-w", "-l", str(root / "log"), "start"]
        _run(start, root)
        yield f"postgresql://retrain@127.0.0.1:{port}"
    finally:
        subprocess.run(
            [*as_postgres, str(folder / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop"],
            cwd=root,
            check=False,
            capture_output=True,
        )
        shutil.rmtree(root, ignore_errors=True)


def _run(command: list[str], where: Path) -> None:
    """Run a command whose children may outlive it, so its output goes to a file and not to a pipe that nobody closes."""
    with (where / "out").open("ab") as out:
        done = subprocess.run(command, cwd=where, check=False, stdout=out, stderr=out)
    assert done.returncode == 0, (where / "out").read_text()
