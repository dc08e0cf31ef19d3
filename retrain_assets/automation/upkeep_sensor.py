"""The upkeep sensor: ends toggles that are due, tells people what happened and what waits for them, shows the toggle debt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import dagster as dg

from retrain_assets.assets import Platform, Road
from retrain_assets.assets.retrains import RetrainsPage
from retrain_assets.assets.toggle_debt import DebtPage
from retrain_assets.automation.alerts import Alert
from retrain_assets.automation.board_keeping import keep_board
from retrain_assets.automation.dagster_news import drift_news
from retrain_assets.automation.event_alerts import TOLD, alerts_of
from retrain_assets.automation.event_words import RELEASE, Background
from retrain_assets.automation.fleet_sensor import Answer, Answers, AssetEvent, Jobs, SensorKind, Tick, fleet_sensor
from retrain_assets.automation.held_alerts import held_alerts
from retrain_assets.automation.moments import next_moment
from retrain_assets.automation.notifications import Urgency, recipients_of
from retrain_assets.automation.outbox import Outbox
from retrain_assets.automation.sensor_faults import SensorFault, SensorFaults
from retrain_assets.automation.standing_alerts import standing_alerts
from retrain_assets.automation.telling import Letters, Told, letters_of, tell
from retrain_assets.contract import RetrainError, digest_of, first_line
from retrain_assets.ledger import EVERY_MODEL, Ledger
from retrain_assets.release import ModelState, PlatformState
from retrain_assets.release.policy import expired
from retrain_assets.release.retirement import passed_at, removal_due, waiting_candidates
from retrain_assets.serving.compaction import compact_traffic


def upkeep_sensor(roads: Sequence[Road], jobs: Jobs | None = None) -> dg.SensorDefinition:
    """Keeps the models' toggles; asks for no run.

    Its cursor says what each model's people were told. At the first tick of a model, and after the cursor was reset, what
    happened before is not told; what waits for somebody is.
    """
    kind = SensorKind(
        name="upkeep",
        description="Rolls back toggles that expired, retires what nobody ends, tells each contract's notify what happened and "
        "what waits for somebody, each role its own, and keeps the assets toggle_debt, retrains and release_board.",
        look=upkeep_look,
        woken=_woken,
        finish=lambda tick, roads, answers: keep_board(tick, roads, _told(tick, roads, answers)),
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
    standing += [_failing(f"the {fault.sensor} sensor failed: {fault.line}", fault.since) for fault in _faults(platform, road)]
    letters = _letters(platform, road, max(state.sequence, beyond.sequence), standing, Outbox.of(kept), now)
    retrains = RetrainsPage(road, state, platform.home)
    shown = f"{now:%Y-%m-%d} {page.digest} {retrains.digest}"
    before = letters.before.shown.split()
    events: list[AssetEvent] = [] if shown.split()[:2] == before[:2] else [*page.events]
    events += [] if retrains.digest in before else retrains.events
    for line in faults:
        tick.log.error(f"{road.model}: {line}")
    quiet = None if faults else next_moment(road, state, beyond, now)
    return Answer("nothing is due", did="; ".join([*done, *faults]), events=events, again_at=quiet, pending=(letters, shown))


def _told(tick: Tick, roads: Sequence[Road], answers: Answers) -> Answers:
    """The answers with what was said to people, and where telling stands."""
    told, found = tell({model: answer.pending[0] for model, answer in answers.items()}, tick.now), dict(answers)
    for road in roads:
        if (answer := answers.get(road.model)) is None:
            continue
        what, shown = told[road.model], answer.pending[1]
        for line in what.given_up:
            tick.log.error(f"{road.model}: {line}")
        again = [one.again_at for one in what.outbox.waiting.values() if one.keys]
        quiet = None if answer.again_at is None or None in again else min([answer.again_at, *filter(None, again)])
        found[road.model] = replace(
            answer,
            did="; ".join(filter(None, [answer.did, *what.sent, *what.failed, *what.given_up])),
            events=[*answer.events, *([_observation(road, what)] if what.given_up else [])],
            again_at=quiet,
            kept=replace(what.outbox, shown=shown).to_json(),
            pending=None,
        )
    return found


def _woken(tick: Tick, mark: Any) -> tuple[Any, frozenset[str] | None]:
    """Models of which another sensor began or ceased to fail, or a retrain was held back, which Dagster's record says alone."""
    before = mark if isinstance(mark, dict) else {}
    seen, held = drift_news(tick.instance, (dg.DagsterEventType.ASSET_OBSERVATION,), before.get("event"))
    faults = {f"{one.sensor} {one.model}": one.since.isoformat() for one in SensorFaults(tick.platform.home).standing()}
    moved = set(faults.items()) ^ set(before.get("faults", {}).items())
    changed = frozenset(name.partition(" ")[2] for name, _ in moved)
    return {"event": seen, "faults": faults}, None if held is None else held | changed


def _faults(platform: Platform, road: Road) -> list[SensorFault]:
    return [one for one in SensorFaults(platform.home).standing() if one.model == road.model and one.sensor != "upkeep"]


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
        if (compacted := compact_traffic(platform.home, state, now)).files:
            done.append(f"{compacted.files} traffic files of closed days became {len(compacted.merged)}")
    except RetrainError as error:
        faults.append(f"upkeep failed: {error.line}")
    except OSError as error:
        faults.append(f"upkeep failed: traffic cannot be merged: {first_line(error)}")
    return done, faults


def _to_retire(state: ModelState, platform: PlatformState, road: Road, now: datetime) -> bool:
    longest = road.contract.toggle.remove_after
    return any(removal_due(toggle, platform, now) for toggle in state.toggles.values()) or any(
        passed_at(retrain) + longest <= now for retrain in waiting_candidates(state, now).values()
    )


def _letters(platform: Platform, road: Road, until: int, standing: list[Alert], outbox: Outbox | None, now: datetime) -> Letters:
    """For whoever the contract names. The last event considered is the state's, so that none falls between two ticks."""
    recipients = recipients_of(road.contract.notify)
    before = outbox or Outbox(until)
    happened = _happened(platform, road, before, until) if recipients else []
    return letters_of(road.model, platform.home, before, [*happened, *standing], recipients, until, now)


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
