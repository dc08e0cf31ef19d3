"""DBFS and secret scopes of the emulated workspace, with the limits of the REST API."""

from __future__ import annotations

import base64
import io

import pytest
from databricks.sdk.errors import BadRequest, NotFound, PermissionDenied, ResourceAlreadyExists

from retrain_assets_tests.workspace import Workspace

MEGABYTE = 1024 * 1024


def test_a_large_file_goes_in_and_out_by_blocks_of_a_megabyte(workspace: Workspace) -> None:
    dbfs = workspace.client().dbfs
    content = bytes(range(256)) * (10 * 1024)
    dbfs.upload("/big.bin", io.BytesIO(content))
    assert (workspace.dbfs / "big.bin").read_bytes() == content
    assert dbfs.download("/big.bin").read() == content
    part = dbfs.read("/big.bin", offset=len(content) - 10, length=MEGABYTE)
    assert (part.bytes_read, base64.b64decode(part.data or "")) == (10, content[-10:])
    assert dbfs.read("/big.bin").bytes_read == MEGABYTE // 2


def test_limits_and_absences_are_told_as_the_rest_api_tells_them(workspace: Workspace) -> None:
    dbfs = workspace.client().dbfs
    dbfs.put("/a/b", contents=base64.b64encode(b"x").decode())
    with pytest.raises(BadRequest, match="Cannot read more than"):
        dbfs.read("/a/b", length=MEGABYTE + 1)
    with pytest.raises(BadRequest, match="must not be larger"):
        dbfs.put("/a/c", contents=base64.b64encode(b"x" * (MEGABYTE + 1)).decode())
    with pytest.raises(ResourceAlreadyExists):
        dbfs.put("/a/b", contents="")
    with pytest.raises(NotFound, match="No file or directory exists on path /a/z"):
        dbfs.read("/a/z")
    with pytest.raises(NotFound, match="No file or directory exists on path /a/z"):
        dbfs.get_status("/a/z")
    with pytest.raises(BadRequest, match="Non-recursive delete"):
        workspace.client().api_client.do("POST", "/api/2.0/dbfs/delete", body={"path": "/a"})
    with pytest.raises(PermissionDenied, match="No operations allowed on this path"):
        dbfs.get_status("/Volumes/main/retrain/state")


def test_a_secret_is_given_in_base64_and_an_absent_one_is_told(workspace: Workspace) -> None:
    secrets = workspace.client().secrets
    secrets.create_scope("retrain")
    secrets.put_secret("retrain", "unit_key", bytes_value=base64.b64encode(b"\x00\x01").decode())
    assert base64.b64decode(secrets.get_secret("retrain", "unit_key").value or "") == b"\x00\x01"
    with pytest.raises(NotFound, match="Failed to get secret other for scope retrain"):
        secrets.get_secret("retrain", "other")
    with pytest.raises(NotFound, match="Scope other does not exist"):
        secrets.get_secret("other", "unit_key")
    with pytest.raises(ResourceAlreadyExists):
        secrets.create_scope("retrain")
