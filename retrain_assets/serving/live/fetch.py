"""``python -m retrain_assets.serving.live.fetch HOME MODEL VERSION DIGEST``: a version from the registry into the serving cache.

A process of its own, so that a worker that answers requests need not load MLflow: that takes seconds and a hundred megabytes.
Exits with 2 where the version is refused and with 3 where the registry does not answer, and says why in one line.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from retrain_assets.contract import CustodyError, RegistryUnavailable, RetrainError
from retrain_assets.home import Home
from retrain_assets.release.projection import file_lock
from retrain_assets.routing import VersionRef
from retrain_assets.serving.live.bundle_cache import copy_from, has_whole_copy

TIMEOUT_SECONDS = 180.0
"""A fetch that takes longer is ended and tried again."""

REFUSED, AWAY = 2, 3

COMMAND = (sys.executable, "-P", "-W", "ignore", "-m", "retrain_assets.serving.live.fetch")


def fetch(home: Home, model: str, version: VersionRef) -> None:
    """Have a whole copy of a version in the serving cache, made by another process; by one at a time, however many want it.

    Raises:
        CustodyError: when what the registry has is not the bundle of that digest.
        RegistryUnavailable: when the registry does not answer.
    """
    arguments = [str(home.root), model, version.version, version.bundle]
    where = f"{model} version {version.version}"
    with file_lock(home.serving_cache_dir(model) / ".fetch.lock"):
        if not has_whole_copy(home, model, version):
            _fetch(arguments, where)


def _fetch(arguments: list[str], where: str) -> None:
    try:
        done = subprocess.run(
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT_SECONDS,
            check=False,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        raise RegistryUnavailable(f"the registry did not answer within {TIMEOUT_SECONDS:g} s", where=where) from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        kind = CustodyError if done.returncode == REFUSED else RegistryUnavailable
        raise kind(said[-1] if said else f"the fetch ended with exit code {done.returncode}", where=where)


def main(arguments: list[str]) -> int:
    """Fetch; gives the exit code."""
    from retrain_assets.registry import Registry

    root, model, number, digest = arguments
    home = Home(Path(root))
    try:
        copy_from(Registry.of(home), home, model, VersionRef(number, digest))
    except CustodyError as error:
        sys.stderr.write(f"{error.line}\n")
        return REFUSED
    except (RetrainError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return AWAY
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
