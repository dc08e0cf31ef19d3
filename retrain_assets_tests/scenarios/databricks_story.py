"""The same stories with heavy stages on an emulated Databricks workspace, through the real clients."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from retrain_assets.compute.request import StageResult
from retrain_assets.contract import Contract
from retrain_assets.home import Home
from retrain_assets_tests.scenarios.story import MODEL, RETRAIN, Story
from retrain_assets_tests.simulation import contract_with
from retrain_assets_tests.workspace.workspace import Workspace

VOLUME = "/Volumes/main/retrain/state"


def contract_there(*, settings: dict[str, Any] | None = None, **changes: Any) -> Contract:
    """The simulation's contract with the stages of a retrain on Databricks; ``settings`` are of ``compute.databricks``."""
    place = {
        "volume": VOLUME,
        "cluster": {"node_type": "i3.xlarge", "price_per_node_hour": 0.6},
        "poll": "1s",
        "start_timeout": "2m",
        **(settings or {}),
    }
    return contract_with(compute={"databricks": place}, **changes)


@dataclass
class DatabricksStory(Story):
    """A story whose stages run there. Its source lies on the volume too, where the job reads it."""

    workspace: Workspace | None = None

    def write_source(self, rows: pl.DataFrame | None = None) -> Path:
        path = super().write_source(rows)
        assert self.workspace is not None
        there = self.workspace.path(f"{VOLUME}/sources/{path.name}")
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, there)
        return path

    def result(self, stage: str, key: str = RETRAIN) -> StageResult:
        """A stage's stored result."""
        return StageResult.read(self.home.stage_dir(MODEL, key, stage) / "result.json")

    def job_runs(self) -> int:
        """Runs of the job that were asked for."""
        assert self.workspace is not None
        return sum(path.endswith("/jobs/run-now") for _, path in self.workspace.requests)


@contextmanager
def databricks_story_in(root: Path, workspace: Workspace, contract: Contract | None = None) -> Iterator[DatabricksStory]:
    """A story whose home is ``root`` and whose environment names the workspace; no volume is mounted here."""
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("RETRAIN_HOME", str(root))
        patch.setenv("DATABRICKS_HOST", workspace.url)
        patch.setenv("DATABRICKS_TOKEN", workspace.token)
        yield DatabricksStory(Home(root), instance, contract or contract_there(), workspace=workspace)
