"""The synthetic road, run once per session; tests read it and never write into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets_tests.compute.parcels import CUTOFF, contract_values, write_source


@dataclass(frozen=True)
class Road:
    """Results of the stages of one bootstrap retrain of the synthetic model."""

    folder: Path
    contract: dict[str, Any]
    dataset: StageResult
    features: StageResult
    training: StageResult

    def inputs(self) -> dict[str, str]:
        return {
            "dataset": self.dataset.outputs["dataset"]["uri"],
            "features": self.features.outputs["features"]["uri"],
            "candidate": self.training.outputs["bundle"]["uri"],
        }


def run_road(folder: Path, contract: dict[str, Any], retrain: str = "2024-03-01") -> Road:
    def run(stage: str, inputs: dict[str, str], **parameters: Any) -> StageResult:
        request = StageRequest(stage, contract["model"], retrain, contract, inputs, str(folder / stage), parameters)
        return run_stage(request)

    dataset = run("dataset", {}, cutoff=CUTOFF.isoformat())
    features = run("features", {"dataset": dataset.outputs["dataset"]["uri"]})
    training = run("training", {"features": features.outputs["features"]["uri"]})
    return Road(folder, contract, dataset, features, training)


@pytest.fixture(scope="session")
def road(tmp_path_factory: pytest.TempPathFactory) -> Road:
    folder = tmp_path_factory.mktemp("road")
    return run_road(folder, contract_values(write_source(folder / "source")))
