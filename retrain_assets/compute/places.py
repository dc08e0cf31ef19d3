"""Where the places that requests and results name are on this machine: Unity Catalog volumes are mounted, or they are not."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

VOLUMES = "/Volumes"
"""How every place on a Unity Catalog volume begins, in requests, results and records."""

MOUNT = "RETRAIN_VOLUMES"
"""Environment variable with the folder that volumes are mounted below, where it is not ``/Volumes`` as on Databricks."""


def located(uri: str) -> Path:
    """The path of a place on this machine."""
    if is_on_volume(uri) and (mount := os.environ.get(MOUNT)):
        return Path(mount, *PurePosixPath(uri).parts[2:])
    return Path(uri)


def uri_of(path: Path) -> str:
    """What a path is called in results: the inverse of :func:`located`."""
    mount = os.environ.get(MOUNT)
    if mount and path.absolute().is_relative_to(Path(mount).absolute()):
        return str(PurePosixPath(VOLUMES, *path.absolute().relative_to(Path(mount).absolute()).parts))
    return str(path)


def is_on_volume(uri: str) -> bool:
    """Whether a place is on a Unity Catalog volume."""
    return uri.startswith(VOLUMES + "/")
