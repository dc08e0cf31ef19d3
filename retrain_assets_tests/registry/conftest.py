"""A real MLflow store with an SQLite file. Making one runs all migrations, so it is made once a session and copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from retrain_assets.registry import Registry
from retrain_assets.registry.mlflow_store import connect


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with MLflow's tables and nothing in them."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    connect(f"sqlite:///{path}")
    return path


@pytest.fixture
def registry(tmp_path: Path, empty_store: Path) -> Registry:
    """An empty registry of the test's own."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return Registry(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")
