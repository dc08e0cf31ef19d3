"""One made-up home for all tests that only read it; a test that writes makes its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.home import Home
from retrain_assets.reports import pack_of, pack_page
from retrain_assets_tests.reports.sample import MODEL, Sample


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A home with a bootstrap, a promotion, a leak stopped at gate data and a rollback by the system."""
    sample = Sample(Home(tmp_path_factory.mktemp("lived")))
    sample.bootstrap()
    sample.promoted()
    sample.stopped_by_leak()
    sample.rolled_back()
    return sample


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Sample]:
    """A home of the test's own, empty."""
    return Sample(Home(tmp_path / "fresh"))


def packed(sample: Sample, retrain: str) -> dict[str, Any]:
    return pack_of(sample.ledger, sample.evidence, sample.home, MODEL, retrain)


def paged(sample: Sample, retrain: str) -> str:
    return pack_page(packed(sample, retrain), "sha256:" + "0" * 64)
