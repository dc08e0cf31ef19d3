from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from retrain_assets.bundle import load_bundle
from retrain_assets.contract import CustodyError, RegistryUnavailable, RetrainError
from retrain_assets.home import Home
from retrain_assets.registry import HEAD_TAG, Registry
from retrain_assets.serving.live.fetch import main as fetch
from retrain_assets_tests.workspace import NotYetVisible, ServerError, Workspace

from .test_registry import FRAME, bundle
from .workspaces import MODEL, NAME, home_of

API = "/api/2.0/mlflow/unity-catalog/model-versions"


@pytest.fixture
def home(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Home:
    return home_of(workspace, monkeypatch, tmp_path)


@pytest.fixture
def registry(home: Home) -> Registry:
    return Registry.of(home)


@pytest.mark.parametrize("by_files_api", [False, True], ids=["signed addresses", "the Files API"])
def test_a_bundle_comes_back_as_it_went_in(registry: Registry, workspace: Workspace, tmp_path: Path, by_files_api: bool) -> None:
    workspace.parts["models"].files.by_files_api = by_files_api
    directory, manifest, digest = bundle(tmp_path)
    tags = {"trigger": "drift"}
    version = registry.register(directory, manifest, digest, metrics={"roc_auc": 0.8, "undefined": None}, tags=tags)
    back = load_bundle(registry.download(MODEL, version), digest)
    assert np.array_equal(back.score(FRAME), load_bundle(directory).score(FRAME))
    assert registry.manifest(MODEL, version) == json.loads(json.dumps(manifest))
    assert registry.tags(MODEL, version) == {
        "status": "candidate",
        "retrain": "2024-03-01",
        "trigger": "drift",
        "bundle_digest": digest,
    }


def test_the_catalog_has_the_three_level_name_and_the_product_the_contracts(
    registry: Registry, workspace: Workspace, tmp_path: Path
) -> None:
    registry.register(*bundle(tmp_path))
    assert registry.name_of(MODEL) == NAME
    assert [model.full_name for model in workspace.client().registered_models.list()] == [NAME]
    assert [version.model for version in registry.list_versions(MODEL)] == [MODEL]


def test_the_same_bundle_twice_is_one_version_and_another_one_is_the_next(
    registry: Registry, workspace: Workspace, tmp_path: Path
) -> None:
    workspace.parts["models"].largest_page = 1
    first, second = bundle(tmp_path), bundle(tmp_path, seed=8)
    assert [registry.register(*first), registry.register(*first), registry.register(*second)] == ["1", "1", "2"]
    assert [found.bundle for found in registry.list_versions(MODEL)] == [first[2], second[2]]
    assert registry.version_of(second[2]) == "2"
    assert registry.version_of("sha256:0") is None


def test_an_experiment_is_a_path_in_the_workspace_and_a_candidate_one_run_there(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    registry.register(*bundle(tmp_path), metrics={"roc_auc": 0.8, "undefined": None})
    client = MlflowClient()
    experiment = client.get_experiment_by_name(f"/Shared/retrain/{MODEL}")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id == registry.version(MODEL, "1").run_id
    assert (run.data.metrics, run.data.params["param.C"], run.data.tags["retrain"]) == ({"roc_auc": 0.8}, "1.0", "2024-03-01")
    assert (run.info.status, run.data.params["train_end"]) == ("FINISHED", "b")


def test_the_champion_is_an_alias_that_is_moved_and_taken_away(registry: Registry, tmp_path: Path) -> None:
    assert (registry.champion(MODEL), registry.aliases(MODEL), registry.list_versions(MODEL)) == (None, {}, [])
    registry.register(*bundle(tmp_path))
    registry.register(*bundle(tmp_path, seed=8))
    for version in ("1", "2", "2"):
        registry.set_alias(MODEL, "champion", version)
        champion = registry.champion(MODEL)
        assert champion is not None
        assert (champion.version, champion.aliases) == (version, ("champion",))
    registry.set_alias(MODEL, "champion", None)
    registry.set_alias(MODEL, "champion", None)
    assert registry.aliases(MODEL) == {}
    with pytest.raises(RetrainError, match="parcel_delay has no version 3"):
        registry.set_alias(MODEL, "champion", "3")


def test_a_tag_with_a_dot_has_another_key_in_the_catalog_and_the_same_one_here(
    registry: Registry, workspace: Workspace, tmp_path: Path
) -> None:
    registry.register(*bundle(tmp_path))
    registry.set_head(MODEL, "1", f"7:{'a' * 64}")
    registry.set_tags(MODEL, "1", {"reason": " of the test " + "x" * 2000})
    kept = {tag.key: tag.value for tag in workspace.parts["models"].all[NAME].versions["1"].tags}
    assert kept["retrain_ledger_head"] == f"7:{'a' * 64}"
    assert len(kept["reason"]) == 1000
    assert (registry.carried_head(MODEL, "1"), registry.tags(MODEL, "1")[HEAD_TAG]) == (f"7:{'a' * 64}",) * 2


def test_setting_the_same_tags_and_alias_again_writes_nothing(registry: Registry, workspace: Workspace, tmp_path: Path) -> None:
    registry.register(*bundle(tmp_path))
    for _ in range(2):
        written = len([one for one in workspace.requests if one[0] != "GET"])
        registry.set_tags(MODEL, "1", {"status": "champion", HEAD_TAG: "1:a"})
        registry.set_alias(MODEL, "champion", "1")
    assert len([one for one in workspace.requests if one[0] != "GET"]) == written


def test_the_digest_of_a_version_never_changes(registry: Registry, tmp_path: Path) -> None:
    registry.register(*bundle(tmp_path))
    with pytest.raises(CustodyError, match="never changes"):
        registry.set_tags(MODEL, "1", {"bundle_digest": "sha256:0"})


def test_what_was_left_unfinished_is_no_version_and_the_next_try_registers_one(
    registry: Registry, workspace: Workspace, tmp_path: Path
) -> None:
    workspace.misbehave(ServerError(500), on=f"POST {API}/finalize", times=9)
    workspace.parts["models"].listing_lag = 50
    made = bundle(tmp_path)
    with pytest.raises(RegistryUnavailable):
        registry.register(*made)
    workspace.faults.asked.clear()
    workspace.parts["models"].listing_lag = 0
    assert list(workspace.parts["models"].all[NAME].versions) == ["1"]
    assert registry.list_versions(MODEL) == []
    with pytest.raises(RetrainError, match="has no version 1"):
        registry.version(MODEL, "1")
    assert registry.register(*made) == "2"
    assert list(workspace.parts["models"].all[NAME].versions) == ["2"]


def test_a_version_whose_answer_was_lost_is_found_by_the_next_try(
    registry: Registry, workspace: Workspace, tmp_path: Path
) -> None:
    workspace.misbehave(ServerError(500, done=True), on=f"POST {API}/finalize")
    made = bundle(tmp_path)
    with pytest.raises(RegistryUnavailable):
        registry.register(*made)
    assert registry.register(*made) == "1"
    assert [one.version for one in registry.list_versions(MODEL)] == ["1"]


def test_a_creation_that_was_asked_for_twice_leaves_one_version(registry: Registry, workspace: Workspace, tmp_path: Path) -> None:
    workspace.misbehave(ServerError(503, done=True), on=f"POST {API}/create")
    made = bundle(tmp_path)
    assert (registry.register(*made), registry.register(*made)) == ("2", "2")
    assert list(workspace.parts["models"].all[NAME].versions) == ["2"]


def test_a_version_is_registered_when_the_catalog_shows_it(registry: Registry, workspace: Workspace, tmp_path: Path) -> None:
    workspace.parts["models"].listing_lag = 3
    workspace.misbehave(NotYetVisible(), on=f"GET {API}/get", times=2, after=3)
    assert registry.register(*bundle(tmp_path)) == "1"
    assert [one.version for one in registry.list_versions(MODEL)] == ["1"]


def test_an_older_version_of_the_same_bundle_stays_where_another_process_was_faster(
    registry: Registry, workspace: Workspace, tmp_path: Path
) -> None:
    made = bundle(tmp_path)
    registry.register(*made)
    workspace.parts["models"].hide(NAME, "1", searches=1)
    workspace.misbehave(NotYetVisible(), on=f"GET {API}/get", times=3)
    assert registry.register(*made) == "1"
    assert workspace.count("POST", f"{API}/create") == 2
    assert list(workspace.parts["models"].all[NAME].versions) == ["1"]


def test_a_version_that_another_process_has_begun_and_not_finished_does_not_become_a_second(
    registry: Registry, workspace: Workspace, tmp_path: Path
) -> None:
    made = bundle(tmp_path)
    unfinished = workspace.misbehave(ServerError(500), on=f"POST {API}/finalize", times=9)
    with pytest.raises(RegistryUnavailable):
        registry.register(*made)
    unfinished.times = 0
    workspace.parts["models"].hide(NAME, "1", searches=1)
    workspace.misbehave(NotYetVisible(), on=f"GET {API}/get", times=3)
    assert registry.register(*made) == "2"
    assert list(workspace.parts["models"].all[NAME].versions) == ["2"]


def test_changed_and_missing_files_are_told(registry: Registry, home: Home, workspace: Workspace, tmp_path: Path) -> None:
    made, other = bundle(tmp_path), bundle(tmp_path, seed=8)
    registry.register(*made)
    registry.register(*other)
    files = workspace.folder / "Models" / NAME.replace(".", "/")
    manifest = files / "1/data/bundle/manifest.json"
    manifest.write_text(manifest.read_text().replace("parcels.build", "parcels.other"))
    with pytest.raises(CustodyError, match=rf"^models:/{NAME}/1/data/bundle: bundle has digest"):
        registry.download(MODEL, "1")
    shutil.rmtree(files / "2/data")
    with pytest.raises(CustodyError, match=r"the bundle of parcel_delay version 2 is gone"):
        registry.download(MODEL, "2")


def test_serving_fetches_a_bundle_from_the_catalog(registry: Registry, home: Home, tmp_path: Path) -> None:
    _, _, digest = made = bundle(tmp_path)
    registry.register(*made)
    assert fetch([str(home.root), MODEL, "1", digest]) == 0
    (kept,) = [folder for folder in home.serving_cache_dir(MODEL).iterdir() if folder.is_dir()]
    assert load_bundle(kept, digest).manifest.model == MODEL


def test_a_profile_of_the_configuration_file_is_enough(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "profiles").write_text(f"[prod]\nhost = {workspace.url}\ntoken = {workspace.token}\n")
    settings = {
        "DATABRICKS_HOST": "",
        "DATABRICKS_TOKEN": "",
        "MLFLOW_REGISTRY_URI": "",
        "MLFLOW_TRACKING_URI": "databricks://prod",
    }
    home = home_of(workspace, monkeypatch, tmp_path, **settings, DATABRICKS_CONFIG_FILE=str(tmp_path / "profiles"))
    registry = Registry.of(home)
    _, _, digest = made = bundle(tmp_path)
    assert registry.register(*made) == "1"
    assert load_bundle(registry.download(MODEL, "1"), digest).manifest.model == MODEL
