"""The Files API over volumes: files with ranges and times, directories with pages."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from databricks.sdk.service.files import DirectoryEntry, FilesAPI, ListDirectoryResponse

from .routes import ApiError, Payload, Request
from .volumes import READ, WRITE

if TYPE_CHECKING:
    from .workspace import Workspace

LARGEST_PAGE = 1000


def register(workspace: Workspace) -> None:
    files = Files(workspace)
    workspace.parts["files"] = files
    add = workspace.routes.add
    add("PUT", "/api/2.0/fs/files/{file_path...}", files.upload)
    add("GET", "/api/2.0/fs/files/{file_path...}", files.download, absent=_no_file)
    add("HEAD", "/api/2.0/fs/files/{file_path...}", files.metadata, absent=_no_file)
    add("DELETE", "/api/2.0/fs/files/{file_path...}", files.delete, absent=_no_file)
    add("PUT", "/api/2.0/fs/directories/{directory_path...}", files.create_directory)
    add("HEAD", "/api/2.0/fs/directories/{directory_path...}", files.directory_metadata, absent=_no_directory)
    add("DELETE", "/api/2.0/fs/directories/{directory_path...}", files.delete_directory, absent=_no_directory)
    listing = FilesAPI.list_directory_contents
    add("GET", "/api/2.0/fs/directories/{directory_path...}", files.list_directory, accepts=listing, absent=_no_directory)


class Files:
    """Answers of the Files API; the volumes themselves are folders."""

    def __init__(self, workspace: Workspace) -> None:
        self._volumes = workspace.volumes
        self._incoming = workspace.folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def upload(self, request: Request, file_path: str) -> Payload:
        """The file appears whole or not at all."""
        path = self._volumes.located(f"/{file_path}", request.user, WRITE)
        if path.is_dir():
            raise ApiError(409, "ALREADY_EXISTS", "The path being written is a directory.")
        if path.exists() and request.query.get("overwrite") == "false":
            raise ApiError(409, "ALREADY_EXISTS", "The file being created already exists.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ApiError(400, "BAD_REQUEST", "A parent of the path being written is not a directory.") from error
        scratch = self._incoming / secrets.token_hex(8)
        scratch.write_bytes(request.content)
        scratch.replace(path)
        return Payload(status=204)

    def download(self, request: Request, file_path: str) -> Payload:
        """The bytes of a file, or the range of them that was asked for."""
        path = self._file(request, file_path)
        unchanged_since = request.headers.get("if-unmodified-since")
        if unchanged_since is not None and parsedate_to_datetime(unchanged_since) < _changed(path):
            raise ApiError(412, "PRECONDITION_FAILED", "At least one of the pre-conditions you specified did not hold.")
        content = path.read_bytes()
        wanted = _wanted(request.headers.get("range"), len(content))
        if wanted is None:
            return Payload(content, headers=_described(path))
        first, last = wanted
        part = content[first : last + 1]
        return Payload(part, 206, {**_described(path), "Content-Range": f"bytes {first}-{last}/{len(content)}"})

    def metadata(self, request: Request, file_path: str) -> Payload:
        """Length, type and time of a file."""
        path = self._file(request, file_path)
        return Payload(headers={**_described(path), "Content-Length": str(path.stat().st_size)})

    def delete(self, request: Request, file_path: str) -> Payload:
        """Remove one file."""
        self._volumes.located(f"/{file_path}", request.user, WRITE)
        self._file(request, file_path).unlink()
        return Payload(status=204)

    def create_directory(self, request: Request, directory_path: str) -> Payload:
        """Make a directory and its parents; one that is there is left alone."""
        path = self._volumes.located(f"/{directory_path}", request.user, WRITE)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ApiError(409, "ALREADY_EXISTS", "The path being created, or a parent of it, is a file.") from error
        return Payload(status=204)

    def directory_metadata(self, request: Request, directory_path: str) -> Payload:
        """Whether a directory is there."""
        self._directory(request, directory_path)
        return Payload()

    def delete_directory(self, request: Request, directory_path: str) -> Payload:
        """Remove an empty directory."""
        path = self._volumes.located(f"/{directory_path}", request.user, WRITE)
        self._directory(request, directory_path)
        try:
            path.rmdir()
        except OSError as error:
            raise ApiError(400, "DIRECTORY_NOT_EMPTY", "The directory being deleted is not empty.") from error
        return Payload(status=204)

    def list_directory(self, request: Request, directory_path: str) -> ListDirectoryResponse:
        """One page of a directory, in the order of names."""
        folder = self._directory(request, directory_path)
        size = min(int(request.query.get("page_size") or LARGEST_PAGE), LARGEST_PAGE)
        entries = sorted(folder.iterdir())
        after = request.query.get("page_token")
        if after is not None:
            entries = [entry for entry in entries if entry.name > bytes.fromhex(after).decode()]
        page = entries[:size]
        more = page[-1].name.encode().hex() if len(entries) > size else None
        listed = [entry for path in page if (entry := _entry(path, f"/{directory_path.rstrip('/')}")) is not None]
        return ListDirectoryResponse(contents=listed or None, next_page_token=more)

    def _file(self, request: Request, file_path: str) -> Path:
        path = self._volumes.located(f"/{file_path}", request.user, READ)
        if not path.is_file():
            raise _no_file(request)
        return path

    def _directory(self, request: Request, directory_path: str) -> Path:
        path = self._volumes.located(f"/{directory_path}", request.user, READ)
        if not path.is_dir():
            raise _no_directory(request)
        return path


def _no_file(request: Request) -> ApiError:
    return ApiError(404, "NOT_FOUND", "The file being accessed is not found.")


def _no_directory(request: Request) -> ApiError:
    return ApiError(404, "NOT_FOUND", "The directory being accessed is not found.")


def _entry(path: Path, parent: str) -> DirectoryEntry | None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    folder = path.is_dir()
    return DirectoryEntry(
        name=path.name,
        path=f"{parent}/{path.name}" + ("/" if folder else ""),
        is_directory=folder,
        file_size=None if folder else facts.st_size,
        last_modified=int(facts.st_mtime * 1000),
    )


def _changed(path: Path) -> datetime:
    return datetime.fromtimestamp(int(path.stat().st_mtime), UTC)


def _described(path: Path) -> dict[str, str]:
    return {"Content-Type": "application/octet-stream", "Last-Modified": format_datetime(_changed(path), usegmt=True)}


def _wanted(header: str | None, length: int) -> tuple[int, int] | None:
    """First and last byte of ``bytes=N-M``, ``bytes=N-`` or ``bytes=-N``; None: all."""
    if header is None:
        return None
    first, _, last = header.removeprefix("bytes=").partition("-")
    begin, end = (int(first), int(last) if last else length - 1) if first else (max(length - int(last), 0), length - 1)
    if begin >= length:
        raise ApiError(416, "BAD_REQUEST", "The requested range is not satisfiable.", {"Content-Range": f"bytes */{length}"})
    return begin, min(end, length - 1)
