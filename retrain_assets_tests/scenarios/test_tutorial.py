"""docs/tutorial.md, typed line by line in a folder of its own: from a Parquet file to a promoted model with its evidence pack."""

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
    assert "2013-05-01 is champion" in shell.answer("retrain rehearse")
    packs = tmp_path / "rehearsal" / "reports" / "jfk"
    assert {path.stem for path in packs.glob("2013-*.html")} == {"2013-04-02", "2013-05-01"}
    assert "version 2" in shell.answer("retrain status")
    assert (tmp_path / "airline" / "defs" / "jfk" / "allowed_signers").read_text().startswith("ann@example.org ssh-ed25519 ")
