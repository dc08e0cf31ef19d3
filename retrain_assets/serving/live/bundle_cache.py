"""Verified copies of bundles below the home, so that a restart needs no registry; a damaged copy is replaced from there."""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Set
from pathlib import Path
from uuid import uuid4

from retrain_assets.bundle import Bundle, load_bundle, verify_bundle
from retrain_assets.contract import CustodyError, first_line
from retrain_assets.home import Home
from retrain_assets.release import RegistryProtocol
from retrain_assets.release.projection import file_lock
from retrain_assets.routing import VersionRef

Fill = Callable[[str, VersionRef], None]

SPARE_COPIES = 3
"""Copies of a model kept on disk besides those in use, the last used ones."""

SCRATCH_SECONDS = 3600.0
"""After this time what another process began to write is taken for left behind."""

_ALGORITHM = "sha256:"

_LOG = logging.getLogger(__name__)


class BundleCache:
    """Bundles by model and digest, from the disk or, failing that, from the registry. Several processes share the files.

    Args:
        home: where the copies are.
        fill: has the copy of a model's version made.
    """

    def __init__(self, home: Home, fill: Fill) -> None:
        self.home = home
        self._fill = fill

    def __contains__(self, key: tuple[str, VersionRef]) -> bool:
        model, version = key
        return (self.home.serving_cache_dir(model) / version.bundle.removeprefix(_ALGORITHM)).is_dir()

    def load(self, model: str, version: VersionRef) -> Bundle:
        """The bundle of a version, its digest checked.

        Raises:
            CustodyError: when what the registry has is not the bundle of that digest.
            RegistryUnavailable: when the registry does not answer.
        """
        place = _place(self.home, model, version)
        if place.is_dir():
            try:
                return _loaded(place, version.bundle)
            except (CustodyError, OSError) as fault:
                _LOG.warning("the copy of %s version %s is made anew: %s", model, version.version, first_line(fault))
        self._fill(model, version)
        return _loaded(place, version.bundle)

    def tidy(self, model: str, in_use: Set[str], spare: int = SPARE_COPIES) -> None:
        """Remove copies that are not in use, but for the last used ones, and what was left behind half written.

        Args:
            model: the model.
            in_use: digests of its bundles in use.
            spare: copies kept besides.
        """
        directory = self.home.serving_cache_dir(model)
        if not directory.is_dir():
            return
        kept = {_folder(digest) for digest in in_use}
        unused: list[tuple[float, Path]] = []
        for entry in directory.iterdir():
            try:
                used_at = entry.stat().st_mtime
            except FileNotFoundError:
                continue
            if entry.name.startswith("."):
                if time.time() - used_at > SCRATCH_SECONDS and entry.is_dir():
                    shutil.rmtree(entry, ignore_errors=True)
            elif entry.name not in kept:
                unused.append((used_at, entry))
        for _, entry in sorted(unused, reverse=True)[spare:]:
            _remove(entry)


def copy_from(registry: RegistryProtocol, home: Home, model: str, version: VersionRef) -> None:
    """Have a whole copy of a version in the cache; of several processes that want one at once, one makes it.

    Raises:
        CustodyError: when what the registry has is not the bundle of that digest.
        RegistryUnavailable: when the registry does not answer.
    """
    place = _place(home, model, version)
    with file_lock(place.with_name(f".{place.name}.lock")):
        if _is_whole(place, version.bundle):
            return
        scratch = place.with_name(f".{uuid4().hex}")
        try:
            shutil.copytree(registry.download(model, version.version), scratch)
            verify_bundle(scratch, version.bundle)
            _remove(place)
            scratch.rename(place)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def has_whole_copy(home: Home, model: str, version: VersionRef) -> bool:
    """Whether the cache has a copy of a version, and all its files are as its digest says."""
    return _is_whole(_place(home, model, version), version.bundle)


def _loaded(place: Path, digest: str) -> Bundle:
    bundle = load_bundle(place, digest, threads=1)
    os.utime(place)
    return bundle


def _is_whole(place: Path, digest: str) -> bool:
    try:
        verify_bundle(place, digest)
    except (CustodyError, OSError):
        return False
    return True


def _remove(entry: Path) -> None:
    """Out of the way by one rename, so that nobody finds half of it."""
    scratch = entry.with_name(f".{uuid4().hex}")
    try:
        entry.rename(scratch)
    except FileNotFoundError:
        return
    shutil.rmtree(scratch, ignore_errors=True)


def _place(home: Home, model: str, version: VersionRef) -> Path:
    return home.serving_cache_dir(model) / _folder(version.bundle)


def _folder(digest: str) -> str:
    if re.fullmatch(_ALGORITHM + "[0-9a-f]{64}", digest) is None:
        raise CustodyError(f"{digest!r} is not the digest of a bundle", remedy="run: retrain audit verify")
    return digest.removeprefix(_ALGORITHM)
