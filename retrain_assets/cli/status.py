"""``retrain status``: champions, toggles, retrains, and what waits for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.options import json_option, optional_model_argument
from retrain_assets.cli.show import at_stage, moment, say, say_json, say_table, short
from retrain_assets.contract import CustodyError
from retrain_assets.contract.environments import DEFAULT_ENVIRONMENT, PRODUCTION
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.release import ModelState, ReleaseController, ToggleState

LAST_RETRAINS = 10
"""How many retrains of a model are printed; JSON has all."""


@click.command()
@optional_model_argument
@json_option
def status(model: str | None, as_json: bool) -> None:
    """Champion, active toggle and last retrains of MODEL, or of all models.

    With what waits for a person. --json has every retrain.
    """
    home = Home.from_environment()
    recorded = _recorded(home, model)
    document = {
        **_place(home),
        **recorded,
        "models": [{**one, "due": [due.line for due in one["due"]]} for one in recorded["models"]],
    }
    if as_json:
        say_json(document)
        return
    say(f"home: {home.root}")
    if home.environment != DEFAULT_ENVIRONMENT:
        say(f"environment: {home.environment}{'' if home.environment == PRODUCTION else ', NOT PRODUCTION'}")
    if document["replay_clock"]:
        say(f"replay clock: {moment(document['now'])}")
    if not recorded["models"]:
        say("nothing is recorded here yet; set RETRAIN_HOME to the home that has a record, or fill this one with retrain demo")
    for line in document["banners"]:
        say(line)
    for one in document["follow_ups"]:
        _say_follow_up(one)
    for view in recorded["models"]:
        say()
        _say_model(view)


def _place(home: Home) -> dict[str, Any]:
    return {
        "home": str(home.root),
        "environment": home.environment,
        "now": home.clock.now().isoformat(),
        "replay_clock": home.replay_clock_path.exists(),
    }


def _recorded(home: Home, model: str | None) -> dict[str, Any]:
    """What the ledger says, up to one event: what holds for many models, the lines that must be seen first, the models."""
    from retrain_assets.cli.banners import banners
    from retrain_assets.cli.opening import is_recorded, known_model, open_controller
    from retrain_assets.ledger import EVERY_MODEL
    from retrain_assets.release import PlatformState, follow_up_view, platform_view, toggle_view
    from retrain_assets.release import status as view
    from retrain_assets.release.due import due_of

    if model is None and not is_recorded(home):
        return {**platform_view(PlatformState()), "banners": [], "follow_ups": [], "models": []}
    controller = open_controller(home)
    (known, platform), now = controller.snapshot(), controller.clock.now()
    states = [known_model(controller, model)] if model else list(known.values())
    return {
        **platform_view(platform),
        "banners": banners(platform, now, [model] if model else None),
        "follow_ups": [
            follow_up_view(one, now) for one in platform.follow_ups.values() if one.closed is None and one.model == EVERY_MODEL
        ],
        "models": [
            {
                **view(state, now, platform),
                "toggles": [toggle_view(toggle, now, platform) for toggle in state.toggles.values()],
                "due": due_of(state, platform, now),
                "last_look_in_words": _last_look(controller, state.active_toggle),
                "way_back": _way_back(state),
            }
            for state in states
        ],
    }


def _way_back(state: ModelState) -> dict[str, str] | None:
    """Where a rollback leads now, and the command; None where there is nothing to roll back."""
    from retrain_assets.cli.targets import rolled_back_first
    from retrain_assets.release.commands import command_of
    from retrain_assets.release.toggle import Move

    toggle = rolled_back_first(state)
    command = command_of(toggle, Move.ROLL_BACK) if toggle else None
    return {"version": toggle.previous_champion.version, "command": command} if toggle and command else None


def _last_look(controller: ReleaseController, toggle: ToggleState | None) -> str | None:
    """What the active toggle's last look called for and why, in one line; as the ledger has it where its evidence is gone."""
    from retrain_assets.cli.look_words import look_summary

    if toggle is None or toggle.last_look is None:
        return None
    try:
        document = controller.evidence.get(toggle.last_look.evidence)
    except CustodyError:
        return f"{toggle.last_look.action.replace('_', ' ')}: {toggle.last_look.reason}"
    call = look_summary(document, toggle.contract, toggle.ramp)["call"]
    return f"{call['word'].lower()}: {call['why']}"


def _say_model(view: dict[str, Any]) -> None:
    from retrain_assets.cli.due import way_lines

    champion = view["champion"]
    if champion:
        made = f" of retrain {view['champion_retrain']}" if view["champion_retrain"] else ""
        since = moment(view["champion_since"])
        say(f"{view['model']}: champion is version {champion['version']}{made}, since {since} ({short(champion['bundle'])})")
    else:
        say(f"{view['model']}: no champion yet; retrain bootstrap {view['model']} RETRAIN makes the first one")
    if toggle := view["active_toggle"]:
        until = f", expires {moment(toggle['expires_at'])}" if toggle["expires_at"] else ""
        say(f"  toggle {toggle['toggle']}: {at_stage(toggle['state'], toggle['stage'])}, revision {toggle['revision']}{until}")
        if look := toggle["last_look"]:
            say(f"  last look {moment(look['at'])}: {view['last_look_in_words'] or look['action'].replace('_', ' ')}")
    if back := view["way_back"]:
        say(f"  all traffic to version {back['version']}: {back['command']}")
    for one in view["overrides"]:
        if one["in_force"]:
            names, why = (
                " and ".join(word["by"] for word in one["signed"]),
                dict.fromkeys(word["reason"] for word in one["signed"]),
            )
            say(f"  OVERRIDDEN: {one['check']} of {one['retrain']} by {names}: {'; '.join(why)} (it was {one['outcome']})")
    for one in view["follow_ups"]:
        if one["model"] is not None:
            _say_follow_up(one, "  ")
    said = {one["command"] for one in view["follow_ups"]}
    for due in view["due"]:
        if any(said.issuperset(way.commands) for way in due.ways):
            continue
        say(f"  due: {due.what}")
        for line in way_lines({"commands": way.commands, "by": way.by} for way in due.ways):
            say(f"       {line}")
    if view["retrains"]:
        earlier = view["retrains"][:-LAST_RETRAINS]
        if earlier:
            many = f"{len(earlier)} earlier retrain{'' if len(earlier) == 1 else 's'}"
            say(f"  the last {LAST_RETRAINS} retrains; {many}: retrain audit list {view['model']}")
        say_table(
            ["retrain", "trigger", "data", "training", "offline", "canary", "version", "toggle", "ended", "approved by"],
            [_row(retrain) for retrain in view["retrains"][-LAST_RETRAINS:]],
        )


def _gate(gate: str, retrain: dict[str, Any]) -> str | None:
    overridden = any(name.startswith(f"{gate}.") for name in retrain["overridden"])
    return f"{retrain['gates'][gate]}, OVERRIDDEN" if overridden else retrain["gates"].get(gate)


def _say_follow_up(one: dict[str, Any], indent: str = "") -> None:
    from retrain_assets.ledger import named

    unsigned = f" UNSIGNED ({one['unsigned']})" if one["unsigned"] else ""
    opened = f"open for {one['days']} day{'' if one['days'] == 1 else 's'}" if one["days"] else "open since today"
    by = " and ".join(map(named, one["by"]))
    say(f"{indent}FOLLOW-UP {one['number']}, {opened}: {one['what']} by {by}{unsigned}: {one['reason']}")
    say(f"{indent}     {one['command']}{'  # by ' + one['closed_by'] if one['closed_by'] else ''}")


def _row(retrain: dict[str, Any]) -> list[str | None]:
    trigger, candidate = retrain["trigger"], retrain["candidate"]
    toggle = at_stage(retrain["toggle_state"], retrain["stage"]) if retrain["toggle"] else None
    return [
        retrain["retrain"],
        " ".join(str(trigger[name]) for name in ("kind", "metric") if trigger.get(name)),
        *(_gate(gate, retrain) for gate in ("data", "training", "offline", "canary")),
        candidate["version"] if candidate else None,
        toggle,
        retrain["ended"] or "open",
        ", ".join(retrain["approvers"]) or (f"{first} (bootstrap)" if (first := retrain["bootstrapped_by"]) else None),
    ]
