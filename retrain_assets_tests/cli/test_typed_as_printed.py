"""Every command that an output names is taken as it stands: copied and typed, it is no wrong command line."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from retrain_assets.cli.app import app

from .conftest import Run
from .world import MODEL, RUTH, SECOND, TOGGLE, World

PAUL, MIA = "paul@example.org", "mia@example.org"
DAYS = ("--from", "2024-04-05", "--to", "2024-04-08")

VIEWS = (
    ("status",),
    ("status", MODEL),
    ("toggle", "show", TOGGLE),
    ("toggle", "list"),
    ("toggle", "debt"),
    ("freeze", "list"),
    ("owner", "list"),
)


def printed(text: str) -> list[str]:
    """The commands in an output: from ``retrain`` to the end of the line or the comment behind it."""
    found = [match[1] for line in text.splitlines() for match in re.finditer(r"(?:^|\s)(retrain [a-z].*?)(?=  #|$)", line)]
    return [one for one in found if not one.startswith("retrain demo")]


def type_in(run: Run, world: World, line: str) -> None:
    """Type a line into a shell, its parts joined by && one after the other; each may be refused, and none is a wrong command."""
    for command in line.split(" && "):
        words = shlex.split(command.replace("OWNER", "team:growth"), comments=True)[1:]
        result = CliRunner(env={"RETRAIN_ACTOR": RUTH.name}).invoke(app, words)
        assert result.exit_code in (0, 1, 5), (command, result.exit_code, result.output)


def held_for_long(run: Run, world: World) -> None:
    run("toggle", "hold", MODEL, "--reason", "why", "--as", MIA)
    world.forward(days=11)


def killed(run: Run, world: World) -> None:
    run("kill", MODEL, "--reason", "why", "--as", MIA)
    run("kill", "--all", "--reason", "why", "--as", MIA)
    world.forward(days=11)


def frozen(run: Run, world: World) -> None:
    run("freeze", "add", *DAYS, "--reason", "why", "--as", MIA)
    run("freeze", "add", *DAYS, MODEL, "--reason", "why", "--as", MIA)


def owner_left(run: Run, world: World) -> None:
    run("owner", "left", "team:accounts", "--reason", "why", "--as", MIA)


def offered(run: Run, world: World) -> None:
    run("toggle", "transfer", MODEL, "--to", PAUL, "--reason", "why", "--as", MIA)
    world.forward(days=4)


def expired(run: Run, world: World) -> None:
    world.forward(days=20)


def past_removal(run: Run, world: World) -> None:
    run("toggle", "rollback", MODEL, "--reason", "why", "--as", MIA)
    world.forward(days=40)


def awaiting(run: Run, world: World) -> None:
    assert world.look().action == "ask_approval"


def promoted(run: Run, world: World) -> None:
    awaiting(run, world)
    run("approve", MODEL, SECOND, "--reason", "why", "--as", PAUL)
    assert world.controller.decide(MODEL, SECOND).decision == "promote"
    world.forward(days=15)


STORIES = (held_for_long, killed, frozen, owner_left, offered, expired, past_removal, awaiting, promoted)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_what_the_views_name_can_be_typed(run: Run, ramping: World, story: Callable[[Run, World], None]) -> None:
    story(run, ramping)
    lines = [line for view in VIEWS for line in printed(run(*view).stdout)]
    assert lines
    for line in dict.fromkeys(lines):
        type_in(run, ramping, line)


def test_what_a_refusal_names_can_be_typed(run: Run, act: Run, ramping: World) -> None:
    act("toggle", "hold", MODEL)
    frozen(run, ramping)
    owner_left(run, ramping)
    refused = [
        act("toggle", "resume", MODEL, code=1).stderr,
        act("toggle", "extend", MODEL, "--by", "1d", code=1).stderr,
        run("toggle", "transfer", MODEL, "--to", PAUL, "--reason", "why", "--as", MIA, code=1).stderr,
    ]
    act("kill", MODEL)
    refused += [act("toggle", "rollback", MODEL, code=1).stderr, act("toggle", "retire", TOGGLE, code=1).stderr]
    lines = [line for text in refused for line in printed(text)]
    assert any(line.startswith("retrain freeze lift") for line in lines)
    for line in dict.fromkeys(lines):
        type_in(run, ramping, line)


def test_the_commands_of_a_change_can_be_typed(run: Run, act: Run, ramping: World) -> None:
    for change in (
        ("toggle", "transfer", MODEL, "--to", PAUL),
        ("owner", "left", "team:accounts"),
        ("owner", "left", "team:acounts"),
        ("kill", MODEL),
        ("kill", "--all"),
    ):
        lines = printed(act(*change).stdout)
        assert lines or change[0] == "kill", change
        for line in lines:
            if "kill --release" not in line:
                type_in(run, ramping, line)
    (still,) = printed(act("kill", "--release", "--all").stdout)
    assert shlex.split(still)[:4] == ["retrain", "kill", "--release", MODEL]
    type_in(run, ramping, still)


def test_the_ways_of_a_debt_are_in_the_json_as_well(run: Run, ramping: World) -> None:
    past_removal(run, ramping)
    answer, debt = json.loads(run("toggle", "debt", "--json").stdout)
    assert answer["kind"] == "follow_up_open"
    assert answer["ways"][0]["commands"][0].startswith("retrain follow-up close ")
    assert debt["ways"] == [
        {
            "commands": [
                f'retrain reject {MODEL} {SECOND} --reason "why"',
                f'retrain toggle retire {TOGGLE} --reason "why"',
            ],
            "by": f"{RUTH.name} or {PAUL}",
        }
    ]
