"""``retrain follow-up …``: what emergencies left to be looked into, and what was found."""

from __future__ import annotations

from typing import Any

import click

from retrain_assets.cli.options import Order, changing, json_option, optional_model_argument
from retrain_assets.cli.show import moment, say, say_json, say_table
from retrain_assets.home import Home


@click.group("follow-up")
def follow_up() -> None:
    """What emergencies left open: rollbacks, kill switches, overrides.

    Each stays until a person says what the cause was and what was changed.
    """


@follow_up.command("list")
@optional_model_argument
@click.option("--all", "closed_too", is_flag=True, help="Those that were closed as well, with what was found.")
@json_option
def list_follow_ups(model: str | None, closed_too: bool, as_json: bool) -> None:
    """Open follow-ups of MODEL, or of all models.

    A report: it exits 0 whatever it finds.
    """
    from retrain_assets.cli.opening import is_recorded, known_model, open_controller
    from retrain_assets.ledger import EVERY_MODEL

    home = Home.from_environment()
    views: list[dict[str, Any]] = []
    if model is not None or is_recorded(home):
        controller = open_controller(home)
        from retrain_assets.release import follow_up_view

        if model is not None:
            known_model(controller, model)
        now, found = controller.clock.now(), controller.platform().follow_ups.values()
        views = [
            follow_up_view(one, now)
            for one in found
            if (closed_too or one.closed is None) and (model is None or one.model in (EVERY_MODEL, model))
        ]
    if as_json:
        say_json(views)
        return
    if not views:
        say("no follow-up is open" if not closed_too else "there never was one")
        return
    say_table(
        ["number", "opened", "days", "of", "what", "by", "why", "signed", *(["found"] if closed_too else [])],
        [_row(view, closed_too) for view in views],
        right=["number", "days"],
        or_records=True,
    )
    for view in views:
        if view["command"]:
            say(f"{view['command']}{'  # by ' + view['closed_by'] if view['closed_by'] else ''}")


@follow_up.command()
@click.argument("number", type=int)
@changing
def close(number: int, order: Order) -> None:
    """Say what the cause was and what was changed; that is the reason.

    Whoever gave the order may close it. Of an override somebody else has to.
    """
    from retrain_assets.cli.changes import say_events
    from retrain_assets.cli.opening import open_controller

    actor = order.actor
    controller = open_controller(Home.from_environment())
    head, _ = controller.ledger.head()
    closed = controller.close_follow_up(number, actor, order.reason)
    events = controller.ledger.events(after=head, model=closed.model)
    from retrain_assets.release import follow_up_view

    if order.as_json:
        say_json({**follow_up_view(closed, controller.clock.now()), "events": [event.to_json() for event in events]})
        return
    say(f"follow-up {number} ({closed.sentence}): open → closed")
    say_events(events)


def _row(view: dict[str, Any], closed_too: bool) -> list[Any]:
    from retrain_assets.ledger import named

    closed = view["closed"]
    found = f"{closed['finding']} ({named(closed['by'])}, {moment(closed['at'])})" if closed else "OPEN"
    return [
        view["number"],
        moment(view["opened_at"]),
        view["days"],
        view["model"] or "all models",
        view["what"],
        " and ".join(view["by"]),
        view["reason"],
        f"NO: {view['unsigned']}" if view["unsigned"] else view["vouched"] or "named only",
        *([found] if closed_too else []),
    ]
