"""The code of docs/clients.md runs as it stands there, but for addresses and paths."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retrain_assets.routing import routing_key
from retrain_assets.serving import ExposureLog
from retrain_assets.serving.journal import recover
from retrain_assets_tests.serving.client.conftest import ODD_UNITS, Serving
from retrain_assets_tests.serving.gateway.served import FEATURES, MODEL

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "clients.md").read_text(encoding="utf-8")
UNITS = (*ODD_UNITS, "2013-07-02 UA 1545 EWR", "\x7f\x80", "e\u0301", "%C3%AB")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_python_recipes_run_and_log_what_they_say(serving: Serving) -> None:
    scored = SimpleNamespace(score=lambda features: 0.25)
    known: dict[str, Any] = {
        "features": FEATURES,
        "models": {"1": scored, "2": scored},
        "models_by_arm": {"champion": scored, "challenger": scored},
        "champion_version": "1",
        "ModelError": RuntimeError,
    }
    recipes = blocks("python")
    assert len(recipes) == 3
    for recipe in recipes:
        here = recipe.replace("http://127.0.0.1:8080", serving.url).replace("/srv/retrain", str(serving.world.home.root))
        exec(compile(here, "docs/clients.md", "exec"), known)
    logging.getLogger("openfeature").setLevel(logging.CRITICAL)  # its file watcher outlives shutdown and misses the file
    known["api"].shutdown()
    logging.getLogger("openfeature").setLevel(logging.NOTSET)
    serving.end()
    recover(serving.world.home)
    rows = ExposureLog(serving.world.home).read_exposures(MODEL).sort("request_id")
    assert rows["request_id"].to_list() == ["r-1", "r-2", "r-3"]
    assert rows["unit_id"].to_list()[2] == "Zoë 飞机 7"
    assert rows["score"].to_list()[1:] == [0.25, 0.25]
    assert rows["toggle"].null_count() == 0
    assert ExposureLog(serving.world.home).read_outcomes(MODEL)["cost_per_flight"].to_list() == [10.0]


def test_the_key_rule_in_javascript_is_the_routers(tmp_path: Path) -> None:
    (rule,) = re.findall(r"^const routingKey = .*$", blocks("js")[0], re.MULTILINE)
    program = tmp_path / "key.mjs"
    program.write_text(f"{rule}\nconsole.log(JSON.stringify(process.argv.slice(2).map(routingKey)));\n", encoding="utf-8")
    told = _run("node", "Node.js", str(program), *UNITS)
    assert told == [routing_key(unit) for unit in UNITS]


def test_the_key_rule_in_java_is_the_routers(tmp_path: Path) -> None:
    rule = blocks("java")[0]
    program = tmp_path / "Key.java"
    main = (
        "class Key { public static void main(String[] units) throws Exception { "
        "var told = new java.util.ArrayList<String>(); "
        'for (var unit : units) told.add("\\"" + RoutingKey.of(new String(java.util.HexFormat.of().parseHex(unit), '
        'java.nio.charset.StandardCharsets.UTF_8)).replace("\\u007f", "\\\\u007f") + "\\""); '
        "System.out.println(told); } }"
    )
    imports, declared = rule.split("\n\n", 1)
    program.write_text(f"{imports}\n\n{main}\n\n{declared}", encoding="utf-8")
    told = _run("java", "a JDK (17 or later)", str(program), *(unit.encode().hex() for unit in UNITS))
    assert told == [routing_key(unit) for unit in UNITS]


def _run(command: str, what: str, *arguments: str) -> Any:

    found = shutil.which(command)
    if found is None:
        absent = f"this recipe needs {what}"
        if os.environ.get("CI") == "true":
            pytest.fail(absent)
        pytest.skip(absent)
    done = subprocess.run([found, *arguments], capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
