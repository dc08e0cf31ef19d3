"""The registry as an operation sees it: brought up to the ledger by a process of its own, so that no worker loads MLflow for it.

Loading MLflow takes seconds and a hundred megabytes, and requests would feel it just when somebody rolls back.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from retrain_assets.bundle import verify_bundle
from retrain_assets.contract import CustodyError, RegistryUnavailable
from retrain_assets.home import Home
from retrain_assets.release import ModelState

RECONCILE = (sys.executable, "-m", "retrain_assets.cli", "reconcile")

_LOG = logging.getLogger(__name__)


class LeftToReconcile(RegistryUnavailable):
    """What an operation meets where it would write to the registry; the registry follows."""

    def __init__(self) -> None:
        super().__init__("left to retrain reconcile", where="registry")


class RegistryElsewhere:
    """Aliases and tags are left to :class:`RegistryFollower`; bundles are the verified copies that serving keeps.

    Args:
        home: the home.
        states: every model as recorded.
    """

    def __init__(self, home: Home, states: Callable[[], Mapping[str, ModelState]]) -> None:
        self._home, self._states = home, states

    def set_alias(self, model: str, alias: str, version: str | None) -> None:
        """Not here.

        Raises:
            LeftToReconcile: always.
        """
        raise LeftToReconcile

    def set_tags(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Not here.

        Raises:
            LeftToReconcile: always.
        """
        raise LeftToReconcile

    def carried_head(self, model: str, version: str) -> str | None:
        """Not here.

        Raises:
            LeftToReconcile: always.
        """
        raise LeftToReconcile

    def set_head(self, model: str, version: str, head: str) -> None:
        """Not here.

        Raises:
            LeftToReconcile: always.
        """
        raise LeftToReconcile

    def download(self, model: str, version: str) -> Path:
        """The copy of a version's bundle that serving keeps.

        Raises:
            RegistryUnavailable: when serving keeps none, or a damaged one, which it replaces from the registry when it loads it.
        """
        for retrain in self._states()[model].retrains.values():
            known = retrain.candidate
            if known is not None and known.version == version:
                copy = self._home.serving_cache_dir(model) / known.bundle.removeprefix("sha256:")
                try:
                    verify_bundle(copy, known.bundle)
                except (CustodyError, OSError):
                    break
                return copy
        raise RegistryUnavailable(f"serving keeps no whole copy of version {version}", where=model)


class RegistryFollower:
    """Brings the registry up to the ledger in a process of its own, one at a time; what it meets is logged.

    Args:
        home: the home.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._due = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def follow(self) -> None:
        """Begin, or once more after the one that runs; returns at once."""
        self._due.set()
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="registry follower", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while self._due.wait():
            self._due.clear()
            environment = {**os.environ, "RETRAIN_HOME": str(self._home.root)}
            done = subprocess.run(RECONCILE, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                _LOG.warning("the registry is behind the ledger: %s", done.stderr.strip() or f"exit code {done.returncode}")
