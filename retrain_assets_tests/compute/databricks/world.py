"""A model whose stages run on an emulated workspace: its team's package, its contract, its home, its requests."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrain_assets.compute import StageRequest
from retrain_assets.compute.databricks import DatabricksCompute
from retrain_assets.contract import Contract
from retrain_assets.contract.compute import RETRAIN_STAGES
from retrain_assets.home import Home
from retrain_assets_tests.compute import parcels
from retrain_assets_tests.compute.parcels import CUTOFF, contract_values, write_source
from retrain_assets_tests.workspace import Workspace

VOLUME = "/Volumes/main/retrain/state"
TEAM = "parcel_team"
RETRAIN = "2024-03-01"
CLUSTER = {"node_type": "i3.xlarge", "price_per_node_hour": 0.5}


def write_team(folder: Path) -> Path:
    """The team's package, which nobody but this process can import; only its schema imports pandera."""
    source, schema = Path(parcels.__file__).read_text(), inspect.getsource(parcels.Parcels)
    (folder / TEAM).mkdir(parents=True, exist_ok=True)
    (folder / TEAM / "__init__.py").write_text("")
    (folder / TEAM / "schema.py").write_text(source)
    (folder / TEAM / "features.py").write_text(source.replace(schema, "").replace("import pandera.polars as pa\n", ""))
    return folder


def contract_there(**changes: Any) -> dict[str, Any]:
    """The contract of the parcels with its stages on Databricks; ``changes`` are of ``compute.databricks``."""
    values = contract_values(Path("unused"))
    values["source"] |= {"uri": "${RETRAIN_HOME}/source/*.parquet", "schema": f"{TEAM}.schema.Parcels"}
    values["features"] = f"{TEAM}.features.build"
    settings = {"volume": VOLUME, "cluster": CLUSTER, "poll": "0.2s", "start_timeout": "60s"}
    values["compute"] = {"databricks": {**settings, **changes}}
    return Contract.model_validate(values).to_json()


@dataclass(frozen=True)
class World:
    """One home and what its model's stages are asked."""

    home: Path
    contract: Mapping[str, Any]

    @property
    def compute(self) -> DatabricksCompute:
        settings = Contract.recorded(self.contract).databricks
        assert settings is not None
        return DatabricksCompute(settings, Home(self.home))

    def request(self, stage: str, retrain: str = RETRAIN, **changes: Any) -> StageRequest:
        inputs = {
            "dataset": {},
            "features": {"dataset": ("dataset", "dataset")},
            "training": {"features": ("features", "features")},
            "evaluation": {
                "dataset": ("dataset", "dataset"),
                "features": ("features", "features"),
                "candidate": ("training", "bundle"),
            },
        }[stage]
        parameters = {"dataset": {"cutoff": CUTOFF.isoformat()}, "evaluation": {"bootstrap": True}}.get(stage, {})
        folder = self.home / "stages" / "parcel_delay" / retrain
        places = {name: str(folder.joinpath(*place)) for name, place in inputs.items()}
        values = {"inputs": places, "parameters": parameters, "unit_key": b"k" * 32, **changes}
        return StageRequest(
            stage=stage, model="parcel_delay", retrain=retrain, contract=self.contract, output_dir=str(folder / stage), **values
        )

    def road(self, first: str = "dataset") -> list[StageRequest]:
        return [self.request(stage) for stage in RETRAIN_STAGES[RETRAIN_STAGES.index(first) :]]


def make_world(home: Path, **changes: Any) -> World:
    write_source(home / "source")
    return World(home, contract_there(**changes))


def run_task(folder: str, stage: str, environment: Mapping[str, str], path: Sequence[Path]) -> subprocess.CompletedProcess[str]:
    """A job's task as a process of its own, with wheels on its path and nothing else of this one."""
    code = "from retrain_assets.compute.stage import console; console()"
    return subprocess.run(
        [sys.executable, "-P", "-c", code, folder, stage],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(map(str, path)), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def run_ids(workspace: Workspace) -> list[int]:
    """Ids of all runs that were begun."""
    return sorted(int(run.run_id or 0) for run in workspace.client().jobs.list_runs(expand_tasks=False))
