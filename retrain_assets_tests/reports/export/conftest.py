"""One signed home and its export for the tests that only read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain_assets.reports.export import Export

from .world import SignedSample, exported, promoted, unpacked


@pytest.fixture(scope="session")
def signed_home(tmp_path_factory: pytest.TempPathFactory) -> SignedSample:
    """A promotion that Ruth approved with her key. Read it only."""
    return promoted(tmp_path_factory.mktemp("export") / "home")


@pytest.fixture(scope="session")
def export(signed_home: SignedSample) -> Export:
    return exported(signed_home)


@pytest.fixture(scope="session")
def pristine(export: Export, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export, unpacked. Read it only."""
    return unpacked(export, tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def folder(export: Export, tmp_path: Path) -> Path:
    """The export, unpacked for one test."""
    return unpacked(export, tmp_path)
