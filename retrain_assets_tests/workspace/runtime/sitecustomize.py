"""Stands for the mounts of a Databricks node: ``/Volumes`` and ``/dbfs`` as Python's own file functions see them.

A process of a task cannot be given real mounts here, so paths below them are turned into the folders that hold them.
Libraries that open files without Python (Arrow, Polars, the JVM) need real paths: RETRAIN_VOLUMES says where.
"""

import builtins
import functools
import io
import os
from typing import Any

MOUNTS = {"/Volumes/": os.environ["WORKSPACE_VOLUMES"] + "/", "/dbfs/": os.environ["WORKSPACE_DBFS"] + "/"}


def _mounted(place: Any) -> Any:
    if isinstance(place, str | os.PathLike):
        path = os.fspath(place)
        for mount, folder in MOUNTS.items():
            if isinstance(path, str) and path.startswith(mount):
                inside = path.removeprefix(mount)
                if mount == "/dbfs/" and inside.startswith("Volumes/"):
                    return MOUNTS["/Volumes/"] + inside.removeprefix("Volumes/")
                return folder + inside
    return place


def _on_mounts(function: Any, paths: int = 1) -> Any:
    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        return function(*map(_mounted, arguments[:paths]), *arguments[paths:], **named)

    return call


builtins.open = io.open = _on_mounts(io.open)
ON_ONE_PATH = "open stat lstat mkdir rmdir unlink remove listdir scandir access chmod chown utime truncate readlink statvfs"
for name in (*ON_ONE_PATH.split(), "listxattr", "getxattr", "setxattr"):
    setattr(os, name, _on_mounts(getattr(os, name)))
for name in ("rename", "replace", "link", "symlink"):
    setattr(os, name, _on_mounts(getattr(os, name), paths=2))
