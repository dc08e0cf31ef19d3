"""A release by commands, with the registry in Unity Catalog: aliases, anchors, verification, repair, export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from retrain_assets.cli.app import app
from retrain_assets.cli.opening import PATIENCE
from retrain_assets.registry import Registry
from retrain_assets_tests.cli.world import MODEL, RUTH, World, write_project
from retrain_assets_tests.workspace import Workspace

from .workspaces import SCHEMA, home_of

NAME = f"{SCHEMA}.{MODEL}"


@pytest.fixture
def world(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """A champion and a challenger at 50 per cent."""
    home = home_of(workspace, monkeypatch, tmp_path)
    monkeypatch.setenv("RETRAIN_HOME", str(home.root))
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path)
    made = World(home.root)
    made.begin()
    made.bootstrap()
    made.ramp()
    return made


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner(env=dict.fromkeys(PATIENCE)).invoke(app, list(arguments))
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result


def act(*arguments: str, code: int = 0) -> Result:
    return run(*arguments, "--reason", "because of the test", "--as", RUTH.name, code=code)


def test_a_release_is_shown_verified_repaired_and_exported_from_the_catalog(world: World, workspace: Workspace) -> None:
    registry = Registry.of(world.home)
    assert registry.aliases(MODEL) == {"champion": "1", "challenger": "2"}
    assert registry.carried_head(MODEL, "1") is not None
    assert not (world.home.root / "mlflow.db").exists()
    assert "2 registered versions" in run("audit", "verify").stdout

    models = workspace.parts["models"].all[NAME]
    del models.info.aliases[:]
    assert registry.champion(MODEL) is None
    run("reconcile", "--everything")
    assert registry.aliases(MODEL) == {"champion": "1", "challenger": "2"}

    act("export", "databricks", MODEL, "--endpoint", "churn", "--ignore-cohort")
    served = workspace.client().serving_endpoints.get("churn").config
    assert served is not None
    assert {(one.entity_name, one.entity_version) for one in served.served_entities or []} == {(NAME, "1"), (NAME, "2")}

    act("toggle", "rollback", world.toggle.name)
    assert registry.aliases(MODEL) == {"champion": "1"}

    kept = models.versions["1"]
    manifest = workspace.parts["models"].files.place(kept) / "data/bundle/manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "seed": 99}))
    told = run("audit", "verify", code=4).output
    assert f"- churn version 1: models:/{NAME}/1/data/bundle: bundle has digest" in told


def test_a_catalog_that_does_not_answer_changes_nothing_and_is_named(
    world: World, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.parts["unity_catalog"].grant("main", {"other@example.com": {"ALL_PRIVILEGES"}})
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi0")
    workspace.tokens["dapi0"] = "somebody@example.com"
    told = run("audit", "verify", code=3)
    assert "RETRAIN_REGISTRY_SCHEMA=main.models" in told.output
    assert "Traceback" not in told.output
