"""What has to start before anything happens: loading the definitions, and the first line of the command."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure import Row, Target, compared, fresh_process, interleaved

NAME = "start"
LOAD = "import {module} as location; location.defs().get_repository_def().load_all_definitions()"
WITHOUT_THE_PRODUCT = """\
import importlib.metadata as installed, sys
every = installed.entry_points
installed.entry_points = lambda **which: installed.EntryPoints(
    point for point in every(**which) if not point.value.startswith("retrain_assets")
)
{load}
assert not any(name.startswith("retrain_assets") for name in sys.modules)
"""
"""Dagster loads the component modules of every installed package; an empty project's environment would not hold ours."""
PROJECT = """\
[project]
name = "empty-project"
version = "0.0.0"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "empty_project"
"""
DEFINITIONS = """\
from pathlib import Path
import dagster as dg

@dg.definitions
def defs():
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""
QUIET = {"DAGSTER_DISABLE_TELEMETRY": "1", "PYTHONWARNINGS": "ignore"}
COMMAND = "import sys; from retrain_assets.cli import main; sys.argv = ['retrain', *sys.argv[1:]]; main()"


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        return [_definitions(Path(folder)), *_command(Path(folder))]


def _definitions(folder: Path) -> Row:
    (folder / "empty_project" / "defs").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (folder / "empty_project" / "__init__.py").touch()
    (folder / "empty_project" / "defs" / "__init__.py").touch()
    (folder / "empty_project" / "definitions.py").write_text(DEFINITIONS, encoding="utf-8")
    home = {**QUIET, "RETRAIN_HOME": str(folder / "home")}
    empty = LOAD.format(module="empty_project.definitions")
    took = interleaved(
        {
            "ours": fresh_process(["-c", LOAD.format(module="retrain_assets.definitions")], environment=home),
            "empty": fresh_process(["-c", WITHOUT_THE_PRODUCT.format(load=empty)], environment=home, directory=str(folder)),
        },
        rounds=5,
        seconds=25,
    )
    return compared(
        NAME,
        "load the definitions of one model in a fresh process, s",
        ours=took["ours"],
        against="an empty Dagster project",
        peer=took["empty"],
        target=Target(1.3),
        rows=1,
        note="with Dagster's own start in both; every run, sensor tick and code location reload pays it",
    )


def _command(folder: Path) -> list[Row]:
    home = {**QUIET, "RETRAIN_HOME": str(folder / "home")}
    took = interleaved(
        {
            "retrain --help": fresh_process(["-c", COMMAND, "--help"], environment=home),
            "retrain status": fresh_process(["-c", COMMAND, "status"], environment=home),
            "click": fresh_process(["-c", "import click"], environment=home),
        },
        rounds=9,
        seconds=12,
    )
    return [
        compared(
            NAME,
            f"{command}, s",
            ours=took[command],
            against='python -c "import click"',
            peer=took["click"],
            rows=1,
            note=note,
        )
        for command, note in (("retrain --help", ""), ("retrain status", "in an empty home"))
    ]
