"""What every test stands on: a home of its own, telemetry off, the reference vectors, and no writes into the checkout."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CHECKOUT = Path(__file__).resolve().parent.parent
TOOL_CACHES = frozenset(
    {".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache", ".venv", ".git", "__pycache__"}
)
TELEMETRY_OFF = {"DAGSTER_DISABLE_TELEMETRY": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
BRIEF_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Of a JVM that lives for minutes: code is not compiled twice, memory is cleaned by one thread. Halves what Spark takes here."""
MOVES_STATE = ("DAGSTER_HOME", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_RUN_ID", "RETRAIN_LEDGER_URL")
MOVE_PLACES = ("DATABRICKS_", "RETRAIN_VOLUMES", "RETRAIN_REGISTRY_SCHEMA", "RETRAIN_EXPERIMENT_FOLDER")
"""Beginnings of further such names: of the workspace, its volumes and its registry."""

_stray_writes: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """Before any product module is imported: no telemetry, no state of the person who runs the tests."""
    os.environ.update(TELEMETRY_OFF)
    os.environ.setdefault("JDK_JAVA_OPTIONS", BRIEF_JVM)
    for name in [name for name in os.environ if name in MOVES_STATE or name.startswith(MOVE_PLACES)]:
        del os.environ[name]
    sys.addaudithook(_note_stray_write)


@pytest.fixture(scope="session", autouse=True)
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home for what session and module fixtures make, before a test has one of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRAIN_HOME", str(tmp_path_factory.mktemp("session") / "home"))
        yield


@pytest.fixture(autouse=True)
def retrain_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Each test has its own RETRAIN_HOME and working directory, and leaves nothing in the checkout."""
    home = tmp_path / "home"
    monkeypatch.setenv("RETRAIN_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    _stray_writes.clear()
    yield home
    assert not _stray_writes, f"the test wrote into the checkout: {sorted(set(_stray_writes))}; write below tmp_path"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real MLflow store, an SQLite file with all tables and nothing in them. Making one runs all migrations: copy it."""
    from retrain_assets.registry.mlflow_store import connect

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    connect(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def java() -> None:
    """Spark needs Java: without it a test skips, and fails under CI."""
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        absent = "Spark needs Java; install a Java runtime"
        if os.environ.get("CI") == "true":
            pytest.fail(absent)
        pytest.skip(absent)


@pytest.fixture(scope="session")
def spark(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one Spark session of a test process, two cores, not in UTC."""
    from pyspark.sql import SparkSession

    folder = tmp_path_factory.mktemp("spark")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        builder = SparkSession.builder.master("local[2]").appName("tests")
        settings = {
            "spark.ui.enabled": "false",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.memory": "1g",
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            "spark.local.dir": str(folder / "scratch"),
            "spark.sql.session.timeZone": "America/New_York",
        }
        for name, value in settings.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        yield session
        session.stop()


@pytest.fixture(scope="session")
def oracles() -> Callable[[str], list[dict[str, Any]]]:
    """Reference vectors by name: ``oracles("drift")`` gives the cases of drift.json."""
    return oracle_cases


def oracle_cases(name: str) -> list[dict[str, Any]]:
    """The cases of one reference file; skips the test where the files are not at hand, and fails there under CI."""
    folder = Path(os.environ.get("RETRAIN_ORACLES") or CHECKOUT.parent / "shared" / "oracles")
    path = folder / f"{name}.json"
    if not path.is_file():
        absent = f"no reference vectors {name}.json; set RETRAIN_ORACLES to their folder"
        if os.environ.get("CI") == "true":
            pytest.fail(absent)
        pytest.skip(absent)
    cases: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cases"]
    assert cases, f"{name}.json holds no cases"
    return cases


def _note_stray_write(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, mode, flags = arguments
        writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool(flags & (os.O_WRONLY | os.O_RDWR))
    elif event in {"os.mkdir", "sqlite3.connect"}:
        path, writes = arguments[0], True
    else:
        return
    if not writes or not isinstance(path, str | os.PathLike):
        return
    name = os.fspath(path)
    if isinstance(name, bytes) or name.startswith(("file:", ":memory:")) or not name:
        return
    target = os.path.abspath(name)  # noqa: PTH100 (an audit hook runs on every open; a Path costs ten times as much)
    if target.startswith(f"{CHECKOUT}{os.sep}") and TOOL_CACHES.isdisjoint(Path(target).relative_to(CHECKOUT).parts):
        _stray_writes.append(target)
