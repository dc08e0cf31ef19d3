"""The root's help: every command once, under the heading of what it is for."""

from __future__ import annotations

from retrain_assets.cli.app import app

from .conftest import Run


def test_the_help_lists_every_command_once_under_a_heading(run: Run) -> None:
    lines = run("--help").stdout.splitlines()
    headings = [lines.index(f"{heading}:") for heading in app.sections]
    assert headings == sorted(headings)
    listed = [line.split()[0] for line in lines[headings[0] :] if line.startswith("  ")]
    assert listed == [one.name for section in app.sections.values() for one in section]
    assert sorted(listed) == sorted(app.commands)
