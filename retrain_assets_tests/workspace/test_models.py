"""The limits of the emulated model registry, through MLflow's real client: what a catalog refuses is refused here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema

from retrain_assets_tests.workspace import Workspace
from retrain_assets_tests.workspace.answers import Sent

NAME = "main.models.delays"
INPUTS = Schema([ColSpec("double", "rain")])
WHOLE = ModelSignature(INPUTS, Schema([ColSpec("double", "score")]))


@pytest.fixture
def client(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MlflowClient:
    workspace.parts["unity_catalog"].add_schema("main.models")
    settings = {"MLFLOW_TRACKING_URI": "databricks", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_DISABLE_TELEMETRY": "true"}
    for name, value in {**workspace.environment, "DATABRICKS_CONFIG_FILE": str(tmp_path / "none"), **settings}.items():
        monkeypatch.setenv(name, value)
    made = MlflowClient("databricks", "databricks-uc")
    made.create_registered_model(NAME)
    return made


def saved(folder: Path, signature: ModelSignature | None = WHOLE) -> str:
    """A model with no flavour: what a registry looks at."""
    folder.mkdir()
    Model(signature=signature).save(str(folder / "MLmodel"))
    (folder / "weights.bin").write_bytes(b"\x00" * 100)
    return str(folder)


def test_a_version_is_ready_when_its_files_are_there(client: MlflowClient, workspace: Workspace, tmp_path: Path) -> None:
    made = client.create_model_version(NAME, saved(tmp_path / "model"))
    assert (made.version, made.status) == ("1", "READY")
    assert (workspace.folder / "Models/main/models/delays/1/weights.bin").read_bytes() == b"\x00" * 100
    with pytest.raises(MlflowException, match="not pending registration"):
        client._get_registry_client().store._finalize_model_version(NAME, "1")


@pytest.mark.parametrize("signature", [None, ModelSignature(INPUTS)], ids=["none", "inputs only"])
def test_a_signature_is_needed_with_outputs(client: MlflowClient, tmp_path: Path, signature: ModelSignature | None) -> None:
    with pytest.raises(MlflowException, match="signature"):
        client.create_model_version(NAME, saved(tmp_path / "model", signature))


def test_the_workspace_itself_looks_at_the_signature(client: MlflowClient, tmp_path: Path) -> None:
    store = client._get_registry_client().store
    with pytest.raises(MlflowException, match="did not contain any signature"):
        store._create_model_version_with_optional_signature_validation(
            NAME, saved(tmp_path / "model", None), bypass_signature_validation=True
        )


@pytest.mark.parametrize("key", ["a.b", "a,b", "a-b", "a=b", "a/b", "a:b", " a"])
def test_a_tag_key_has_no_punctuation(client: MlflowClient, tmp_path: Path, key: str) -> None:
    with pytest.raises(MlflowException, match="Invalid tag key"):
        client.create_model_version(NAME, saved(tmp_path / "model"), tags={key: "value"})


def test_an_object_has_fifty_tags_at_most(client: MlflowClient) -> None:
    for place in range(50):
        client.set_registered_model_tag(NAME, f"tag_{place}", "value")
    with pytest.raises(MlflowException, match="50 tags at most"):
        client.set_registered_model_tag(NAME, "one_more", "value")


def test_versions_are_searched_by_name_only_and_without_tags(client: MlflowClient, tmp_path: Path) -> None:
    client.create_model_version(NAME, saved(tmp_path / "model"), tags={"bundle_digest": "sha256:a"})
    client.set_registered_model_alias(NAME, "champion", "1")
    (found,) = client._get_registry_client().store.search_model_versions(f"name='{NAME}'")
    assert found.version == "1"
    with pytest.raises(Exception, match="do not have tags"):
        found.tags()
    assert client.get_model_version(NAME, "1").tags == {"bundle_digest": "sha256:a"}
    for unsupported in ("tags.bundle_digest = 'sha256:a'", "run_id = 'a'", f"name = '{NAME}' and tags.a = 'b'"):
        with pytest.raises(MlflowException, match="Unsupported filter query"):
            client.search_model_versions(unsupported)
    with pytest.raises(MlflowException, match="'filter_string' is unsupported"):
        client.search_registered_models("name = 'delays'")


@pytest.mark.parametrize("name", ["delays", "models.delays", "main..delays"])
def test_a_name_has_three_levels(client: MlflowClient, name: str) -> None:
    with pytest.raises(MlflowException, match="specify all three levels"):
        client.create_registered_model(name)


def test_an_alias_that_is_not_there_cannot_be_read_or_taken_away(client: MlflowClient) -> None:
    for ask in (client.get_model_version_by_alias, client.delete_registered_model_alias):
        with pytest.raises(MlflowException, match="Alias 'champion' does not exist") as told:
            ask(NAME, "champion")
        assert told.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_deleted_version_takes_its_aliases_along_and_its_number_is_not_given_again(
    client: MlflowClient, tmp_path: Path
) -> None:
    model = saved(tmp_path / "model")
    client.create_model_version(NAME, model)
    client.set_registered_model_alias(NAME, "champion", "1")
    client.delete_model_version(NAME, "1")
    assert client.get_registered_model(NAME).aliases == {}
    assert client.create_model_version(NAME, model).version == "2"


def test_somebody_else_needs_privileges_on_the_model(client: MlflowClient, workspace: Workspace, monkeypatch: Any) -> None:
    workspace.tokens["dapi-other"] = "other@example.com"
    place = {"USE_CATALOG", "USE_SCHEMA"}
    workspace.parts["unity_catalog"].grant("main", {"other@example.com": place, workspace.user: place})
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-other")
    other = MlflowClient("databricks", "databricks-uc")
    with pytest.raises(MlflowException, match=r"does not have EXECUTE on Object 'main.models.delays'"):
        other.get_registered_model(NAME)
    workspace.parts["unity_catalog"].grant(NAME, {"other@example.com": {"EXECUTE"}})
    assert other.get_registered_model(NAME).name == NAME
    with pytest.raises(MlflowException, match="does not have MANAGE"):
        other.set_registered_model_alias(NAME, "champion", "1")


def test_an_experiment_is_a_path_in_a_folder_that_is_there(client: MlflowClient) -> None:
    with pytest.raises(MlflowException, match="must be an absolute path"):
        client.create_experiment("delays")
    with pytest.raises(MlflowException, match="Parent directory /Shared/team does not exist"):
        client.create_experiment("/Shared/team/delays")
    found = client.get_experiment(client.create_experiment("/Shared/delays"))
    assert found.artifact_location == f"dbfs:/databricks/mlflow-tracking/{found.experiment_id}"
    run = client.create_run(found.experiment_id)
    client.log_text(run.info.run_id, "said", "notes/a.txt")
    assert [one.path for one in client.list_artifacts(run.info.run_id, "notes")] == ["notes/a.txt"]


def test_the_sdk_sees_the_same_models(client: MlflowClient, workspace: Workspace, tmp_path: Path) -> None:
    client.create_model_version(NAME, saved(tmp_path / "model"))
    client.set_registered_model_alias(NAME, "champion", "1")
    real = workspace.client()
    sent = Sent(real)
    model = real.registered_models.get(NAME, include_aliases=True)
    assert sent.lost(model) == {}
    assert [(one.alias_name, one.version_num) for one in model.aliases or []] == [("champion", 1)]
    assert sent.lost(real.model_versions.get(NAME, 1)) == {}
    assert [one.full_name for one in real.registered_models.list(catalog_name="main", schema_name="models")] == [NAME]
    assert [one.version for one in real.model_versions.list(NAME)] == [1]
    assert real.model_versions.get_by_alias(NAME, "champion").version == 1
