import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from retrain_assets.components.loading import keep_from_collector


class Left:
    """Something that only the collector can free."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _nothing_stays_frozen() -> Iterator[None]:
    yield
    gc.unfreeze()


def _tree(folder: Path) -> dg.ComponentTree:
    return dg.ComponentTree.for_project(folder)


def _project(folder: Path, name: str) -> Path:
    (package := folder / name / name / "defs").mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    text = f'[project]\nname = "{name}"\n[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "{name}"\n'
    (folder / name / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder / name


def test_the_collector_does_not_look_at_what_a_project_made_until_the_next_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = []
    for name in ("loaded_first", "loaded_second"):
        monkeypatch.syspath_prepend(str(project := _project(tmp_path, name)))
        trees.append(_tree(project))
    left = Left()
    alive = weakref.ref(left)
    keep_from_collector(trees[0])
    del left
    keep_from_collector(trees[0])
    gc.collect()
    assert alive() is not None
    keep_from_collector(trees[1])
    assert alive() is None
