from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from retrain_assets.compute import LocalCompute, StageRequest, StageResult
from retrain_assets.contract import SourceError, StageError
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.parcels import CUTOFF, HERE, contract_values, parcels, write_source


@pytest.fixture
def request_(tmp_path: Path) -> StageRequest:
    contract = contract_values(write_source(tmp_path / "source", parcels(days=55, a_day=40)))
    return StageRequest("dataset", "parcel_delay", "r", contract, {}, str(tmp_path / "out"), {"cutoff": CUTOFF.isoformat()})


def written_at(request: StageRequest) -> int:
    return (request.directory / "dataset" / "train.parquet").stat().st_mtime_ns


def test_the_same_request_gives_the_stored_result(request_: StageRequest) -> None:
    first = LocalCompute().run(request_)
    stamp = written_at(request_)
    assert LocalCompute().run(request_) == first
    assert written_at(request_) == stamp
    assert StageResult.read(request_.directory / "result.json") == first


def test_a_new_file_in_the_source_is_read(request_: StageRequest, tmp_path: Path) -> None:
    first = LocalCompute().run(request_)
    parcels(days=30, a_day=10, seed=8).write_parquet(tmp_path / "source" / "c.parquet")
    assert LocalCompute().run(request_).outputs["dataset"]["digest"] != first.outputs["dataset"]["digest"]


def test_another_parameter_is_another_result(request_: StageRequest) -> None:
    first = LocalCompute().run(request_)
    other = replace(request_, parameters={"cutoff": "2024-02-28T00:00:00+00:00"})
    assert LocalCompute().run(other).outputs["dataset"]["digest"] != first.outputs["dataset"]["digest"]


@pytest.mark.parametrize("damage", ["change", "remove", "spoil result"])
def test_outputs_that_are_not_as_recorded_are_made_again(request_: StageRequest, damage: str) -> None:
    first = LocalCompute().run(request_)
    path = request_.directory / "dataset" / "holdout.parquet"
    if damage == "change":
        path.write_bytes((request_.directory / "dataset" / "train.parquet").read_bytes())
    elif damage == "remove":
        path.unlink()
    else:
        (request_.directory / "result.json").write_text("{")
    stamp = written_at(request_)
    assert LocalCompute().run(request_) == first
    assert written_at(request_) > stamp


def test_changed_inputs_are_noticed(road: Road, tmp_path: Path) -> None:
    request = StageRequest("features", "parcel_delay", "r", road.contract, {"dataset": road.inputs()["dataset"]}, str(tmp_path))
    basis = LocalCompute().basis(request)
    assert LocalCompute().basis(request) == basis
    assert LocalCompute().basis(replace(request, inputs={"dataset": road.inputs()["candidate"]})) != basis
    assert LocalCompute().basis(replace(request, contract={**road.contract, "features": f"{HERE}.build_native"})) != basis


def test_a_failed_stage_leaves_no_result(request_: StageRequest, tmp_path: Path) -> None:
    LocalCompute().run(request_)
    (tmp_path / "source" / "a.parquet").write_bytes(b"broken")
    with pytest.raises(SourceError, match="not a readable Parquet file"):
        LocalCompute().run(request_)
    assert not (request_.directory / "result.json").exists()


def test_a_stage_runs_in_a_process_of_its_own_with_the_same_result(request_: StageRequest, tmp_path: Path) -> None:
    here = LocalCompute().run(request_)
    (tmp_path / "request.json").write_text(json.dumps(request_.to_json()))
    command = [sys.executable, "-m", "retrain_assets.compute.stage", "request.json", "result.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert StageResult.read(tmp_path / "result.json") == here


def test_a_process_that_cannot_do_its_stage_says_so_in_one_line(request_: StageRequest, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(json.dumps(replace(request_, stage="training").to_json()))
    command = [sys.executable, "-m", "retrain_assets.compute.stage", "request.json", "result.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "stage training: input 'features' is missing; run the stage that makes 'features' first\n"
    assert not (tmp_path / "result.json").exists()


def test_a_request_with_unknown_fields_is_refused(request_: StageRequest) -> None:
    with pytest.raises(StageError, match="fields outputs are missing or unknown"):
        StageRequest.from_json({**request_.to_json(), "outputs": {}})
    assert StageRequest.from_json(json.loads(json.dumps(request_.to_json()))) == request_


def test_changed_code_of_the_teams_estimator_is_another_basis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "team_estimator.py"
    values = contract_values(write_source(tmp_path / "source", parcels(days=55, a_day=40)))
    values["trainer"] |= {"estimator": "team_estimator.Best"}
    asked = StageRequest("training", "parcel_delay", "r", values, {}, str(tmp_path / "out"))
    module.write_text("class Best: ...\n")
    first = LocalCompute().basis(asked)
    assert LocalCompute().basis(asked) == first
    module.write_text("class Best:\n    depth = 3\n")
    assert LocalCompute().basis(asked) != first


def test_another_version_of_the_estimators_library_is_another_basis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = contract_values(write_source(tmp_path / "source", parcels(days=55, a_day=40)))
    asked = StageRequest("training", "parcel_delay", "r", values, {}, str(tmp_path / "out"))
    first = LocalCompute().basis(asked)
    monkeypatch.setattr("retrain_assets.compute.estimator.version", lambda name: "0.0.1")
    assert LocalCompute().basis(asked) != first
