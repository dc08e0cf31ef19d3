"""README and docs: every link leads somewhere, every command that is printed there is one the command line takes."""

from __future__ import annotations

import re
import shlex
from itertools import takewhile
from pathlib import Path

import click
import pytest

from retrain_assets.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))


def prose_and_code(page: Path) -> tuple[list[str], list[str]]:
    """The lines of a page outside and inside of code, a line that ends with a backslash joined with the next."""
    prose: list[str] = []
    code: list[str] = []
    fenced = False
    for line in page.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        else:
            (code if fenced else prose).append(line)
    return prose, code


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    found: set[str] = set()
    for line in prose_and_code(page)[0]:
        if heading := re.match(r"#+ (.*)", line):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
            name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.add(name if name not in found else f"{name}-1")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_project_leads_to_a_file_and_a_heading(page: Path) -> None:
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", "\n".join(prose_and_code(page)[0])):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert not lost


def commands(page: Path) -> list[str]:
    """Command lines in the code of a page, up to a pipe or what follows them."""
    found = [re.match(r"\s*(?:\$ )?(retrain [a-z].*)", line) for line in prose_and_code(page)[1]]
    return [re.sub(r"\$\{\{.*?\}\}", "REVISION", one[1]) for one in found if one]


def refusal(line: str) -> str | None:
    """Why the command line does not take a line; None where it does. Nothing is run, and no file has to be there."""
    words = shlex.split(line, comments=True)[1:]
    left = list(takewhile(lambda word: word not in (">", "|", "&&"), words))
    command: click.Command = app
    context: click.Context | None = None
    try:
        while isinstance(command, click.Group):
            name, command, left = _chosen(command, left, context)
            context = click.Context(command, info_name=name, parent=context)
        command.make_context(command.name, left, parent=context)
    except click.UsageError as error:
        return error.format_message()
    return None


def _chosen(group: click.Group, words: list[str], parent: click.Context | None) -> tuple[str, click.Command, list[str]]:
    context = parent or click.Context(group, info_name="retrain")
    name, command, left = group.resolve_command(context, words)
    assert command is not None
    return name or "", command, left


def test_a_command_line_that_is_none_is_seen() -> None:
    assert refusal("retrain status flight_delay  # who serves") is None
    assert "--by-tomorrow" in (refusal("retrain toggle extend churn --by-tomorrow") or "")
    assert "auditt" in (refusal("retrain auditt verify") or "")
    assert refusal("retrain follow-up list churn extra more") is not None


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_every_printed_command_is_one_the_command_line_takes(page: Path) -> None:
    assert {line: why for line in commands(page) if (why := refusal(line))} == {}
