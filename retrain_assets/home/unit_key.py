"""The secret that unit ids are named with in evidence: a random file of the home, made when it is first needed."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

BYTES = 32
LEAST_BYTES = 16
"""A shorter key can be found by trying; an empty file would name units by no secret at all."""


def unit_key(path: Path) -> bytes:
    """The key in a file; a new random one, readable for its owner alone, where there is none.

    Two processes that need it at once get the same. A deleted key is not coming back: the next one is another.

    Raises:
        OSError: when it cannot be read or written.
        ValueError: when the file holds less than 16 bytes.
    """
    if path.exists():
        return _read(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_name(f".{path.name}.{uuid4().hex}")
    with os.fdopen(os.open(scratch, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(secrets.token_bytes(BYTES))
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        os.link(scratch, path)
    scratch.unlink()
    return _read(path)


def _read(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) < LEAST_BYTES:
        raise ValueError(f"{path}: {len(key)} bytes are no key for unit names; restore it, or take the file away for a new one")
    return key
