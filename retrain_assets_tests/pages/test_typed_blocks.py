"""Every console and Python block that no test of its own page runs is typed into a home that is as the page says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrain_assets_tests.pages import Block, read
from retrain_assets_tests.pages.account import NOT_TYPED, RUN_BY, TYPED
from retrain_assets_tests.pages.homes import FLIGHTS, Homes
from retrain_assets_tests.pages.shell import PROGRAMS, Shell
from retrain_assets_tests.pages.steps import STEPS


def typed_here(page: str) -> list[Block]:
    return [block for block in read(page) if block.language in TYPED and (page, block.language) not in RUN_BY]


@pytest.fixture
def shell(tmp_path: Path, homes: Homes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """Ruth in an empty folder, with her keys."""
    (tmp_path / "person").mkdir()
    (tmp_path / "person" / ".ssh").symlink_to(homes.folder / "ssh")
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "never")
    monkeypatch.setenv("RETRAIN_ACTOR", "ruth@example.org")
    for name in ("SSH_AUTH_SOCK", "RETRAIN_SSH_KEY"):
        monkeypatch.delenv(name, raising=False)
    before, mask = dict(os.environ), os.umask(0o022)
    key = tmp_path / "person" / ".ssh" / "id_ed25519.pub"
    here = {".venv/bin/": f"{PROGRAMS}/", "(ssh-agent)": f"({key})", "/home/ruth/": lambda shell: f"{shell.folder}/"}
    yield Shell(folder, names=here | FLIGHTS)
    os.umask(mask)
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize("page", STEPS)
def test_the_blocks_of_a_page_do_what_it_says(page: str, shell: Shell, homes: Homes, monkeypatch: pytest.MonkeyPatch) -> None:
    found = typed_here(page)
    assert len(found) == len(STEPS[page]), f"give each block of {page} a step in steps.py"
    shell.skipped = tuple(beginning for where, beginning in NOT_TYPED if where == page)
    home = None
    for number, (block, step) in enumerate(zip(found, STEPS[page], strict=True)):
        if step.state is not None:
            shell.folder = shell.folder.parent / f"here-{number}"
            shell.folder.mkdir()
            monkeypatch.chdir(shell.folder)
            monkeypatch.setenv("RETRAIN_HOME", str(shell.folder / "home"))
            home = homes.open(step.state, shell.folder / "home")
        if step.before is not None:
            assert home is not None
            step.before(shell, home)
        if block.language == "console":
            shell.type(block.text, compare=step.compare)
        else:
            exec(compile(shell.here(block.text), block.place, "exec"), {"__name__": "page"})
