"""The homes of the pages, built once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain_assets_tests.pages.homes import Homes


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Homes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRAIN_HOME", "")
        return Homes(tmp_path_factory.mktemp("pages")).build(empty_store)
