"""``retrain databricks``: the bundle that deploys a model's job, and what a workspace is asked for."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.sdk.service import catalog, jobs

from retrain_assets.cli.contracts import contract_of
from retrain_assets.compute.databricks.code_wheels import code_wheels
from retrain_assets.compute.databricks.job_settings import job_settings

from .conftest import Run
from .world import write_project

VOLUME = "/Volumes/main/retrain/state"
CLUSTER = {"node_type": "i3.xlarge"}


@pytest.fixture
def project(retrain_home: Path) -> Path:
    """A project whose model's heavy stages run on Databricks."""
    folder = retrain_home.parent
    write_project(folder)
    on_databricks(folder)
    return folder


def on_databricks(folder: Path, **changes: Any) -> None:
    (file,) = folder.rglob("defs.yaml")
    document = yaml.safe_load(file.read_text())
    document["attributes"]["compute"] = {"databricks": {"volume": VOLUME, "cluster": CLUSTER, **changes}}
    file.write_text(yaml.safe_dump(document))


def bundle_in(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((folder / "databricks" / "databricks.yml").read_text())
    return document


def test_a_bundle_deploys_the_job_that_would_be_made_from_here(project: Path, run: Run) -> None:
    run("databricks", "bundle", "churn", "--target", "dev", "--target", "production=https://prod.cloud.databricks.com,live")
    document = bundle_in(project)
    job = document["resources"]["jobs"]["churn"]
    contract = contract_of("churn")
    names = [f"./wheels/{wheel.name}" for wheel in code_wheels(contract)]
    made = job_settings(contract, names).as_dict()
    deployed = {key: value for key, value in job.items() if key not in ("permissions", "description", "name", "tags")}
    assert deployed == {key: made[key] for key in deployed}
    assert set(made) - set(deployed) == {"description", "name", "tags"}
    assert job["name"] == made["name"].replace("/main/", "/${var.catalog}/")
    assert {one["level"] for one in job["permissions"]} == {"CAN_MANAGE_RUN", "CAN_VIEW"}
    assert document["targets"]["production"]["workspace"]["host"] == "https://prod.cloud.databricks.com"
    assert document["targets"]["production"]["variables"] == {"catalog": "live"}
    assert [name for name, target in document["targets"].items() if target.get("default")] == ["dev"]


def test_every_resource_of_a_bundle_is_one_that_databricks_knows(project: Path, run: Run) -> None:
    run("databricks", "bundle", "churn")
    resources = bundle_in(project)["resources"]
    for job in resources["jobs"].values():
        settings = {key: value for key, value in job.items() if key != "permissions"}
        assert jobs.JobSettings.from_dict(settings).as_dict() == settings
        assert all(jobs.JobPermissionLevel(one["level"]) for one in job["permissions"])
    (volume,) = resources["volumes"].values()
    assert catalog.VolumeType(volume["volume_type"])
    assert [catalog.Privilege(name) for one in volume["grants"] for name in one["privileges"]]
    assert (volume["catalog_name"], volume["schema_name"], volume["name"]) == ("${var.catalog}", "retrain", "state")


def test_the_wheels_of_a_bundle_have_every_entry_point_its_jobs_call(project: Path, run: Run) -> None:
    run("databricks", "bundle", "churn")
    tasks = [task for job in bundle_in(project)["resources"]["jobs"].values() for task in job["tasks"]]
    (product,) = (project / "databricks" / "wheels").glob("retrain_assets-*.whl")
    with zipfile.ZipFile(product) as wheel:
        (points,) = [wheel.read(name).decode() for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert {task["python_wheel_task"]["entry_point"] for task in tasks} == {"retrain-stage", "retrain-tidy"}
    assert all(f"{task['python_wheel_task']['entry_point']} = " in points for task in tasks)


def test_only_the_housekeeping_has_a_schedule_as_dagster_launches_retrains(project: Path, run: Run) -> None:
    run("databricks", "bundle", "churn")
    scheduled = {name for name, job in bundle_in(project)["resources"]["jobs"].items() if "schedule" in job}
    assert scheduled == {"retrain_housekeeping"}


def test_a_bundle_that_is_there_is_kept_unless_one_says_otherwise_and_stale_wheels_go(project: Path, run: Run) -> None:
    run("databricks", "bundle", "churn")
    stale = project / "databricks" / "wheels" / "retrain_assets-0-py3-none-any.whl"
    stale.write_bytes(b"")
    assert "is there already" in run("databricks", "bundle", "churn", code=1).stderr
    run("databricks", "bundle", "churn", "--force")
    assert not stale.exists()


@pytest.mark.parametrize("target", ["production=http://x", "a b", "=https://x"])
def test_what_is_no_environment_is_refused(project: Path, run: Run, target: str) -> None:
    assert "is no environment" in run("databricks", "bundle", "churn", "--target", target, code=3).stderr


def test_a_model_that_does_not_run_there_is_refused_with_what_to_write(retrain_home: Path, run: Run) -> None:
    write_project(retrain_home.parent)
    for command in ("check", "bundle"):
        assert "says compute: local; write compute: {databricks: …}" in run("databricks", command, "churn", code=1).stderr


def test_without_a_host_the_check_names_the_setting(project: Path, run: Run) -> None:
    assert "DATABRICKS_HOST" in run("databricks", "check", "churn", code=3, DATABRICKS_CONFIG_FILE="/nonexistent").stderr
