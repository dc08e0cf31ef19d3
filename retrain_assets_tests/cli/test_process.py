"""The command as the shell runs it: what it loads, what it does with a closed pipe, what it completes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from retrain_assets.cli.app import app

from .conftest import Run
from .world import FIRST, MODEL, SECOND, TOGGLE, World

HEAVY = ["mlflow", "dagster", "pandas", "polars", "numpy", "scipy", "sklearn", "lightgbm", "matplotlib", "pyarrow"]
PROBE = """
import json, sys
from retrain_assets.cli import main
sys.argv = ["retrain", *json.loads(sys.argv[1])]
try:
    main()
finally:
    print(json.dumps([name for name in json.loads(sys.argv0) if name in sys.modules]), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["status"], ["toggle", "list"], ["toggle", "show", MODEL], ["audit", "list"], ["route", MODEL, "--units", "-"]],
)
def test_looking_loads_nothing_heavy(ramping: World, arguments: list[str]) -> None:
    assert loaded(arguments) == []


def test_help_does_not_even_load_the_database_or_the_tables(ramping: World) -> None:
    assert loaded(["--help"], ["sqlalchemy", "rich", "yaml"]) == []


def loaded(arguments: list[str], watched: list[str] = HEAVY) -> list[str]:
    """Which of the watched modules a command has loaded when it ends."""
    probe = PROBE.replace("sys.argv0", repr(json.dumps(watched)))
    command = [sys.executable, "-c", probe, json.dumps(arguments)]
    done = subprocess.run(command, input="u1\n", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stderr.splitlines()[-1])
    return found


def test_a_reader_who_leaves_is_no_error_message(ramping: World, tmp_path: Path) -> None:
    units = tmp_path / "units.txt"
    units.write_text("".join(f"unit-{number}\n" for number in range(200_000)))
    command = [sys.executable, "-c", "from retrain_assets.cli import main; main()", "route", MODEL, "--units", str(units)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "unit-0\tchampion\t1\tcohort_excluded\n"
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait() == 141
    assert said == ""


def test_a_look_that_loads_the_schema_says_nothing_on_stderr(ramping: World) -> None:
    command = [sys.executable, "-m", "retrain_assets.cli", "canary", MODEL]
    looked = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONWARNINGS": "default"})
    assert (looked.returncode, [line for line in looked.stderr.splitlines() if "pyspark" in line.lower()]) == (0, [])


def test_a_fault_ends_the_process_with_its_code_and_one_line(ramping: World) -> None:
    command = [sys.executable, "-c", "from retrain_assets.cli import main; main()", "toggle", "hold", MODEL, "--reason", "why"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "RETRAIN_ACTOR": ""})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "retrain: nobody is named as the one who acts; add --as you@example.org or set RETRAIN_ACTOR\n"


def test_two_who_hold_the_same_revision_at_once(ramping: World) -> None:
    """One wins, the other is told that it lost the race; the ledger has one event."""
    command = [sys.executable, "-c", "from retrain_assets.cli import main; main()"]
    command += ["toggle", "hold", MODEL, "--reason", "at once", "--as", "ann@example.org", "--revision", "4"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 5], told
    kinds = [event.kind.value for event in ramping.controller.ledger.events()]
    assert kinds.count("toggle_held") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(run: Run, shell: str) -> None:
    assert "_RETRAIN_COMPLETE" in run("completion", shell).stdout


def completions(*words: str) -> list[str]:
    *before, last = words
    found = ShellComplete(app, {}, "retrain", "_RETRAIN_COMPLETE").get_completions(before, last)
    return [item.value for item in found]


def test_names_of_the_home_are_completed(ramping: World) -> None:
    assert completions("status", "") == [MODEL]
    assert completions("toggle", "hold", "ch") == [MODEL, TOGGLE]
    assert completions("approve", MODEL, "") == [SECOND, FIRST]
    assert completions("toggle", "arm", MODEL, "2024-03") == [FIRST]
    assert completions("tog") == ["toggle"]


def test_completion_is_silent_without_a_record_and_with_a_broken_one(retrain_home: Path) -> None:
    assert completions("status", "") == []
    assert not retrain_home.exists()
    retrain_home.mkdir()
    (retrain_home / "ledger.db").write_text("no database" * 1000)
    assert completions("status", "") == []
