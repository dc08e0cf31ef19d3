"""The Files API of the emulated workspace, through the real client."""

from __future__ import annotations

import io

import pytest
from databricks.sdk.errors import NotFound

from retrain_assets_tests.workspace import Workspace

STATE = "/Volumes/main/retrain/state"


def test_a_file_comes_back_as_it_was_sent(workspace: Workspace) -> None:
    files = workspace.client().files
    files.upload(f"{STATE}/a b/ü%.bin", io.BytesIO(b"\x00\xffbytes"))
    got = files.download(f"{STATE}/a b/ü%.bin")
    assert got.contents is not None
    assert got.contents.read() == b"\x00\xffbytes"
    assert (workspace.root / "main/retrain/state/a b/ü%.bin").read_bytes() == b"\x00\xffbytes"
    assert files.get_metadata(f"{STATE}/a b/ü%.bin").content_length == 7
    files.delete(f"{STATE}/a b/ü%.bin")
    with pytest.raises(NotFound, match="Not Found"):
        files.get_metadata(f"{STATE}/a b/ü%.bin")
