"""A home laid out in a scratch folder with the traffic files of a moment: links to the real ones, caches of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

from retrain_assets.cli.reproduction.as_of import Moment, Way
from retrain_assets.compute.merged_traffic import MERGED, counting, take_apart
from retrain_assets.home import Home

KINDS = {"exposures": "exposed_at", "outcomes": "observed_at"}
"""Kinds of traffic files, with the column that says when a row was."""


class Scene:
    """What look and view read, as of a moment; nothing is written outside the folder.

    Args:
        home: the real home.
        model: whose traffic.
        root: the folder.
    """

    def __init__(self, home: Home, model: str, root: Path) -> None:
        self._real, self._model, self.home = home, model, Home(root)
        root.mkdir(parents=True, exist_ok=True)
        for part in ("evidence", "stages"):
            (root / part).symlink_to((home.root / part).absolute())

    def fill(self, moment: Moment, way: Way) -> None:
        """Link the files that were there; those that were not are taken out."""
        for kind, column in KINDS.items():
            real, here = (getattr(home, f"{kind}_dir")(self._model) for home in (self._real, self.home))
            here.mkdir(parents=True, exist_ok=True)
            keeps = moment.keeps(way, column)
            wanted = {path.name: path for path in self._as_written(real, kind) if keeps(path)}
            for link in here.iterdir():
                if link.name not in wanted:
                    link.unlink()
            for name, path in wanted.items():
                if not (here / name).exists():
                    (here / name).symlink_to(path.absolute())

    def _as_written(self, real: Path, kind: str) -> list[Path]:
        """The files as they were written, merged ones taken apart."""
        found: list[Path] = []
        for entry in counting(real):
            path, apart = real / entry.name, self.home.root / "taken_apart" / kind / entry.name
            if not MERGED.fullmatch(entry.name):
                found.append(path)
            elif apart.exists():
                found += sorted(apart.iterdir())
            else:
                found += take_apart(path, apart)
        return sorted(found, key=lambda one: one.name)

    def forget(self, toggle: str) -> None:
        """Have the next look read everything anew."""
        shutil.rmtree(self.home.canary_cache_dir(toggle), ignore_errors=True)
