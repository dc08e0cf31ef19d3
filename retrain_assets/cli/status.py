"""``retrain status``: champions, toggles, retrains, and what waits for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.options import json_option, optional_model_argument
from retrain_assets.cli.show import at_stage, moment, say, say_json, say_table, short
from retrain_assets.contract import CustodyError
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.release import ReleaseController, ToggleState


@click.command()
@optional_model_argument
@json_option
def status(model: str | None, as_json: bool) -> None:
    """Champion, active toggle and retrains of MODEL, or of all models."""
    home = Home.from_environment()
    document = {**_place(home), **_platform(home), "models": _models(home, model)}
    if as_json:
        say_json(document)
        return
    say(f"home: {home.root}")
    if document["replay_clock"]:
        say(f"replay clock: {moment(document['now'])}")
    if not document["models"]:
        say("nothing is recorded here yet; set RETRAIN_HOME to the home that has a record, or fill this one with retrain demo")
    for line in document["banners"]:
        say(line)
    for view in document["models"]:
        say()
        _say_model(view)


def _place(home: Home) -> dict[str, Any]:
    return {
        "home": str(home.root),
        "now": home.clock.now().isoformat(),
        "replay_clock": home.replay_clock_path.exists(),
    }


def _platform(home: Home) -> dict[str, Any]:
    """Switches, declared freezes and owners who left, and the lines that must be seen first."""
    from retrain_assets.cli.banners import banners
    from retrain_assets.cli.opening import controller_of, is_recorded
    from retrain_assets.release import PlatformState, platform_view

    platform = controller_of(home).platform() if is_recorded(home) else PlatformState()
    return {**platform_view(platform), "banners": banners(platform, home.clock.now())}


def _models(home: Home, model: str | None) -> list[dict[str, Any]]:
    from retrain_assets.cli.opening import is_recorded, known_model, open_controller

    if model is None and not is_recorded(home):
        return []
    controller = open_controller(home)
    from retrain_assets.release import status as view
    from retrain_assets.release import toggle_view

    now, platform = controller.clock.now(), controller.platform()
    states = [known_model(controller, model)] if model else list(controller.states().values())
    return [
        {
            **view(state, now, platform),
            "toggles": [toggle_view(toggle, now, platform) for toggle in state.toggles.values()],
            "due": [*_due(state, now), *_owed(state, platform, now)],
            "last_look_in_words": _last_look(controller, state.active_toggle),
        }
        for state in states
    ]


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


def _due(state: Any, now: Any) -> list[str]:
    """What waits for a person, one line each."""
    from retrain_assets.release.policy import standing_approvals

    due = []
    for toggle in state.toggles.values():
        approval = toggle.contract["approval"]
        if toggle.state == "awaiting_approval":
            standing = standing_approvals(toggle, now)
            given = ", ".join(item.approver for item in standing) or "none yet"
            counted = {item.approver for item in standing}
            if lapsed := sorted({item.approver for item in toggle.approvals} - counted):
                given += (
                    f"; no longer counted, as it lapsed or an approval holds for the look it was given on: {', '.join(lapsed)}"
                )
            who = " or ".join(approval["approvers"])
            due.append(f"{toggle.name} waits for approval: {approval['required']} of {who} (given: {given})")
        if toggle.active and toggle.expires_at is not None and now >= toggle.expires_at:
            due.append(f"{toggle.name} expired on {moment(toggle.expires_at)} and is rolled back at the next tick")
        if toggle.remove_by is not None and now >= toggle.remove_by and toggle.state in ("promoted", "rejected"):
            due.append(f"{toggle.name} was to be removed by {moment(toggle.remove_by)}; retrain toggle retire {toggle.name}")
    return due


def _owed(state: Any, platform: Any, now: Any) -> list[str]:
    """Toggle debt besides the dates of :func:`_due`, one line each."""
    from retrain_assets.release import DebtKind, toggle_debt

    told = (DebtKind.EXPIRED, DebtKind.PAST_REMOVAL)
    owed = [debt for debt in toggle_debt(state, platform, now) if debt.kind not in told]
    return [f"{debt.toggle}: {debt.message}; {debt.remedy}" for debt in owed]


def _say_model(view: dict[str, Any]) -> None:
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
    for line in view["due"]:
        say(f"  due: {line}")
    if view["retrains"]:
        say_table(
            ["retrain", "trigger", "data", "training", "offline", "canary", "version", "toggle", "ended", "approved by"],
            [_row(retrain) for retrain in view["retrains"]],
        )


def _row(retrain: dict[str, Any]) -> list[str | None]:
    trigger, gates, candidate = retrain["trigger"], retrain["gates"], retrain["candidate"]
    toggle = at_stage(retrain["toggle_state"], retrain["stage"]) if retrain["toggle"] else None
    return [
        retrain["retrain"],
        " ".join(str(trigger[name]) for name in ("kind", "metric") if trigger.get(name)),
        *(gates.get(gate) for gate in ("data", "training", "offline", "canary")),
        candidate["version"] if candidate else None,
        toggle,
        retrain["ended"] or "open",
        ", ".join(retrain["approvers"]) or None,
    ]
