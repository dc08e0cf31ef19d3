"""Processes that load the definitions, as Dagster's do, write the log as the environment asks for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LOADS = "import logging, retrain_assets.definitions as d; d.defs(); logging.getLogger('retrain_assets.assets').warning('a tick')"


def test_a_process_of_the_code_location_writes_json_lines(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADS],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "RETRAIN_HOME": str(tmp_path / "home"), "RETRAIN_LOG": "json"},
    )
    (line,) = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert (line["level"], line["message"], line["environment"]) == ("WARNING", "a tick", "default")
