from __future__ import annotations

from pathlib import Path

import pytest

from retrain_assets.compute.databricks.mirror import Mirror
from retrain_assets.compute.databricks.volume import COMPLETE, Volume, folder_facts
from retrain_assets.contract import StageError
from retrain_assets_tests.compute.databricks.world import VOLUME
from retrain_assets_tests.workspace import ServerError, TruncatedDownload, Workspace

PUT = "PUT /api/2.0/fs/files{path}"


@pytest.fixture
def volume(workspace: Workspace) -> Volume:
    return Volume(workspace.client(), VOLUME)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "a").write_bytes(b"one")
    (tmp_path / "folder" / "inner" / "b").write_bytes(b"two")
    return tmp_path / "folder"


def uploads(workspace: Workspace) -> list[str]:
    return [path.rpartition("/")[2] for method, path in workspace.requests if method == "PUT" and "/fs/files/" in path]


def test_a_folder_is_uploaded_once_and_counts_when_it_is_whole(volume: Volume, folder: Path, workspace: Workspace) -> None:
    broken = workspace.misbehave(ServerError(501), on="PUT *inner/b")
    with pytest.raises(StageError, match="Databricks does not answer as it should"):
        volume.upload(folder, f"{VOLUME}/x")
    assert broken.happened == 1
    assert volume.upload(folder, f"{VOLUME}/x") == f"{VOLUME}/x"
    done = uploads(workspace)
    assert done[-1] == "x" + COMPLETE
    volume.upload(folder, f"{VOLUME}/x")
    assert uploads(workspace) == done
    assert (workspace.path(f"{VOLUME}/x") / "inner" / "b").read_bytes() == b"two"


def test_of_a_folder_that_grows_only_the_increment_travels(volume: Volume, folder: Path, workspace: Workspace) -> None:
    volume.mirror(folder, f"{VOLUME}/traffic")
    before = len(uploads(workspace))
    (folder / "c").write_bytes(b"three")
    (folder / "a").unlink()
    volume.mirror(folder, f"{VOLUME}/traffic")
    assert uploads(workspace)[before:] == ["c", "traffic" + COMPLETE]
    assert folder_facts(workspace.path(f"{VOLUME}/traffic")) == folder_facts(folder)
    asked = len(workspace.requests)
    volume.mirror(folder, f"{VOLUME}/traffic")
    assert len(workspace.requests) == asked + 1


def test_what_is_not_there_is_none_and_false(volume: Volume) -> None:
    assert volume.read(f"{VOLUME}/nothing") is None
    assert not volume.has(f"{VOLUME}/nothing")
    assert not volume.has_folder(f"{VOLUME}/nothing")


def test_a_file_that_comes_cut_off_is_refused(volume: Volume, folder: Path, workspace: Workspace, tmp_path: Path) -> None:
    volume.write(f"{VOLUME}/file", b"x" * 100)
    workspace.misbehave(TruncatedDownload(announced=False), on="GET *")
    expected = {"size": 100, "sha256": "0"}
    with pytest.raises(StageError, match="50 of 100 bytes came"):
        volume.download(f"{VOLUME}/file", tmp_path / "here", expected)
    assert not (tmp_path / "here").exists()


def test_a_place_there_is_the_place_here_and_back(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, VOLUME)
    path = tmp_path / "stages" / "m" / "r" / "dataset"
    assert mirror.there(path) == f"{VOLUME}/stages/m/r/dataset"
    assert mirror.here(mirror.there(path)) == path
    with pytest.raises(StageError, match="only what is below the home"):
        mirror.there(tmp_path.parent / "elsewhere")
    with pytest.raises(StageError, match="the stage wrote outside"):
        mirror.here("/Volumes/main/other/state/x")
