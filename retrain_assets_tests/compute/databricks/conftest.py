from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrain_assets_tests.compute.databricks.world import World, make_world, write_team
from retrain_assets_tests.workspace import Workspace
from retrain_assets_tests.workspace.fixtures import workspace

__all__ = ["workspace"]


@pytest.fixture(scope="session", autouse=True)
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The team's package on this process's path, and on no task's."""
    folder = write_team(tmp_path_factory.mktemp("team"))
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture
def environment(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The orchestrator knows the workspace and has no volume mounted; tasks calculate with the same kernels as it does."""
    monkeypatch.setenv("DATABRICKS_HOST", workspace.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)
    workspace.task_environment |= {name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_")}


@pytest.fixture
def world(workspace: Workspace, environment: None, retrain_home: Path) -> World:
    """A home whose source also lies on the volume."""
    made = make_world(retrain_home)
    there = workspace.path("/Volumes/main/retrain/state/source")
    there.mkdir(parents=True)
    for file in (retrain_home / "source").iterdir():
        (there / file.name).write_bytes(file.read_bytes())
    return made
