"""The upkeep sensor: ends toggles that are due, tells people what happened and what waits for them, shows the toggle debt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import dagster as dg

from retrain_assets.assets import Platform, Road
from retrain_assets.assets.toggle_debt import DebtPage
from retrain_assets.automation.alerts import Alert
from retrain_assets.automation.board_keeping import keep_board
from retrain_assets.automation.event_alerts import TOLD, alerts_of
from retrain_assets.automation.event_words import RELEASE, Background
from retrain_assets.automation.fleet_sensor import Answer, AssetEvent, Jobs, SensorKind, Tick, fleet_sensor
from retrain_assets.automation.held_alerts import held_alerts
from retrain_assets.automation.notifications import Urgency, recipients_of
from retrain_assets.automation.outbox import Outbox
from retrain_assets.automation.standing_alerts import standing_alerts
from retrain_assets.automation.telling import Told, tell
from retrain_assets.contract import RetrainError, digest_of
from retrain_assets.ledger import EVERY_MODEL, Ledger
from retrain_assets.release import ModelState, PlatformState
from retrain_assets.release.policy import expired
from retrain_assets.release.retirement import passed_at, removal_due, waiting_candidates


def upkeep_sensor(roads: Sequence[Road], jobs: Jobs | None = None) -> dg.SensorDefinition:
    """Keeps the models' toggles; asks for no run.

    Its cursor says what each model's people were told. At the first tick of a model, and after the cursor was reset, what
    happened before is not told; what waits for somebody is.
    """
    kind = SensorKind(
        name="upkeep",
        description="Rolls back toggles that expired, retires what nobody ends, tells each contract's notify what happened and "
        "what waits for somebody, each role its own, and keeps the assets toggle_debt and release_board.",
        look=upkeep_look,
        finish=keep_board,
    )
    return fleet_sensor(kind, roads, jobs)


def upkeep_look(tick: Tick, road: Road, kept: Any) -> Answer:
    """End what is due of one model, and tell its people."""
    platform, now = tick.platform, tick.now
    done, faults = upkeep(platform, road, tick.state(road.model), tick.beyond, now)
    if done or faults:
        tick = tick.renewed()
    state, beyond = tick.state(road.model), tick.beyond
    page = DebtPage(road, state, beyond, now)
    standing = [*standing_alerts(state, beyond, page.debts, platform.home, now), *held_alerts(tick.instance, road, state)]
    standing += [_failing(line, now) for line in faults]
    told = _told(platform, road, max(state.sequence, beyond.sequence), standing, Outbox.of(kept), now)
    shown = f"{now:%Y-%m-%d} {page.digest}"
    events: list[AssetEvent] = []
    if shown != told.outbox.shown:
        events += page.events
    for line in (*faults, *told.given_up):
        tick.log.error(f"{road.model}: {line}")
    if told.given_up:
        events.append(_observation(road, told))
    said = [*done, *faults, *told.sent, *told.failed, *told.given_up]
    return Answer("nothing is due", did="; ".join(said), events=events, kept=replace(told.outbox, shown=shown).to_json())


def upkeep(
    platform: Platform, road: Road, state: ModelState, beyond: PlatformState, now: datetime
) -> tuple[list[str], list[str]]:
    """End what is due: what was done and what failed, one line each. Where this model has nothing due, no model is looked at."""
    controller, done, faults = platform.controller, [], []
    try:
        if state.active_toggle is not None and expired(state.active_toggle, now):
            done += [f"{toggle.name} expired and was rolled back" for toggle in controller.expire_due()]
        if _to_retire(state, beyond, road, now):
            done += [f"{toggle.name} was retired by policy" for toggle in controller.retire_abandoned()]
    except RetrainError as error:
        faults.append(f"upkeep failed: {error.line}")
    return done, faults


def _to_retire(state: ModelState, platform: PlatformState, road: Road, now: datetime) -> bool:
    longest = road.contract.toggle.remove_after
    return any(removal_due(toggle, platform, now) for toggle in state.toggles.values()) or any(
        passed_at(retrain) + longest <= now for retrain in waiting_candidates(state, now).values()
    )


def _told(platform: Platform, road: Road, until: int, standing: list[Alert], outbox: Outbox | None, now: datetime) -> Told:
    """Tell whoever the contract names. The last event considered is the state's, so that none falls between two ticks."""
    recipients = recipients_of(road.contract.notify)
    before = outbox or Outbox(until)
    happened = _happened(platform, road, before, until) if recipients else []
    return tell(road.model, platform.home, before, [*happened, *standing], recipients, until, now)


def _happened(platform: Platform, road: Road, outbox: Outbox, until: int) -> list[Alert]:
    """Alerts of the events since the last tick and of those that somebody has still to be told of."""
    waiting = outbox.events_waiting
    first = min([outbox.sequence + 1, *waiting])
    if first > until and not waiting:
        return []
    ledger: Ledger = platform.ledger
    events = [
        event
        for model in (road.model, EVERY_MODEL)
        for event in ledger.events(model=model, kinds=TOLD, after=first - 1)
        if outbox.sequence < event.sequence <= until or event.sequence in waiting
    ]
    return alerts_of(sorted(events, key=lambda event: event.sequence), Background(platform.home, ledger))


def _failing(fault: str, now: datetime) -> Alert:
    return Alert(
        key=f"failing:{digest_of(fault)[7:19]}",
        at=now,
        urgency=Urgency.NOW,
        headline=fault,
        lines=("Toggles that expire now are ended in the flag document alone; this is tried again every minute.",),
        commands=(("retrain audit verify", "See whether the records are whole"), ("retrain reconcile", "Repair what is derived")),
        roles=RELEASE,
    )


def _observation(road: Road, told: Told) -> dg.AssetObservation:
    """What nobody will be told any more, where the model's people look."""
    return dg.AssetObservation(
        asset_key=road.key("toggle_debt"),
        description="; ".join(told.given_up),
        metadata={"not_told": dg.MetadataValue.text("\n".join(told.given_up))},
    )
