"""Files on a Unity Catalog volume, through the Files API: whole, checked, and uploaded once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrain_assets.compute.databricks.workspace import asking, patiently
from retrain_assets.contract import StageError

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

COMPLETE = ".complete.json"
"""Ending of the file beside an uploaded folder that says which files, sizes and digests it has; written last."""

CHUNK = 1 << 20


@dataclass(frozen=True)
class Volume:
    """A volume, or a folder of one.

    Args:
        client: of the workspace.
        root: ``/Volumes/CATALOG/SCHEMA/VOLUME…``; what errors name.
    """

    client: WorkspaceClient
    root: str
    _made: set[str] = field(default_factory=set, repr=False, compare=False)

    def write(self, path: str, content: bytes) -> None:
        """Put a file there, with the folders above it; one that is there is replaced."""
        self._make(path.rpartition("/")[0])
        with asking("volume", path):
            patiently(lambda: self.client.files.upload(path, BytesIO(content), overwrite=True))

    def read(self, path: str) -> bytes | None:
        """The content of a file; None when there is none."""
        from databricks.sdk.errors import NotFound

        def look() -> bytes | None:
            try:
                contents = self.client.files.download(path).contents
            except NotFound:
                return None
            if contents is None:
                return b""
            with contents:
                return contents.read()

        with asking("volume", path):
            return patiently(look)

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return self._there(path, self.client.files.get_metadata, self.client.files.download)

    def has_folder(self, path: str) -> bool:
        """Whether there is such a folder."""
        listed = self.client.files.list_directory_contents
        return self._there(path, self.client.files.get_directory_metadata, lambda place: next(listed(place), None))

    def _there(self, path: str, head: Callable[[str], object], get: Callable[[str], object]) -> bool:
        """Whether a place is there. An answer to HEAD has no words, so why it was refused is learned by a GET."""
        from databricks.sdk.errors import NotFound, PermissionDenied

        with asking("volume", path):
            try:
                patiently(lambda: head(path))
            except NotFound:
                return False
            except PermissionDenied:
                get(path)
            return True

    def upload(self, source: Path, path: str) -> str:
        """Put a file or folder there unless it is; gives its path there. The name must say the content: nothing is replaced.

        A folder counts when it is whole, so that a broken upload is begun again.
        """
        if source.is_file():
            if not self.has(path):
                self._upload_file(source, path)
            return path
        if self.has(path + COMPLETE):
            return path
        described = folder_facts(source)
        for name in described:
            self._upload_file(source / name, f"{path}/{name}")
        self.write(path + COMPLETE, json.dumps(described, sort_keys=True).encode())
        return path

    def mirror(self, source: Path, path: str) -> str:
        """Make a folder there as the one here, by the files that are new, changed or gone; gives its path there.

        For what grows, such as traffic: only the increment travels.
        """
        try:
            known = json.loads(self.read(path + COMPLETE) or b"{}")
        except ValueError:
            known = {}
        wanted = folder_facts(source)
        if wanted == known:
            return path
        self._make(path)
        for name in (name for name, facts in wanted.items() if known.get(name) != facts):
            self._upload_file(source / name, f"{path}/{name}")
        for name in known.keys() - wanted.keys():
            self._delete(f"{path}/{name}")
        self.write(path + COMPLETE, json.dumps(wanted, sort_keys=True).encode())
        return path

    def download(self, path: str, target: Path, expected: Mapping[str, Any]) -> None:
        """Bring a file here.

        Args:
            path: of the file there.
            target: path here; its folder is made.
            expected: ``{"size", "sha256"}``.

        Raises:
            StageError: when it is missing, cut off or another.
        """
        target.parent.mkdir(parents=True, exist_ok=True)

        def fetch() -> str:
            hasher = hashlib.sha256()
            contents = self.client.files.download(path).contents
            with target.open("wb") as file:
                for chunk in _chunks(contents):
                    hasher.update(chunk)
                    file.write(chunk)
            return hasher.hexdigest()

        with asking("volume", path):
            digest = patiently(fetch)
        if digest != expected["sha256"]:
            size = target.stat().st_size
            target.unlink()
            raise StageError(
                f"the file is not as the stage wrote it ({size} of {expected['size']} bytes came)",
                where=path,
                remedy="launch the stage again; if it stays so, delete the file there and the stage makes it again",
            )

    def _delete(self, path: str) -> None:
        from databricks.sdk.errors import NotFound

        with asking("volume", path), suppress(NotFound):
            patiently(lambda: self.client.files.delete(path))

    def _upload_file(self, source: Path, path: str) -> None:
        self._make(path.rpartition("/")[0])
        with asking("volume", path), source.open("rb") as file:

            def send() -> None:
                file.seek(0)
                self.client.files.upload(path, file, overwrite=True)

            patiently(send)

    def _make(self, folder: str) -> None:
        if folder in self._made:
            return
        with asking("volume", folder):
            patiently(lambda: self.client.files.create_directory(folder))
        self._made.add(folder)


def folder_facts(folder: Path) -> dict[str, dict[str, Any]]:
    """``{"size", "sha256"}`` of every file by its path below the folder, sorted."""
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    return {one.relative_to(folder).as_posix(): {"size": one.stat().st_size, "sha256": sha256_of(one)} for one in files}


def sha256_of(path: Path) -> str:
    """The digest of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _chunks(contents: Any) -> Iterator[bytes]:
    if contents is None:
        return
    with contents:
        while chunk := contents.read(CHUNK):
            yield chunk
