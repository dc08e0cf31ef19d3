"""The same stories with heavy stages on an emulated Databricks workspace, through the real clients."""

from __future__ import annotations

import os
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

ARITHMETIC = ("OPENBLAS_", "OMP_", "MKL_")
"""Settings of linear algebra. Nodes of the cluster are taken to be machines like this one; other kernels round otherwise."""


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

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.home.root / "sources").exists():
            self.mirror_sources()

    def write_source(self, rows: pl.DataFrame | None = None) -> Path:
        path = super().write_source(rows)
        self.mirror_sources()
        return path

    def mirror_sources(self) -> None:
        """Put the home's source files on the volume."""
        shutil.copytree(self.home.root / "sources", self.there.path(f"{VOLUME}/sources"), dirs_exist_ok=True)

    @property
    def there(self) -> Workspace:
        assert self.workspace is not None
        return self.workspace

    def result(self, stage: str, key: str = RETRAIN) -> StageResult:
        """A stage's stored result."""
        return StageResult.read(self.home.stage_dir(MODEL, key, stage) / "result.json")

    def asked(self, path: str) -> int:
        """How often a path of the workspace was asked, by whom ever."""
        return sum(one.endswith(path) for _, one in self.there.requests)

    def page(self, asset: str) -> dict[str, dg.MetadataValue]:  # type: ignore[type-arg]
        """What Dagster shows of the latest materialisation of an asset."""
        event = self.instance.get_latest_materialization_event(self.engine.road.key(asset))
        assert event is not None
        assert event.asset_materialization is not None
        return dict(event.asset_materialization.metadata)

    def checks(self, asset: str, key: str = RETRAIN) -> dict[str, tuple[bool, str | None]]:
        """The latest results of an asset's checks as Dagster keeps them: whether each passed, and for which partition."""
        found: dict[str, tuple[bool, str | None]] = {}
        for run in reversed(self.instance.get_runs(dg.RunsFilter(tags={"dagster/partition": key}))):
            for entry in self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
                assert entry.dagster_event is not None
                one = entry.dagster_event.asset_check_evaluation_data
                if one.asset_key == self.engine.road.key(asset):
                    found[one.check_name] = (one.passed, one.partition)
        return found

    def steps(self, job: str) -> set[str]:
        """The steps of the latest run of a job."""
        (run,) = self.instance.get_runs(dg.RunsFilter(job_name=job), limit=1)
        return {one.step_key for one in self.instance.get_run_step_stats(run.run_id)}


@contextmanager
def databricks_story_in(root: Path, workspace: Workspace, contract: Contract | None = None) -> Iterator[DatabricksStory]:
    """A story whose home is ``root`` and whose environment names the workspace; no volume is mounted here."""
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("RETRAIN_HOME", str(root))
        patch.setenv("DATABRICKS_HOST", workspace.url)
        patch.setenv("DATABRICKS_TOKEN", workspace.token)
        workspace.task_environment |= {name: value for name, value in os.environ.items() if name.startswith(ARITHMETIC)}
        yield DatabricksStory(Home(root), instance, contract or contract_there(), workspace=workspace)
