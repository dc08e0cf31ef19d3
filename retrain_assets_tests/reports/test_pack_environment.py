"""A pack from elsewhere than production says so before anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain_assets.reports.pack import pack_of
from retrain_assets.reports.page import pack_page
from retrain_assets_tests.release.world import MODEL, World


@pytest.mark.parametrize(("environment", "said"), [("staging", "staging, not production"), ("production", ""), ("", "")])
def test_the_head_of_the_page_names_the_environment(
    environment: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRAIN_ENVIRONMENT", environment)
    world = World(tmp_path / "home")
    world.launch("2013-07-01")
    pack = pack_of(world.ledger, world.evidence, world.home, MODEL, "2013-07-01")
    assert pack.get("environment", "") == environment
    page = pack_page(pack, "sha256:" + "0" * 64)
    assert ("not production" in page) is bool(said)
    assert said in page
