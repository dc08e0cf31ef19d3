"""Tests that are coroutines run on asyncio; a home with a canary, made once a session and copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from retrain_assets.home import Home
from retrain_assets_tests.serving.gateway.served import Served


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def canary_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A challenger at 25 per cent; its bundles are in the serving cache, so that nobody needs a registry."""
    return Served.at(tmp_path_factory.mktemp("canary") / "home").canary().warm().root


@pytest.fixture
def canary_home(canary_base: Path, retrain_home: Path) -> Home:
    """A copy of it, which RETRAIN_HOME names."""
    shutil.copytree(canary_base, retrain_home)
    return Home(retrain_home)
