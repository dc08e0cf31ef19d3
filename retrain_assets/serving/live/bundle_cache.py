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
from retrain_assets.routing import VersionRef

Fetch = Callable[[str, str], Path]

SPARE_COPIES = 3
"""Copies of a model kept on disk besides those in use, the last used ones."""

SCRATCH_SECONDS = 3600.0
"""After this time what another process began to write is taken for left behind."""

_LOG = logging.getLogger(__name__)


class BundleCache:
    """Bundles by model and digest, from the disk or, failing that, from the registry. Several processes share the files.

    Args:
        home: where the copies are.
        fetch: gives the bundle directory of a model's version.
    """

    def __init__(self, home: Home, fetch: Fetch) -> None:
        self.home = home
        self._fetch = fetch

    def load(self, model: str, version: VersionRef) -> Bundle:
        """The bundle of a version, its digest checked.

        Raises:
            CustodyError: when what the registry has is not the bundle of that digest.
            RegistryUnavailable: when the registry does not answer.
        """
        place = self.home.serving_cache_dir(model) / _folder(version.bundle)
        try:
            return _loaded(place, version.bundle)
        except FileNotFoundError:
            pass
        except CustodyError as fault:
            _LOG.warning(
                "the copy of version %s is damaged and is taken from the registry again: %s", version.version, fault.line
            )
        self._copy(self._fetch(model, version.version), place, version.bundle)
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
                if time.time() - used_at > SCRATCH_SECONDS:
                    shutil.rmtree(entry, ignore_errors=True)
            elif entry.name not in kept:
                unused.append((used_at, entry))
        for _, entry in sorted(unused, reverse=True)[spare:]:
            _remove(entry)

    def _copy(self, source: Path, place: Path, digest: str) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        scratch = place.with_name(f".{uuid4().hex}")
        try:
            shutil.copytree(source, scratch)
            verify_bundle(scratch, digest)
            if place.exists() and not _is_whole(place, digest):
                _remove(place)
            try:
                scratch.rename(place)
            except OSError:
                if not _is_whole(place, digest):  # otherwise another process was quicker
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _loaded(place: Path, digest: str) -> Bundle:
    if not place.is_dir():
        raise FileNotFoundError(place)
    bundle = load_bundle(place, digest, threads=1)
    os.utime(place)
    return bundle


def _is_whole(place: Path, digest: str) -> bool:
    try:
        verify_bundle(place, digest)
    except (CustodyError, OSError) as fault:
        _LOG.info("%s is replaced: %s", place, first_line(fault))
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


def _folder(digest: str) -> str:
    if (found := re.fullmatch(r"sha256:([0-9a-f]{64})", digest)) is None:
        raise CustodyError(f"{digest!r} is not the digest of a bundle", where="flags.json", remedy="run: retrain reconcile")
    return found[1]
