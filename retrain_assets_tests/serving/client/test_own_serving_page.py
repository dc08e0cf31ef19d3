"""docs/own-serving.md: each level's code runs as it stands, but for addresses and paths, against a real home and gateway."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from click.testing import CliRunner

from retrain_assets.cli.app import app
from retrain_assets.serving import ExposureLog
from retrain_assets.serving.journal import recover
from retrain_assets_tests.serving.client.conftest import Serving
from retrain_assets_tests.serving.gateway.served import FEATURES, MODEL

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "own-serving.md").read_text(encoding="utf-8")
LEVELS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
UNITS = {f"unit-{number}": {"origin": "JFK"} for number in range(40)}


def test_each_level_puts_its_exposures_and_outcomes_on_record(serving: Serving, tmp_path: Path) -> None:
    scored = SimpleNamespace(score=lambda features: 0.25)
    known: dict[str, Any] = {"features": FEATURES, "units": UNITS, "models": {"1": scored, "2": scored}}
    known["models_by_arm"] = {"champion": scored, "challenger": scored}
    (tmp_path / "units.jsonl").write_text("".join(json.dumps({"unit": unit, **facts}) + "\n" for unit, facts in UNITS.items()))
    (command,) = re.findall(r"^retrain (route .*) > arms\.jsonl$", PAGE, re.MULTILINE)
    routed = CliRunner().invoke(app, command.split())
    assert routed.exit_code == 0, routed.output
    (tmp_path / "arms.jsonl").write_text(routed.stdout)
    assert len(LEVELS) == 3
    for code in LEVELS:
        here = code.replace("http://127.0.0.1:8080", serving.url).replace("/srv/retrain", str(serving.world.home.root))
        exec(compile(here, "docs/own-serving.md", "exec"), known)
    logging.getLogger("openfeature").setLevel(logging.CRITICAL)  # its file watcher outlives shutdown and misses the file
    known["api"].shutdown()
    logging.getLogger("openfeature").setLevel(logging.NOTSET)
    serving.end()
    recover(serving.world.home)
    rows = ExposureLog(serving.world.home).read_exposures(MODEL)
    assert {"own-1", "own-2"} < set(rows["request_id"])
    night = {row["unit_id"]: row["arm"] for row in rows.to_dicts() if row["request_id"].startswith("night-")}
    said = {line["unit"]: line["arm"] for line in map(json.loads, routed.stdout.splitlines())}
    assert night == said
    assert set(said.values()) == {"champion", "challenger"}
    outcomes = ExposureLog(serving.world.home).read_outcomes(MODEL)
    assert sorted(outcomes["cost_per_flight"]) == [10.0, 30.0]
