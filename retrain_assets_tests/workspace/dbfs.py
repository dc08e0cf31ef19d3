"""The DBFS API over a folder: base64 blocks of at most 1 MB, as the REST API has them."""

from __future__ import annotations

import base64
import itertools
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from databricks.sdk.service.files import CreateResponse, DbfsAPI, FileInfo, ListStatusResponse, ReadResponse

from .routes import ApiError, Request

if TYPE_CHECKING:
    from .workspace import Workspace

BLOCK = 1024 * 1024


def register(workspace: Workspace) -> None:
    dbfs = Dbfs(workspace.dbfs)
    workspace.parts["dbfs"] = dbfs
    add = workspace.routes.add
    add("POST", "/api/2.0/dbfs/put", dbfs.put, accepts=DbfsAPI.put)
    add("GET", "/api/2.0/dbfs/read", dbfs.read, accepts=DbfsAPI.read, absent=_absent)
    add("POST", "/api/2.0/dbfs/mkdirs", dbfs.mkdirs, accepts=DbfsAPI.mkdirs)
    add("GET", "/api/2.0/dbfs/list", dbfs.list, accepts=DbfsAPI.list, absent=_absent)
    add("GET", "/api/2.0/dbfs/get-status", dbfs.get_status, accepts=DbfsAPI.get_status, absent=_absent)
    add("POST", "/api/2.0/dbfs/delete", dbfs.delete, accepts=DbfsAPI.delete)
    add("POST", "/api/2.0/dbfs/move", dbfs.move, accepts=DbfsAPI.move)
    add("POST", "/api/2.0/dbfs/create", dbfs.create, accepts=DbfsAPI.create)
    add("POST", "/api/2.0/dbfs/add-block", dbfs.add_block, accepts=DbfsAPI.add_block)
    add("POST", "/api/2.0/dbfs/close", dbfs.close_handle, accepts=DbfsAPI.close)


class Dbfs:
    """DBFS as a folder, and the handles of files that are being written."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._handles: dict[int, Path] = {}
        self._numbers = itertools.count(1000001)

    def put(self, request: Request) -> None:
        """Write a file at once."""
        path = self._writable(request.body["path"], request.body.get("overwrite", False))
        path.write_bytes(_block(request.body.get("contents", "")))

    def read(self, request: Request) -> ReadResponse:
        """At most 1 MB of a file; half a megabyte unless told."""
        path = self._located(request.query["path"])
        if path.is_dir():
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Cannot read a directory: {request.query['path']}")
        if not path.is_file():
            raise _absent(request)
        offset, length = int(request.query.get("offset", 0)), int(request.query.get("length", BLOCK // 2))
        if length > BLOCK:
            raise ApiError(400, "MAX_READ_SIZE_EXCEEDED", f"Cannot read more than {BLOCK} bytes at once.")
        part = path.read_bytes()[offset : offset + length]
        return ReadResponse(bytes_read=len(part), data=base64.b64encode(part).decode())

    def mkdirs(self, request: Request) -> None:
        """Make a directory and its parents."""
        path = self._located(request.body["path"])
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"A file exists at {request.body['path']}.") from error

    def list(self, request: Request) -> ListStatusResponse:
        """What a directory holds; a file gives itself."""
        path = self._located(request.query["path"])
        if not path.exists():
            raise _absent(request)
        found = sorted(path.iterdir()) if path.is_dir() else [path]
        return ListStatusResponse(files=[self._info(one) for one in found] or None)

    def get_status(self, request: Request) -> FileInfo:
        """What is at a path."""
        path = self._located(request.query["path"])
        if not path.exists():
            raise _absent(request)
        return self._info(path)

    def delete(self, request: Request) -> None:
        """Remove a file, or a directory; one that is not empty only recursively. What is not there is no error."""
        path = self._located(request.body["path"])
        if path.is_dir() and any(path.iterdir()) and not request.body.get("recursive", False):
            raise ApiError(400, "IO_ERROR", f"Non-recursive delete of non-empty directory {request.body['path']}")
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def move(self, request: Request) -> None:
        """Move a file or directory to a place where nothing is."""
        source, target = self._located(request.body["source_path"]), self._located(request.body["destination_path"])
        if not source.exists():
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"No file or directory exists on path {request.body['source_path']}.")
        if target.exists():
            raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"A file exists at {request.body['destination_path']}.")
        source.rename(target)

    def create(self, request: Request) -> CreateResponse:
        """Open a file for blocks."""
        path = self._writable(request.body["path"], request.body.get("overwrite", False))
        path.write_bytes(b"")
        handle = next(self._numbers)
        self._handles[handle] = path
        return CreateResponse(handle=handle)

    def add_block(self, request: Request) -> None:
        """Append a block to an open file."""
        with self._open(request.body["handle"]).open("ab") as file:
            file.write(_block(request.body["data"]))

    def close_handle(self, request: Request) -> None:
        """End writing."""
        self._open(request.body["handle"])
        del self._handles[request.body["handle"]]

    def _open(self, handle: int) -> Path:
        if handle not in self._handles:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"No open stream for handle {handle}.")
        return self._handles[handle]

    def _located(self, path: str) -> Path:
        named = PurePosixPath(path.removeprefix("dbfs:"))
        if not named.is_absolute() or ".." in named.parts:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Path must be absolute: {path}")
        if named.parts[1:2] == ("Volumes",):
            raise ApiError(403, "PERMISSION_DENIED", "No operations allowed on this path")
        return self._root.joinpath(*named.parts[1:])

    def _writable(self, path: str, overwrite: bool) -> Path:
        located = self._located(path)
        if located.exists() and not overwrite:
            raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"A file or directory already exists at the input path {path}.")
        located.parent.mkdir(parents=True, exist_ok=True)
        return located

    def _info(self, path: Path) -> FileInfo:
        facts = path.stat()
        return FileInfo(
            path="/" + "/".join(path.relative_to(self._root).parts),
            is_dir=path.is_dir(),
            file_size=0 if path.is_dir() else facts.st_size,
            modification_time=int(facts.st_mtime * 1000),
        )


def _absent(request: Request) -> ApiError:
    return ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"No file or directory exists on path {request.query.get('path')}.")


def _block(data: str) -> bytes:
    content = base64.b64decode(data)
    if len(content) > BLOCK:
        raise ApiError(400, "MAX_BLOCK_SIZE_EXCEEDED", f"A block must not be larger than {BLOCK} bytes.")
    return content
