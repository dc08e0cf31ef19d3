"""An archive whose bytes depend on its files alone: sorted, of one owner, one time and one mode."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from retrain_assets.contract import RetrainError


def archive_bytes(folder: str, files: Mapping[str, bytes], at: datetime) -> bytes:
    """A gzipped tar archive (POSIX.1-2001) of one folder.

    Args:
        folder: name of the folder everything lies in.
        files: content by path below it.
        at: what every file gets as its time.
    """
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(files):
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mode, member.mtime = len(files[name]), 0o644, int(at.timestamp())
            archive.addfile(member, io.BytesIO(files[name]))
    return packed.getvalue()


def free_place(path: Path, *, force: bool) -> None:
    """Refuse a place where no archive can be written.

    Raises:
        RetrainError: when something is there already, or its folder is none to write to.
    """
    if path.is_dir():
        raise RetrainError("is a directory", where=str(path), remedy="name a file with --out")
    if path.exists() and not force:
        raise RetrainError("is there already", where=str(path), remedy="name another file with --out, or add --force")
    if not path.parent.is_dir():
        raise RetrainError("there is no such directory", where=str(path.parent), remedy="make it, or name another with --out")
    if not os.access(path.parent, os.W_OK):
        raise RetrainError("cannot be written to", where=str(path.parent), remedy="name another place with --out")


def scratch_beside(path: Path, data: bytes) -> Path:
    """Write durably beside a place what shall stand there, for :meth:`Path.replace`."""
    scratch = path.with_name(f".{path.name}.{uuid4().hex}")
    with scratch.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return scratch
