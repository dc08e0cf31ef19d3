"""Evidence by digest: JSON values in files named by the SHA-256 of their canonical bytes. What is stored never changes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from retrain_assets.contract import CustodyError, canonical_json, sha256_hex


@dataclass(frozen=True, slots=True)
class BrokenEvidence:
    """A piece of evidence that is gone or not what was recorded."""

    digest: str
    message: str


class EvidenceStore:
    """Content-addressed JSON files below one directory.

    Args:
        directory: made when the first value is stored.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)

    def put(self, value: Any) -> str:
        """Store a JSON value durably and give its digest (``sha256:…``); storing it again changes nothing.

        Raises:
            ValueError: for what canonical JSON cannot hold (NaN, infinities, foreign types).
        """
        data = canonical_json(value)
        digest = "sha256:" + sha256_hex(data)
        path = self.path(digest)
        if path.exists() and path.read_bytes() == data:
            return digest
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.{uuid4().hex}")
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
        return digest

    def get(self, digest: str) -> Any:
        """The value stored under a digest.

        Raises:
            CustodyError: when it is missing, or its bytes do not give the digest.
        """
        if fault := self._fault(digest):
            raise CustodyError(
                fault, where=str(self.path(digest)), remedy="restore the file from a backup of the evidence directory"
            )
        return json.loads(self.path(digest).read_bytes())

    def __contains__(self, digest: str) -> bool:
        return self.path(digest).exists()

    def verify(self, recorded: Iterable[str] = ()) -> list[BrokenEvidence]:
        """Everything stored that is not what its name says, and every recorded digest that is gone; empty when all hold."""
        stored = {f"sha256:{path.stem}" for path in self.directory.glob("*/*.json")}
        faults = ((digest, self._fault(digest)) for digest in sorted(stored.union(recorded)))
        return [BrokenEvidence(digest, fault) for digest, fault in faults if fault]

    def path(self, digest: str) -> Path:
        """The file that holds a digest's value.

        Raises:
            CustodyError: when the text is not a digest.
        """
        algorithm, _, name = digest.partition(":")
        if algorithm != "sha256" or len(name) != 64 or not set(name) <= set("0123456789abcdef"):
            raise CustodyError(f"{digest!r} is not an evidence digest", remedy="write sha256: and 64 hexadecimal digits")
        return self.directory / name[:2] / f"{name}.json"

    def _fault(self, digest: str) -> str:
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return f"evidence {digest[:19]}… is missing"
        if "sha256:" + sha256_hex(data) != digest:
            return f"evidence {digest[:19]}… was changed: its bytes do not give its digest"
        return ""
