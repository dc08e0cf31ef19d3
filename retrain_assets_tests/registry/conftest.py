"""An empty registry in a store of the test's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from retrain_assets.registry import Registry
from retrain_assets_tests.workspace.fixtures import workspace  # noqa: F401


@pytest.fixture
def registry(tmp_path: Path, empty_store: Path) -> Registry:
    """An empty registry of the test's own."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return Registry(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")
