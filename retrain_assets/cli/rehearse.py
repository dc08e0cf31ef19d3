"""``retrain rehearse``: play a contract's road on the source's own history before it goes live."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from retrain_assets.cli.options import Order, actor_option, json_option, model_argument
from retrain_assets.cli.show import say, say_json
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.replay.rehearsal import Pause

DAY = click.DateTime(["%Y-%m-%d"])
REASONS = {"bootstrap": "first champion of the rehearsal", "approve": "I read the canary report"}


@click.command()
@model_argument
@click.option("--from", "first", type=DAY, help="Day of the first champion. [default: as early as the history allows]")
@click.option("--until", "last", type=DAY, help="Last day to play. [default: the last one of the source]")
@actor_option
@json_option
def rehearse(model: str, first: datetime | None, last: datetime | None, principal: str | None, as_json: bool) -> None:
    """Play the source's own history through MODEL's contract.

    Day by day on data time, through the real sensors, jobs, gates, toggle and canary: what the contract would have launched,
    stopped, shown and asked for. It pauses where a person is needed; do it with the command it prints, and call it again.
    It needs a RETRAIN_HOME of its own, notifies nobody and runs every stage here.
    """
    from rich.console import Console

    from retrain_assets.cli.contracts import contract_of, project_on_path
    from retrain_assets.replay.demo import quietly
    from retrain_assets.replay.rehearsal import rehearse as play
    from retrain_assets.replay.table import print_table
    from retrain_assets.replay.teller import Teller

    person = Order("", principal, as_json).actor.name
    home, contract = Home.from_environment(), contract_of(model)
    project_on_path()
    teller = Teller(Console(stderr=True, highlight=False) if as_json else None)
    with quietly():
        pause = play(
            home,
            contract,
            teller,
            person=person,
            first=first.date() if first else None,
            last=last.date() if last else None,
        )
    if as_json:
        say_json({"model": model, "day": str(pause.day), "waits_for": pause.what, "command": _command(model, pause)})
        return
    print_table(home, model, teller.console)
    say()
    if pause.what is None:
        say(f"The history is played until {pause.day}.")
    else:
        say(f"Paused on {pause.day}: {pause.what}.")
    if command := _command(model, pause):
        say(f"  {command}")
        say(f"  retrain rehearse {model}")


def _command(model: str, pause: Pause) -> str | None:
    """The command that does what a pause waits for."""
    return f'retrain {pause.act} {model} {pause.retrain} --reason "{REASONS[pause.act]}"' if pause.act else None
