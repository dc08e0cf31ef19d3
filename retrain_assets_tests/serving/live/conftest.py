"""Tests that are coroutines run on asyncio; homes are made once a session and copied."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retrain_assets_tests.serving.live.world import Served

Canary = Callable[..., Served]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Canary:
    """Homes by what was asked for."""
    known: dict[str, Served] = {}

    def make(stages: int | None, **sections: Any) -> Served:
        key = json.dumps([stages, sections])
        if key not in known:
            known[key] = Served.at(tmp_path_factory.mktemp("served") / "home", **sections)
            known[key].crowned() if stages is None else known[key].canary(stages)
        return known[key]

    return make


@pytest.fixture
def canary(made: Canary, tmp_path: Path) -> Canary:
    """``canary(stages, **sections of the contract)``: a home whose challenger is so many stages up its ramp.

    1 is shadow, 2 is 25 per cent; 0 is armed; None: there is a champion, and nothing is tried.
    """

    def copied(stages: int | None = 2, **sections: Any) -> Served:
        return made(stages, **sections).copied(tmp_path / "home")

    return copied
