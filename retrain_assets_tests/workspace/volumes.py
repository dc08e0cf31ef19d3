"""Unity Catalog volumes: folders below the mount, who may read and write them, and how their absence is worded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .routes import ApiError

READ = "READ_VOLUME"
WRITE = "WRITE_VOLUME"


@dataclass(frozen=True)
class Volume:
    """One volume; ``permissions`` None gives everybody both."""

    name: str
    folder: Path
    permissions: Mapping[str, set[str]] | None = None

    @property
    def path(self) -> str:
        """The volume as tasks and the Files API name it."""
        return "/Volumes/" + self.name.replace(".", "/")


class Volumes:
    """All volumes of the workspace; ``elsewhere`` locates what the Files API serves below another first part."""

    def __init__(self, mount: Path) -> None:
        self.mount = mount
        self.all: dict[str, Volume] = {}
        self.elsewhere: dict[str, Callable[[str, str, str], Path]] = {}

    def add(self, name: str, *, permissions: Mapping[str, set[str]] | None = None) -> Volume:
        """Make a volume, or change who may use it."""
        catalog, schema, volume = name.split(".")
        folder = self.mount / catalog / schema / volume
        folder.mkdir(parents=True, exist_ok=True)
        self.all[name] = Volume(name, folder, permissions)
        return self.all[name]

    def located(self, uri: str, user: str, need: str) -> Path:
        """The path of a place on a volume; refuses a volume that is not there or not allowed, and paths that leave it."""
        parts = PurePosixPath(uri).parts
        if len(parts) > 1 and parts[1] in self.elsewhere and ".." not in parts:
            return self.elsewhere[parts[1]](uri, user, need)
        if len(parts) < 5 or parts[:2] != ("/", "Volumes") or ".." in parts:
            raise ApiError(
                400, "INVALID_PARAMETER_VALUE", f"Invalid path: {uri}. Use /Volumes/<catalog>/<schema>/<volume>/<path>"
            )
        name = ".".join(parts[2:5])
        volume = self.all.get(name)
        if volume is None:
            raise ApiError(404, "NOT_FOUND", f"Volume '{name}' does not exist.")
        if volume.permissions is not None and need not in volume.permissions.get(user, set()):
            raise ApiError(
                403, "PERMISSION_DENIED", f"PERMISSION_DENIED: User does not have {need.replace('_', ' ')} on Volume '{name}'."
            )
        return volume.folder.joinpath(*parts[5:])
