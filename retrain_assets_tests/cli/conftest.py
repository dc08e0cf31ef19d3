"""Homes in three states, made once a session and copied for each test; the command itself, run in process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from retrain_assets.cli.app import app
from retrain_assets.cli.opening import PATIENCE

from .world import RUTH, World, write_project

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def candidates_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("candidates") / "home"
    World(root).begin()
    return root


@pytest.fixture(scope="session")
def ramping_base(candidates_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ramping") / "home"
    world = World.copied(candidates_base, root)
    world.bootstrap()
    world.ramp()
    return root


@pytest.fixture(scope="session")
def awaiting_base(ramping_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("awaiting") / "home"
    world = World.copied(ramping_base, root)
    assert world.look().action == "ask_approval"
    return root


@pytest.fixture
def candidates(candidates_base: Path, retrain_home: Path) -> World:
    """Two candidates, no champion; the working directory is the project of their contract."""
    write_project(retrain_home.parent)
    return World.copied(candidates_base, retrain_home)


@pytest.fixture
def ramping(ramping_base: Path, retrain_home: Path) -> World:
    """A champion, and a challenger at 50 per cent with three days of traffic."""
    write_project(retrain_home.parent)
    return World.copied(ramping_base, retrain_home)


@pytest.fixture
def awaiting(awaiting_base: Path, retrain_home: Path) -> World:
    """A challenger that awaits approval."""
    write_project(retrain_home.parent)
    return World.copied(awaiting_base, retrain_home)


@pytest.fixture
def run() -> Run:
    """The command in process: ``run("toggle", "hold", "churn", code=0)`` asserts the exit code."""

    def invoke(*arguments: str, code: int = 0, stdin: str | bytes | None = None, **env: str) -> Result:
        unset = dict.fromkeys(PATIENCE)
        result = CliRunner(env={"RETRAIN_ACTOR": "", **unset, **env}).invoke(app, list(arguments), input=stdin)
        assert result.exit_code == code, f"exit {result.exit_code}\n{result.output}\n{result.exception!r}"
        if code not in (0, 2):
            assert_one_line(result)
        return result

    return invoke


@pytest.fixture
def act(run: Run) -> Run:
    """The command as Ruth, with a reason."""

    def invoke(*arguments: str, **more: Any) -> Result:
        return run(*arguments, "--reason", "because of the test", "--as", RUTH.name, **more)

    return invoke


def assert_one_line(result: Result) -> None:
    """A fault is one line on stderr, besides notes about what was repaired."""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("retrain: note:")]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("retrain: ")


def parsed(result: Result) -> Any:
    return json.loads(result.stdout)
