"""What a stage's run notes beside its answer: machine, times, packages, lock file; none of it changes a digest."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from importlib import import_module, invalidate_caches
from pathlib import Path

import pytest

from retrain_assets.compute import LocalCompute, StageRequest, StageResult, run_stage
from retrain_assets.compute.code import checkout_of, commit_of, lock_of
from retrain_assets.compute.machine import machine
from retrain_assets.compute.run_facts import installed
from retrain_assets.contract import canonical_json, digest_of
from retrain_assets_tests.compute.conftest import Road


def again(road: Road, folder: Path) -> StageRequest:
    return StageRequest("features", "parcel_delay", "r", road.contract, {"dataset": road.inputs()["dataset"]}, str(folder))


def test_a_run_says_when_where_and_with_what(road: Road, tmp_path: Path) -> None:
    result = run_stage(again(road, tmp_path))
    run = result.run
    assert datetime.fromisoformat(run["started_at"]) <= datetime.fromisoformat(run["ended_at"])
    assert run["seconds"] > 0
    assert run["machine"] == machine()
    assert run["installed"]["packages"]["polars"]
    assert run["installed"]["digest"] == digest_of(run["installed"]["packages"])
    assert canonical_json(result.record)


def test_two_runs_of_the_same_are_equal_and_their_records_differ_in_the_run_alone(road: Road, tmp_path: Path) -> None:
    first, second = run_stage(again(road, tmp_path)), run_stage(again(road, tmp_path))
    assert first == second
    assert {name for name in first.record if first.record[name] != second.record[name]} == {"run"}


def test_a_stored_result_keeps_the_facts_of_the_run_that_made_it(road: Road, tmp_path: Path) -> None:
    first = LocalCompute().run(again(road, tmp_path), run_id="run-1")
    second = LocalCompute().run(again(road, tmp_path), run_id="run-2")
    assert first.run["dagster_run_id"] == second.run["dagster_run_id"] == "run-1"
    assert first.record == second.record


def test_a_record_names_outputs_by_digest_and_no_place_on_disk(road: Road, tmp_path: Path) -> None:
    result = run_stage(again(road, tmp_path))
    assert result.record["outputs"] == {"features": result.outputs["features"]["digest"]}
    assert str(tmp_path).encode() not in canonical_json(result.record)


def test_a_result_of_before_runs_were_noted_is_read(road: Road, tmp_path: Path) -> None:
    result = run_stage(again(road, tmp_path))
    old = {name: value for name, value in result.to_json().items() if name != "run"}
    assert StageResult.from_json(old) == result
    assert StageResult.from_json(old).run == {}


def test_the_unit_key_is_no_part_of_a_request(road: Road, tmp_path: Path) -> None:
    plain = again(road, tmp_path)
    keyed = replace(plain, unit_key=b"secret of the home")
    assert keyed.digest == plain.digest
    assert "secret" not in repr(keyed)
    assert StageRequest.from_json(keyed.to_json()) == plain
    assert (
        keyed.unit_names.of("a") == replace(plain, unit_key=b"secret of the home").unit_names.of("a") != plain.unit_names.of("a")
    )


def test_a_machine_tells_its_kind_and_not_its_name() -> None:
    told = machine()
    assert told["cores"] >= told["usable_cores"] >= 1
    assert isinstance(told["accelerators"], list)
    assert set(told) == {"cpu", "architecture", "cores", "usable_cores", "memory_mb", "accelerators"}


def test_installed_packages_have_one_name_each() -> None:
    assert "scikit-learn" in installed()
    assert list(installed()) == sorted(installed())


@pytest.fixture
def team_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of a team outside any checkout, its code importable as ``the_teams_own.features``."""
    folder = tmp_path / "project" / "the_teams_own"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "features.py").write_text("def build(rows):\n    return rows\n")
    monkeypatch.syspath_prepend(str(tmp_path / "project"))
    invalidate_caches()
    import_module("the_teams_own.features")
    yield tmp_path / "project"
    for name in [name for name in sys.modules if name.startswith("the_teams_own")]:
        del sys.modules[name]


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    subprocess.run(["git", *who, "-C", str(folder), *arguments], check=True, capture_output=True)


def test_the_lock_file_of_the_project_is_found_and_none_beyond_its_checkout(team_code: Path) -> None:
    path = "the_teams_own.features.build"
    git(team_code, "init")
    (team_code.parent / "uv.lock").write_text("another project's")
    assert lock_of(path) == {"file": None, "digest": None}
    (team_code / "poetry.lock").write_text("ours")
    assert lock_of(path)["file"] == "poetry.lock"
    (team_code / "uv.lock").write_text("ours too")
    found = lock_of(path)
    assert found["file"] == "uv.lock"
    (team_code / "uv.lock").write_text("changed")
    assert lock_of(path)["digest"] != found["digest"]


def test_why_there_is_no_commit_is_said_and_where_the_code_is_without_credentials(team_code: Path) -> None:
    path = "the_teams_own.features.build"
    assert commit_of(path)["commit"] is None
    assert checkout_of(path) == {"repository": None, "unknown": "outside a git checkout"}
    git(team_code, "init")
    git(team_code, "add", ".")
    git(team_code, "commit", "-m", "first")
    assert checkout_of(path) == {"repository": None, "unknown": None}
    git(team_code, "remote", "add", "origin", "https://ann:secret@git.example.org/delay.git")
    assert checkout_of(path)["repository"] == "https://git.example.org/delay.git"
    assert commit_of(path)["dirty"] is False
