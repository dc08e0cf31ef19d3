from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.compute.databricks.answers import AnswerLost, Answers
from retrain_assets.compute.databricks.mirror import Mirror
from retrain_assets.compute.databricks.volume import Volume
from retrain_assets.contract import StageError
from retrain_assets_tests.compute.databricks.world import VOLUME, World, contract_there
from retrain_assets_tests.workspace import Workspace

RESULT = f"{VOLUME}/orders/o/result.json"
DATASET = f"{VOLUME}/stages/parcel_delay/2024-03-01/dataset"


class Forger:
    """Somebody who may write on the volume, and the orchestrator that reads what they wrote."""

    def __init__(self, home: Path, workspace: Workspace) -> None:
        self.request = World(home, contract_there()).request("dataset")
        self.volume = Volume(workspace.client(), VOLUME)
        self.answers = Answers(Mirror(home, VOLUME), self.volume)

    def write(self, uri: str, files: dict[str, Any]) -> None:
        result = {"stage": "dataset", "outputs": {"dataset": {"uri": uri, "digest": "sha256:0"}}, "metadata": {}, "verdicts": {}}
        told = {"result": {**result, "request_digest": self.request.digest}, "inputs": {}, "files": files}
        self.volume.write(RESULT, json.dumps(told).encode())

    def read(self) -> object:
        return self.answers.read(RESULT, self.request, "page")


@pytest.fixture
def forger(environment: None, retrain_home: Path, workspace: Workspace) -> Forger:
    return Forger(retrain_home, workspace)


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        (f"{DATASET}/../../../../keys", "a"),
        (f"{DATASET}", "a"),
        (f"{VOLUME}/stages/parcel_delay/2024-03-01/training/bundle", "a"),
        (f"{DATASET}x/dataset", "a"),
        (f"{DATASET}//keys", "a"),
        ("/Volumes/main/other/volume/dataset", "a"),
        (f"{DATASET}/dataset", "../../../../../keys/units"),
        (f"{DATASET}/dataset", "/tmp/a"),
    ],
)
def test_a_forged_answer_decides_over_no_file_outside_its_stage(forger: Forger, uri: str, file: str) -> None:
    forger.write(uri, {"dataset": {file: {"size": 1, "sha256": "0"}}})
    with pytest.raises(StageError, match="output 'dataset' of the result lies outside"):
        forger.read()


@pytest.mark.parametrize("tamper", [lambda _: {}, lambda facts: {"dataset": [facts]}, lambda _: {"dataset": {"a": {}}}])
def test_an_answer_that_does_not_tell_of_its_files_is_damaged(forger: Forger, tamper: Callable[[Any], Any]) -> None:
    forger.write(f"{DATASET}/dataset", tamper({"size": 1, "sha256": "0"}))
    with pytest.raises(AnswerLost, match="cut off or damaged"):
        forger.read()


def test_file_names_with_blanks_and_letters_of_any_language_come_home(forger: Forger) -> None:
    forger.write(f"{DATASET}/dataset", {"dataset": {"Größe in %20 kg/..a b#c?.parquet": {"size": 1, "sha256": "0"}}})
    assert forger.read()
