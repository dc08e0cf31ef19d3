from __future__ import annotations

from pathlib import Path

import pytest

from retrain_assets.contract import RegistryUnavailable
from retrain_assets.home import Home
from retrain_assets.registry import Registry
from retrain_assets_tests.workspace import Workspace

from .test_registry import bundle
from .workspaces import MODEL, NAME, SCHEMA, home_of


@pytest.mark.parametrize(
    ("tracking", "registry", "expected"),
    [
        ("", "", "sqlite:////h/mlflow.db"),
        ("http://mlflow:5000", "", "http://mlflow:5000"),
        ("http://mlflow:5000", "http://other:5000", "http://mlflow:5000"),
        ("databricks", "", "databricks-uc"),
        ("databricks://prod", "", "databricks-uc://prod"),
        ("http://mlflow:5000", "databricks-uc", "databricks-uc"),
    ],
)
def test_the_registry_is_the_tracking_server_unless_settings_name_databricks(
    monkeypatch: pytest.MonkeyPatch, tracking: str, registry: str, expected: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry)
    assert Home(Path("/h")).registry_uri == expected
    assert type(Registry.of(Home(Path("/h")))).__name__ == ("Registry" if "uc" not in expected else "UnityCatalogRegistry")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"RETRAIN_REGISTRY_SCHEMA": ""},
            "RETRAIN_REGISTRY_SCHEMA: is not set, and models in Unity Catalog have",
        ),
        ({"RETRAIN_REGISTRY_SCHEMA": "models"}, "RETRAIN_REGISTRY_SCHEMA=models: is not CATALOG.SCHEMA"),
        ({"RETRAIN_REGISTRY_SCHEMA": "main.nothing"}, "RETRAIN_REGISTRY_SCHEMA=main.nothing: there is no such schema (Schema"),
        (
            {"RETRAIN_REGISTRY_SCHEMA": "test.models"},
            "RETRAIN_REGISTRY_SCHEMA=test.models: there is no such schema (Catalog",
        ),
        (
            {"MLFLOW_REGISTRY_URI": "databricks"},
            "MLFLOW_REGISTRY_URI=databricks: models are registered in Unity Catalog",
        ),
        ({"DATABRICKS_TOKEN": "dapi0"}, "DATABRICKS_TOKEN: the workspace does not accept the credentials (Invalid access token"),
        ({"DATABRICKS_TOKEN": "", "DATABRICKS_HOST": ""}, "DATABRICKS_HOST: nothing says which workspace this is"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_setting_is_named_in_one_line(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: dict[str, str], line: str
) -> None:
    registry = Registry.of(home_of(workspace, monkeypatch, tmp_path, **settings))
    with pytest.raises(RegistryUnavailable) as told:
        registry.list_versions(MODEL)
    assert told.value.line.startswith(line)
    assert "\n" not in told.value.line


def test_a_host_that_is_no_workspace_is_named(monkeypatch: pytest.MonkeyPatch, workspace: Workspace, tmp_path: Path) -> None:
    principal = {"DATABRICKS_TOKEN": "", "DATABRICKS_CLIENT_ID": "a", "DATABRICKS_CLIENT_SECRET": "b"}
    registry = Registry.of(home_of(workspace, monkeypatch, tmp_path, DATABRICKS_HOST="http://127.0.0.1:9", **principal))
    with pytest.raises(
        RegistryUnavailable, match=r"^DATABRICKS_HOST=http://127.0.0.1:9: does not answer as a Databricks workspace"
    ):
        registry.aliases(MODEL)


@pytest.mark.parametrize("kept", [{"USE_CATALOG"}, {"USE_SCHEMA"}, set()], ids=["no schema", "no catalog", "nothing"])
def test_a_schema_that_may_not_be_used_is_named_with_what_is_missing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept: set[str]
) -> None:
    registry = Registry.of(home_of(workspace, monkeypatch, tmp_path))
    workspace.parts["unity_catalog"].grant("main", {workspace.user: kept})
    with pytest.raises(RegistryUnavailable) as told:
        registry.champion(MODEL)
    missing = "USE SCHEMA on Schema" if "USE_CATALOG" in kept else "USE CATALOG on Catalog"
    assert told.value.line.startswith(
        f"RETRAIN_REGISTRY_SCHEMA={SCHEMA}: it may not be used (PERMISSION_DENIED: User does not have"
    )
    assert missing in told.value.line
    assert "grant the caller USE CATALOG, USE SCHEMA" in told.value.line


def test_without_the_right_to_make_models_nothing_is_half_done(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    registry = Registry.of(home_of(workspace, monkeypatch, tmp_path))
    workspace.parts["unity_catalog"].grant(SCHEMA, {workspace.user: {"USE_CATALOG", "USE_SCHEMA", "EXECUTE"}})
    with pytest.raises(
        RegistryUnavailable, match=r"User does not have CREATE MODEL on Schema 'main.models'.*RETRAIN_REGISTRY_SCHEMA"
    ):
        registry.register(*bundle(tmp_path))
    assert workspace.parts["models"].all == {}
    assert workspace.count("POST", "/api/2.0/mlflow/runs/create") == 0


def test_a_token_that_expires_later_is_named_too(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    registry = Registry.of(home_of(workspace, monkeypatch, tmp_path))
    registry.register(*bundle(tmp_path))
    workspace.tokens.clear()
    with pytest.raises(RegistryUnavailable, match=r"^DATABRICKS_TOKEN: the workspace does not accept the credentials"):
        registry.set_tags(MODEL, "1", {"status": "champion"})


def test_another_folder_of_experiments_is_a_setting(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    registry = Registry.of(home_of(workspace, monkeypatch, tmp_path, RETRAIN_EXPERIMENT_FOLDER="/Shared/teams/parcels/"))
    registry.register(*bundle(tmp_path))
    assert MlflowClient().get_experiment_by_name(f"/Shared/teams/parcels/{MODEL}") is not None
    assert list(workspace.parts["models"].all) == [NAME]


def test_a_service_principal_registers_as_a_person_does(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client_id, secret = workspace.parts["identity"].add_principal()
    principal = {"DATABRICKS_TOKEN": "", "DATABRICKS_CLIENT_ID": client_id, "DATABRICKS_CLIENT_SECRET": secret}
    made = bundle(tmp_path)
    registry = Registry.of(home_of(workspace, monkeypatch, tmp_path, **principal))
    assert registry.register(*made) == "1"
    assert (registry.download(MODEL, "1") / "manifest.json").exists()
    assert workspace.parts["models"].all[NAME].info.user_id == client_id
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", "dose0")
    with pytest.raises(RegistryUnavailable, match=r"^DATABRICKS_CLIENT_ID: the workspace does not accept the credentials"):
        registry.aliases(MODEL)
