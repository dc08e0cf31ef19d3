"""``retrain reconcile``, ``runbook``, ``demo``: repair what is derived, what to do at night, and the whole road on real data."""

from __future__ import annotations

import click

from retrain_assets.cli.options import json_option, model_argument
from retrain_assets.cli.show import say, say_json
from retrain_assets.home import Home


@click.command()
@click.option("--everything", is_flag=True, help="Set every alias and tag again, also those that should be right.")
@json_option
def reconcile(everything: bool, as_json: bool) -> None:
    """Bring flags.json, tokens.json and registry up to the ledger, traffic that a killed process left in its journal into files.

    Doing it again changes nothing, also beside a running gateway. Every other command that opens the ledger does the cheap part
    of the former too.
    """
    from retrain_assets.cli.opening import controller_of, require_record
    from retrain_assets.release.access import Access
    from retrain_assets.serving.journal import recover

    home = Home.from_environment()
    require_record(home)
    controller = controller_of(home)
    tokens = Access(home, controller.ledger, home.clock).project()
    done = controller.reconcile(everything=everything)
    if not as_json:
        for toggle in done.rolled_back:
            say(f"{toggle}: rolled back, as an engaged kill switch demands")
        say(f"flags.json: {'written again from the ledger' if done.flags else 'is what the ledger says'}")
        say(f"tokens.json: {'written again from the ledger' if tokens else 'is what the ledger says'}")
        say(f"registry: {', '.join(done.registry) if done.registry else 'is what the ledger says'}")
    files = recover(home)
    if as_json:
        say_json(
            {
                "flags": done.flags,
                "tokens": tokens,
                "registry": list(done.registry),
                "rolled_back": list(done.rolled_back),
                "traffic": [str(file) for file in files],
            }
        )
        return
    written = f"{len(files)} file{'s'[: len(files) > 1]} that a process had not come to write"
    say(f"traffic: {written if files else 'is all in its files'}")


@click.command()
@model_argument
@json_option
def runbook(model: str, as_json: bool) -> None:
    """What to do at three in the morning.

    Markdown, with MODEL's commands filled in.
    """
    from retrain_assets.cli.contracts import project_or_recorded
    from retrain_assets.reports.runbook import runbook as write

    text = write(project_or_recorded(Home.from_environment(), model).to_json())
    if as_json:
        say_json({"model": model, "runbook": text})
    else:
        click.echo(text, nl=False)


@click.command()
@click.argument("model", default="flight_delay")
def demo(model: str) -> None:
    """Replay the flights of 2013, print the retrains.

    MODEL is one of the shipped examples: flight_delay (binary), air_time (regression), arrival_band (several classes), each in a
    home of its own.
    """
    from retrain_assets.replay.demo import run_demo

    run_demo(Home.from_environment(), model)
