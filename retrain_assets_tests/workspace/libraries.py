"""Libraries of a task: wheels from volumes, unpacked once, and requirements that must be there already."""

from __future__ import annotations

import hashlib
import importlib.metadata
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from databricks.sdk.service.compute import Library
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from .workspace import Workspace


class LibraryFailure(Exception):
    """A library could not be installed."""


def installed(workspace: Workspace, libraries: Sequence[Library], dependencies: Sequence[str]) -> list[Path]:
    """Folders of unpacked wheels, in order; a requirement must be met by this interpreter (no package index is asked)."""
    folders = []
    for library in libraries:
        if library.whl is not None:
            folders.append(_unpacked(workspace, library.whl))
        elif library.pypi is not None:
            _check_met(library.pypi.package)
        elif library.requirements is not None:
            for line in _read(workspace, library.requirements).decode().splitlines():
                if line.strip() and not line.lstrip().startswith("#"):
                    _install(workspace, line.strip(), folders)
        else:
            raise LibraryFailure(_told(str(library.as_dict()), "this kind of library is not emulated"))
    for dependency in dependencies:
        _install(workspace, dependency, folders)
    return folders


def provides(folders: Sequence[Path], package: str, entry_point: str) -> bool:
    """Whether a package, of these wheels or of this interpreter, has an entry point or a function of that name."""
    path = [str(folder) for folder in folders]
    wanted = canonicalize_name(package)
    for distribution in [*importlib.metadata.distributions(path=path), *importlib.metadata.distributions()]:
        if canonicalize_name(distribution.metadata["Name"] or "") == wanted:
            module = package.replace("-", "_")
            written = any((Path(folder) / module / "__init__.py").is_file() for folder in folders)
            return written or any(one.name == entry_point for one in distribution.entry_points)
    return False


def _install(workspace: Workspace, dependency: str, folders: list[Path]) -> None:
    if dependency.endswith(".whl"):
        folders.append(_unpacked(workspace, dependency))
    else:
        _check_met(dependency)


def _unpacked(workspace: Workspace, uri: str) -> Path:
    content = _read(workspace, uri)
    folder = workspace.wheels / hashlib.sha256(content).hexdigest()[:24]
    if not folder.is_dir():
        scratch = folder.with_name(f"{folder.name}.{id(content)}")
        try:
            with zipfile.ZipFile(workspace.path(uri)) as wheel:
                wheel.extractall(scratch)
        except zipfile.BadZipFile as error:
            raise LibraryFailure(_told(uri, f"ERROR: Wheel '{Path(uri).stem}' located at {uri} is invalid.")) from error
        if not any(scratch.glob("*.dist-info/METADATA")):
            raise LibraryFailure(_told(uri, f"ERROR: {uri} has no .dist-info directory"))
        try:
            scratch.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
        for requirement in next(iter(importlib.metadata.distributions(path=[str(folder)]))).requires or []:
            _check_met(requirement)
    return folder


def _read(workspace: Workspace, uri: str) -> bytes:
    try:
        return workspace.path(uri).read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise LibraryFailure(_told(uri, f"java.io.FileNotFoundException: No such file or directory: {uri}")) from error


def _check_met(requirement: str) -> None:
    try:
        wanted = Requirement(requirement)
    except InvalidRequirement as error:
        raise LibraryFailure(_told(requirement, f"ERROR: Invalid requirement: '{requirement}'")) from error
    if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
        return
    try:
        found = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found is None or not wanted.specifier.contains(found, prereleases=True):
        raise LibraryFailure(_told(requirement, f"ERROR: No matching distribution found for {requirement}"))


def _told(library: str, why: str) -> str:
    return (
        f'run failed with error message\n Library installation failed for library due to user error for "{library}". '
        f"Error messages:\nLibrary installation attempted on the driver node of the cluster and failed. Error code: "
        f"DRIVER_LIBRARY_INSTALLATION_FAILURE. Error message: {why}"
    )
