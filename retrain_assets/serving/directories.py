"""Directories whose entries survive a loss of power."""

from __future__ import annotations

import os
from pathlib import Path


def made_directory(directory: Path) -> None:
    """Make a directory and those above it.

    Raises:
        OSError: when the disk refuses.
    """
    if directory.is_dir():
        return
    made_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    synchronised_directory(directory.parent)


def synchronised_directory(directory: Path) -> None:
    """Bring to the disk what was created, renamed or removed in a directory.

    Raises:
        OSError: when the disk refuses.
    """
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
