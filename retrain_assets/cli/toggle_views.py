"""``retrain toggle list``, ``show`` and ``debt``: the toggles as they stand. Nothing here changes anything."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from retrain_assets.cli.options import json_option, optional_model_argument, toggle_argument
from retrain_assets.cli.show import at_stage, moment, say, say_json, say_table, short
from retrain_assets.home import Home

ACTIVE = frozenset({"armed", "shadow", "ramping", "held", "awaiting_approval"})


@click.command("list")
@optional_model_argument
@json_option
def list_toggles(model: str | None, as_json: bool) -> None:
    """All toggles of MODEL, or of all models, with age and debt."""
    from retrain_assets.cli.banners import say_banners
    from retrain_assets.cli.opening import is_recorded, known_model, open_controller

    home = Home.from_environment()
    if model is None and not is_recorded(home):
        say_json([]) if as_json else say_table(_COLUMNS, [])
        return
    controller = open_controller(home)
    from retrain_assets.release import toggle_view

    states = [known_model(controller, model)] if model else list(controller.states().values())
    now, platform = controller.clock.now(), controller.platform()
    views = [toggle_view(one, now, platform) for state in states for one in state.toggles.values()]
    if as_json:
        say_json(views)
        return
    say_banners(platform, now, [model] if model else None)
    say_table(_COLUMNS, [_row(view) for view in views], right=("age", "debt"))


@click.command()
@toggle_argument
@json_option
def show(toggle: str, as_json: bool) -> None:
    """One toggle: its terms, its state, and what can be done to it."""
    from retrain_assets.cli import targets
    from retrain_assets.cli.banners import say_banners
    from retrain_assets.cli.opening import open_controller

    controller = open_controller(Home.from_environment())
    from retrain_assets.release import follow_ups, overrides_in_force, toggle_view

    target = targets.to_show(controller.states(), toggle)
    now, platform = controller.clock.now(), controller.platform()
    view = toggle_view(target.toggle, now, platform)
    if as_json:
        say_json(view)
        return
    say_banners(platform, now, [target.toggle.model])
    if target.chosen:
        say(f"{target.chosen}:")
    known = controller.states()[target.toggle.model]
    open_ones = [
        one for one in follow_ups(known, platform) if one.toggle == target.toggle.name or one.retrain == target.toggle.retrain
    ]
    beside = [
        ("overridden", f"{one.name} by {one.why}") for one in overrides_in_force(known.retrains[target.toggle.retrain], now)
    ]
    beside += [line for one in open_ones for line in (("follow-up", f"{one.number}: {one.sentence}"), ("", one.command))]
    for name, value in [*_lines(view), *beside]:
        say(f"{name + ':' if name else '':<16}{value}")


@click.command()
@optional_model_argument
@json_option
def debt(model: str | None, as_json: bool) -> None:
    """What was left lying around, and what settles it.

    A report: it exits 0 whatever it finds.
    """
    from retrain_assets.cli.opening import is_recorded, known_model, open_controller

    home = Home.from_environment()
    found: list[dict[str, Any]] = []
    if model is not None or is_recorded(home):
        controller = open_controller(home)
        from retrain_assets.release import debt_view, toggle_debt

        states = [known_model(controller, model)] if model else list(controller.states().values())
        now, platform = controller.clock.now(), controller.platform()
        found = [{"model": state.model, **debt_view(one)} for state in states for one in toggle_debt(state, platform, now)]
    if as_json:
        say_json(found)
        return
    from retrain_assets.cli.due import way_lines

    for one in found:
        since = f"in debt for {one['days']} day{'' if one['days'] == 1 else 's'}" if one["days"] else "since today"
        say(f"{one['toggle']}: {one['kind'].replace('_', ' ')}, {since}: {one['message']}")
        for line in way_lines(one["ways"]):
            say(f"    {line}")
    toggles = len({one["toggle"] for one in found})
    say(f"{len(found)} in all, on {toggles} toggle{'' if toggles == 1 else 's'}" if found else "no toggle debt")


_COLUMNS = ("toggle", "state", "version", "owner", "age", "ends by", "debt")


def _row(view: dict[str, Any]) -> list[Any]:
    ends = view["expires_at"] if view["state"] in ACTIVE else view["remove_by"] if view["state"] != "retired" else None
    return [
        view["toggle"],
        at_stage(view["state"], view["stage"]),
        view["challenger"]["version"],
        f"{view['owner']} (left)" if view["owner_left"] else view["owner"],
        None if view["age_days"] is None else f"{view['age_days']} d",
        _day(ends),
        len(view["debt"]) or None,
    ]


def _lines(view: dict[str, Any]) -> list[tuple[str, str]]:
    from retrain_assets.cli.due import way_lines
    from retrain_assets.cli.terms_words import cohort_words, guardrail_words, rollback_words

    look, offer = view["last_look"], view["offered_to"]
    ramp = ", ".join(f"[{stage}]" if stage == view["stage"] else stage for stage in (*view["ramp"], "100"))
    share = f", {view['share']:.6g} of the cohort" if view["state"] in ACTIVE else ""
    owner = view["owner"] + (" (left)" if view["owner_left"] else "")
    offered = f", offered to {offer['owner']} by {offer['by']} at {moment(offer['at'])}: {offer['reason']}" if offer else ""
    guardrails = [guardrail_words(name, terms) for name, terms in view["guardrails"].items()]
    age = "" if view["age_days"] is None else f" ({view['age_days']} days ago, by {view['created_by']})"
    lines = [
        ("toggle", view["toggle"]),
        ("state", at_stage(view["state"], view["stage"]) + share + (" (expired)" if view["expired"] else "")),
        ("ended because", view["ended_because"]),
        ("held from", view["held_from"]),
        ("purpose", view["purpose"]),
        ("owner", owner + offered),
        ("challenger", f"version {view['challenger']['version']} ({short(view['challenger']['bundle'])})"),
        ("against", f"version {view['previous_champion']['version']} ({short(view['previous_champion']['bundle'])})"),
        ("cohort", cohort_words(view["cohort"], view["cohort_share"])),
        ("ramp", ramp),
        *((("guardrails" if not index else ""), words) for index, words in enumerate(guardrails)),
        ("rollback", rollback_words(view)),
        ("created", f"{moment(view['created_at'])}{age}" if view["created_at"] else None),
        ("armed", moment(view["armed_at"])),
        ("in stage since", moment(view["stage_started_at"])),
        ("review due", _review(view)),
        ("expires", moment(view["expires_at"]) if view["state"] in ACTIVE else None),
        ("remove by", moment(view["remove_by"])),
        ("revision", f"{view['revision']} (split of revision {view['stage_revision']})"),
        ("last look", f"{moment(look['at'])}: {look['action'].replace('_', ' ')}: {look['reason']}" if look else None),
        *(
            (
                "approved",
                f"by {one['approver']} at {moment(one['at'])}, valid until {moment(one['valid_until'])}"
                f"{'' if one['counts'] else ', does not count any more'}: {one['reason']}",
            )
            for one in view["approvals"]
        ),
        *(line for one in view["debt"] for line in (("debt", one["message"]), *(("", way) for way in way_lines(one["ways"])))),
        ("kill switch", _kill_switch(view["kill_switch"])),
        ("freeze", f"until {view['freeze']['end']} is over: {view['freeze']['reason']}" if view["freeze"] else None),
        *((("" if number else "possible"), command) for number, command in enumerate(_possible(view))),
        *(("stopped", f"{move}: {'; '.join(why)}") for move, why in view["stopped"].items()),
    ]
    return [(name, value) for name, value in lines if value]


def _possible(view: dict[str, Any]) -> list[str]:
    """What can be done now, a command each; what a job does, by its name."""
    commands = [command for move in view["possible"] if (command := view["commands"].get(move)) is not None]
    by_jobs = [move for move in view["possible"] if move not in view["commands"]]
    return [*commands, *([f"{' and '.join(by_jobs)}, by the model's jobs"] if by_jobs else [])] or ["nothing"]


def _review(view: dict[str, Any]) -> str | None:
    if view["review_due"] is None:
        return None
    last = f", last by {view['reviewed_by']} at {moment(view['reviewed_at'])}" if view["reviewed_at"] else ""
    return f"{moment(view['review_due'])}{' (overdue)' if view['review_overdue'] else ''}{last}"


def _kill_switch(switch: dict[str, Any] | None) -> str | None:
    from retrain_assets.ledger import named

    if switch is None:
        return None
    whose = switch["model"] or "all models"
    command = f'retrain kill --release {switch["model"] or "--all"} --reason "why"'
    return (
        f"of {whose}, engaged since {moment(switch['engaged_at'])} by {named(switch['by'])}: {switch['reason']}; "
        f"it ends with: {command}"
    )


def _day(value: str | None) -> str | None:
    return None if value is None else f"{datetime.fromisoformat(value):%Y-%m-%d}"
