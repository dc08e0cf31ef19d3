from __future__ import annotations

from pathlib import Path

import pytest

from .people import KEY, copied, signed_world
from .world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "home")


@pytest.fixture(scope="module")
def awaiting_base(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = signed_world(tmp_path_factory.mktemp("signed") / "home")
    world.awaiting(KEY)
    return world


@pytest.fixture
def waiting(awaiting_base: World, tmp_path: Path) -> World:
    """A challenger that awaits approval by people with keys."""
    return copied(awaiting_base, tmp_path / "home")
