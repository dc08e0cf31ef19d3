"""``retrain freeze …``: days on which nothing is launched, armed, stepped, resumed, extended or promoted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.options import Order, changing, json_option, optional_model_argument
from retrain_assets.cli.show import say, say_json, say_table
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.release import ReleaseController

_DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.group()
def freeze() -> None:
    """Change freezes, besides those of the contracts.

    Rolling back, holding and looking at the canary go on. Days are UTC.
    """


@freeze.command()
@click.option("--from", "start", required=True, type=_DAY, metavar="DATE", help="First day, such as 2013-12-20.")
@click.option("--to", "end", required=True, type=_DAY, metavar="DATE", help="Last day.")
@optional_model_argument
@changing
def add(start: datetime, end: datetime, model: str | None, order: Order) -> None:
    """Declare a freeze of MODEL, or of all models."""
    from retrain_assets.cli import platform_changes
    from retrain_assets.cli.opening import known_or_contracted, open_controller

    actor = order.actor
    controller = open_controller(Home.from_environment())
    if model is not None:
        known_or_contracted(controller, model)
    change = platform_changes.carry_out(
        controller,
        actor,
        lambda: controller.declare_freeze(start.date(), end.date(), actor, order.reason, model=model),
    )
    platform_changes.report(change, order)


@freeze.command("list")
@optional_model_argument
@click.option("--over", is_flag=True, help="Also freezes that are over.")
@json_option
def list_freezes(model: str | None, over: bool, as_json: bool) -> None:
    """Freezes in force or to come.

    Those declared, and those of the contracts on record.
    """
    from retrain_assets.cli.opening import is_recorded, known_model, open_controller

    home = Home.from_environment()
    rows: list[dict[str, Any]] = []
    if model is not None or is_recorded(home):
        controller = open_controller(home)
        models = [known_model(controller, model).model] if model else list(controller.states())
        today = controller.clock.now().astimezone(UTC).date()
        rows = [row for row in _rows(controller, models, today) if over or row["state"] != "over"]
    if as_json:
        say_json(rows)
    elif not rows:
        say("no freeze is in force or to come")
    else:
        columns = ["number", "model", "from", "to", "state", "declared by", "reason"]
        names = ("number", "model", "start", "end", "state", "by", "reason")
        say_table(columns, [["all" if name == "model" and row[name] is None else row[name] for name in names] for row in rows])


@freeze.command()
@click.argument("number", type=int)
@changing
def lift(number: int, order: Order) -> None:
    """Take the declared freeze NUMBER back."""
    from retrain_assets.cli import platform_changes
    from retrain_assets.cli.opening import open_controller

    actor = order.actor
    controller = open_controller(Home.from_environment())
    change = platform_changes.carry_out(controller, actor, lambda: controller.lift_freeze(number, actor, order.reason))
    platform_changes.report(change, order)


def _rows(controller: ReleaseController, models: Iterable[str], today: date) -> list[dict[str, Any]]:
    from retrain_assets.contract import Contract
    from retrain_assets.ledger import EVERY_MODEL

    states, platform = controller.snapshot()
    shown = list(models)
    rows: list[dict[str, Any]] = [
        {
            "number": one.number,
            "model": None if one.model == EVERY_MODEL else one.model,
            "start": one.start,
            "end": one.end,
            "by": one.by,
            "reason": one.reason,
        }
        for one in platform.freezes
        if one.model in (EVERY_MODEL, *shown)
    ]
    for model in shown:
        if not (retrains := list(states[model].retrains.values())):
            continue
        contract = Contract.recorded(controller.evidence.get(retrains[-1].contract_digest))
        rows += [
            {"number": None, "model": model, "start": one.start, "end": one.end, "by": "contract", "reason": one.reason}
            for one in contract.cadence.freeze
        ]
    rows.sort(key=lambda row: (row["start"], row["end"], row["model"] or ""))
    return [
        {
            **row,
            "start": f"{row['start']}",
            "end": f"{row['end']}",
            "state": "over" if row["end"] < today else "to come" if row["start"] > today else "in force",
        }
        for row in rows
    ]
