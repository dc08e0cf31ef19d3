"""An untouched home: everything recorded comes out again, byte for byte, and nothing is touched by finding out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from retrain_assets.cli.app import app
from retrain_assets.cli.reproduction import Status
from retrain_assets.cli.reproduction.looks import look_results
from retrain_assets.serving import ExposureLog
from retrain_assets_tests.cli.reproduction.conftest import Promoted
from retrain_assets_tests.conftest import CHECKOUT
from retrain_assets_tests.scenarios.story import FIRST, MODEL, RETRAIN

STEPS = {"1 data set", "2 features", "3 candidate", "4 gates", "5 canary", "6 decision", "7 pack"}


def test_a_copied_home_reproduces_every_step_and_stays_as_it_was(
    promoted: Promoted, tree: Callable[[Path], dict[str, str]]
) -> None:
    before, versions = tree(promoted.home.root), len(promoted.stored().ledger.events())

    done = CliRunner().invoke(app, ["audit", "reproduce", MODEL, RETRAIN, "--full", "--json"])

    told = json.loads(done.stdout)
    assert [one for one in told["steps"] if one["status"] != "equal"] == []
    assert (done.exit_code, told["equal"]) == (0, True)
    assert {one["step"] for one in told["steps"]} == STEPS
    assert all(one["recorded"] == one["recomputed"] for one in told["steps"])
    assert {fact["what"] for one in told["steps"] for fact in one["measured"]} == {"within_budget"}
    assert tree(promoted.home.root) == before
    assert len(promoted.stored().ledger.events()) == versions


def test_fast_fits_nothing_and_says_what_it_left_out(promoted: Promoted) -> None:
    done = CliRunner().invoke(app, ["audit", "reproduce", MODEL, FIRST, "--fast"])
    told = json.loads(CliRunner().invoke(app, ["audit", "reproduce", MODEL, FIRST, "--fast", "--json"]).stdout)

    assert done.exit_code == 0, done.output
    left_out = [one["what"] for one in told["steps"] if one["status"] == "not recomputed"]
    assert left_out == ["taken from the source again", "features → candidate", "candidate → evaluation", "looks"]
    assert len([line for line in done.stdout.splitlines() if " equal " in line]) == len(told["steps"]) - len(left_out)


def test_another_process_takes_the_team_s_code_from_the_project_it_stands_in(promoted: Promoted, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "pyproject.toml").write_text("")
    shutil.copy(promoted.code, project / "src")
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "retrain_assets.cli",
        "audit",
        "reproduce",
        MODEL,
        RETRAIN,
        "--fast",
        "--json",
    ]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "RETRAIN_HOME": str(promoted.home.root)}

    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["equal"]


def test_looks_come_out_equal_where_a_copy_has_lost_the_times_of_its_files(promoted: Promoted, tmp_path: Path) -> None:
    for path in promoted.home.traffic_dir.rglob("*.parquet"):
        os.utime(path)

    results = list(look_results(promoted.stored(), tmp_path / "looks"))

    assert {one.status for one in results} == {Status.EQUAL}
    assert len([one for one in results if one.what.startswith("look ")]) == 3


def test_outcomes_that_came_later_change_no_look_of_before(promoted: Promoted, tmp_path: Path) -> None:
    log = ExposureLog(promoted.home)
    again = log.read_outcomes(MODEL).with_columns(cost=-1000.0)
    log.append_outcomes(MODEL, again, "corrected-later")

    assert {one.status for one in look_results(promoted.stored(), tmp_path / "looks")} == {Status.EQUAL}


def test_a_retrain_nobody_launched_is_refused_in_one_line(promoted: Promoted) -> None:
    done = CliRunner().invoke(app, ["audit", "reproduce", MODEL, "2031-01-01"])

    assert done.exit_code == 3
    assert done.stderr.startswith("retrain: audit reproduce: the ledger has no retrain 2031-01-01 of churn")
