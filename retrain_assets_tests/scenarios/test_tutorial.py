"""docs/tutorial.md, typed line by line in a folder of its own: from a Parquet file to a champion with its evidence pack."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from retrain_assets_tests.pages import blocks
from retrain_assets_tests.pages.shell import Shell

PAGE = "tutorial.md"


def test_the_tutorial_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")  # of dg, in its own process
    for name in ("RETRAIN_HOME", "RETRAIN_ACTOR", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, "")
    shell = Shell(tmp_path)
    for block in blocks(PAGE, "console"):
        shell.type(block)
    assert "goes no further" not in shell.answer("retrain launch")
    assert "2013-03-26 is champion" in shell.answer("retrain rehearse")
    assert (tmp_path / "rehearsal" / "reports" / "coast" / "2013-03-26.html").is_file()
    assert (tmp_path / "airline" / "defs" / "coast" / "allowed_signers").read_text().startswith("ann@example.org ssh-ed25519 ")
