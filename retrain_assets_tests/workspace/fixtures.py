"""The pytest fixture: an emulated workspace with the volume ``main.retrain.state``.

A conftest that needs it writes ``from retrain_assets_tests.workspace.fixtures import workspace`` and names it in ``__all__``.
Always import by the whole name: pytest knows this folder by a shorter one too, and two copies do not fit together.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .workspace import Workspace

__all__ = ["workspace"]


@pytest.fixture
def workspace(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace of its own for each test; the process's workspaces unpack and compile a wheel once."""
    with Workspace(tmp_path / "workspace", wheels=tmp_path_factory.getbasetemp() / "wheels") as made:
        made.add_volume("main.retrain.state")
        yield made
