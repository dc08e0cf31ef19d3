"""``retrain capacity``: what the next retrain is expected to take, stage by stage, and whether its contract allows it."""

from __future__ import annotations

import click

from retrain_assets.cli.options import json_option, model_argument
from retrain_assets.cli.show import say, say_json, say_table
from retrain_assets.home import Home


@click.command()
@model_argument
@json_option
def capacity(model: str, as_json: bool) -> None:
    """Rows, time and cost of the next retrain of MODEL.

    From what the stages of earlier retrains measured: rows are extrapolated over cut-offs, time over rows. Retrains count where
    they did the same work in the same place. Nothing is recorded.
    """
    from retrain_assets.cli.contracts import project_or_recorded
    from retrain_assets.cli.opening import controller_of, require_record
    from retrain_assets.reports.capacity import forecast, measured, next_cutoff, over_budget, stage_rows

    home = Home.from_environment()
    require_record(home)
    contract, controller = project_or_recorded(home, model), controller_of(home)
    known = measured(controller.ledger.events(model=model), controller.evidence)
    found = forecast(known, contract, next_cutoff(contract, home.clock.now()))
    refused = over_budget(found, contract)
    if as_json:
        say_json({**found.to_json(), "over_budget": refused.line if refused else None, "unread": dict(known.unread)})
        return
    say(f"{model}: {found.sentence}")
    if found.growth_a_month is not None:
        say(f"rows grow by {found.growth_a_month:+.1%} in 30 days, from {len(found.rows_of)} retrains")
    say()
    columns = ("stage", "where", "time", "interval", "cost", "note")
    rows = [[row[column] for column in columns] for row in stage_rows(found)]
    say_table(columns, rows, right=("time", "cost"), or_records=True)
    for line in known.unread.values():
        say(f"not read: {line}")
    if refused is not None:
        say()
        say(refused.line)
