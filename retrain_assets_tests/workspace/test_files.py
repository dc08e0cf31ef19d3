"""The Files API of the emulated workspace, through the real client."""

from __future__ import annotations

import io
import os

import pytest
from databricks.sdk.errors import AlreadyExists, BadRequest, InvalidParameterValue, NotFound, PermissionDenied
from databricks.sdk.service.files import FilesAPI

from retrain_assets_tests.workspace import Workspace

STATE = "/Volumes/main/retrain/state"


@pytest.fixture
def files(workspace: Workspace) -> FilesAPI:
    return workspace.client().files


def put(files: FilesAPI, path: str, content: bytes = b"text") -> None:
    files.upload(f"{STATE}/{path}", io.BytesIO(content))


def got(files: FilesAPI, path: str) -> bytes:
    contents = files.download(f"{STATE}/{path}").contents
    assert contents is not None
    return contents.read()


def test_a_file_comes_back_as_it_was_sent(workspace: Workspace, files: FilesAPI) -> None:
    put(files, "a b/ü%.bin", b"\x00\xffbytes")
    assert got(files, "a b/ü%.bin") == b"\x00\xffbytes"
    assert (workspace.root / "main/retrain/state/a b/ü%.bin").read_bytes() == b"\x00\xffbytes"
    assert files.get_metadata(f"{STATE}/a b/ü%.bin").content_length == 7
    files.delete(f"{STATE}/a b/ü%.bin")
    with pytest.raises(NotFound, match="Not Found"):
        files.get_metadata(f"{STATE}/a b/ü%.bin")
    with pytest.raises(NotFound, match="The file being accessed is not found"):
        files.download(f"{STATE}/a b/ü%.bin")


def test_a_file_is_overwritten_only_where_that_is_allowed(files: FilesAPI) -> None:
    put(files, "x", b"1")
    put(files, "x", b"2")
    with pytest.raises(AlreadyExists, match="already exists"):
        files.upload(f"{STATE}/x", io.BytesIO(b"3"), overwrite=False)
    assert got(files, "x") == b"2"
    with pytest.raises(BadRequest, match="not a directory"):
        put(files, "x/below")


@pytest.mark.parametrize(
    ("wanted", "content", "told"),
    [("bytes=2-4", b"234", "bytes 2-4/10"), ("bytes=7-", b"789", "bytes 7-9/10"), ("bytes=-2", b"89", "bytes 8-9/10")],
)
def test_a_range_of_a_file_is_a_part_of_it(workspace: Workspace, files: FilesAPI, wanted: str, content: bytes, told: str) -> None:
    put(files, "x", b"0123456789")
    session = workspace.client().api_client._api_client._session
    answer = session.get(f"{workspace.url}/api/2.0/fs/files{STATE}/x", headers={"Range": wanted})
    assert (answer.status_code, answer.content, answer.headers["Content-Range"]) == (206, content, told)
    beyond = session.get(f"{workspace.url}/api/2.0/fs/files{STATE}/x", headers={"Range": "bytes=10-"})
    assert beyond.status_code == 416


def test_a_file_that_was_written_since_is_not_read_on(workspace: Workspace, files: FilesAPI) -> None:
    put(files, "x", b"0123456789")
    since = files.get_metadata(f"{STATE}/x").last_modified
    session = workspace.client().api_client._api_client._session
    headers = {"Range": "bytes=5-", "If-Unmodified-Since": since or ""}
    assert session.get(f"{workspace.url}/api/2.0/fs/files{STATE}/x", headers=headers).content == b"56789"
    later = workspace.path(f"{STATE}/x").stat().st_mtime + 60
    os.utime(workspace.path(f"{STATE}/x"), (later, later))
    assert session.get(f"{workspace.url}/api/2.0/fs/files{STATE}/x", headers=headers).status_code == 412


def test_a_directory_is_listed_by_pages_in_the_order_of_names(workspace: Workspace, files: FilesAPI) -> None:
    for number in range(5):
        put(files, f"many/{number}.json", b"x" * number)
    files.create_directory(f"{STATE}/many/folder")
    listed = list(files.list_directory_contents(f"{STATE}/many", page_size=2))
    assert [entry.name for entry in listed] == ["0.json", "1.json", "2.json", "3.json", "4.json", "folder"]
    assert [entry.file_size for entry in listed] == [0, 1, 2, 3, 4, None]
    assert (listed[0].path, listed[-1].is_directory) == (f"{STATE}/many/0.json", True)
    assert workspace.count("GET", f"/api/2.0/fs/directories{STATE}/many") == 3
    with pytest.raises(BadRequest, match="not empty"):
        files.delete_directory(f"{STATE}/many")
    files.delete_directory(f"{STATE}/many/folder")
    with pytest.raises(NotFound, match="The directory being accessed is not found"):
        list(files.list_directory_contents(f"{STATE}/many/folder"))


def test_a_volume_must_exist_and_allow_what_is_done(workspace: Workspace, files: FilesAPI) -> None:
    with pytest.raises(NotFound, match=r"Volume 'main.retrain.other' does not exist"):
        files.upload("/Volumes/main/retrain/other/x", io.BytesIO(b"x"))
    with pytest.raises(InvalidParameterValue, match="Invalid path"):
        files.upload("/Volumes/main/retrain", io.BytesIO(b"x"))
    put(files, "x")
    workspace.add_volume("main.retrain.state", permissions={workspace.user: {"READ_VOLUME"}})
    assert got(files, "x") == b"text"
    with pytest.raises(PermissionDenied, match=r"does not have WRITE VOLUME on Volume 'main.retrain.state'"):
        put(files, "y")
    workspace.add_volume("main.retrain.state", permissions={})
    with pytest.raises(PermissionDenied, match="does not have READ VOLUME"):
        got(files, "x")


def test_a_path_that_no_api_answers_says_so(workspace: Workspace) -> None:
    with pytest.raises(NotFound, match="No API found for 'GET /pipelines'"):
        workspace.client().api_client.do("GET", "/api/2.0/pipelines")
