"""The drift sensor: launches a retrain when the champion's live traffic has drifted and the cadence allows it."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from retrain_assets.assets import TRIGGER_TAG, Road
from retrain_assets.assets.drift_history import reports_of
from retrain_assets.automation.attempts import run_key, under_way
from retrain_assets.automation.cadence import Hold, Launcher, Rule, earliest, holds, in_words
from retrain_assets.automation.dagster_news import drift_news
from retrain_assets.automation.fleet_sensor import Answer, Jobs, SensorKind, Tick, fleet_sensor
from retrain_assets.automation.held_alarms import held_before, is_recorded, observation
from retrain_assets.automation.moments import next_moment
from retrain_assets.drift import DriftAlarm, DriftReport, drift_verdicts
from retrain_assets.release import ModelState, next_retrain_key

TAG_BYTES = 2600
"""Most bytes of a trigger: PostgreSQL's index on run tags refuses a value of 2,700."""


def drift_sensor(roads: Sequence[Road], jobs: Jobs | None = None) -> dg.SensorDefinition:
    """Watches the drift reports; names metric, window, value and threshold as trigger of the retrain it launches.

    What the cadence holds back is told in the tick and, once for each window and set of reasons, recorded on the drift report.

    Args:
        roads: the models whose contract has drift launch a retrain.
    """
    kind = SensorKind(
        name="drift",
        description="Launches a model's retrain when as many of its last drift reports as cadence.on_drift says, the latest "
        "included, are above a limit; holds back during freezes, seasons and ramps, within the minimum interval and when a "
        "scheduled retrain is due.",
        look=drift_look,
        job=lambda road: road.retrain_job,
        woken=lambda tick, mark: drift_news(tick.instance, (dg.DagsterEventType.ASSET_MATERIALIZATION,), mark),
    )
    return fleet_sensor(kind, roads, jobs)


def drift_look(tick: Tick, road: Road, kept: None) -> Answer:
    """Whether drift launches a retrain of one model now."""
    rule, state = road.contract.cadence.on_drift, tick.state(road.model)
    quiet = next_moment(road, state, tick.beyond, tick.now)
    if rule is None:
        return Answer("the contract has drift launch nothing", again_at=quiet)
    if state.champion is None:
        return Answer("no champion yet", f"{road.model} has no champion yet; bootstrap one", again_at=quiet)
    champion = state.champion.version
    reports = reports_of(tick.instance, road, champion, rule.of_last)
    if not reports:
        none_yet = f"no drift report of champion version {champion} yet"
        return Answer("no drift report of the champion yet", none_yet, again_at=quiet)
    alarms = drift_verdicts(reports, rule)
    if not alarms:
        calm = f"no drift: {_counted(reports)}, the latest until {reports[-1].end:%Y-%m-%d}"
        return Answer("no drift", calm, again_at=quiet)
    now, cadence = tick.now, tick.beyond.cadence(road.contract)
    held = holds(cadence, state, now, Launcher.DRIFT, under_way(tick.instance, road.retrain_job))
    if held:
        opens = earliest(cadence, state, now)
        record = observation(road, champion, alarms, held, now, opens)
        when = f" A retrain at the earliest on {opens:%Y-%m-%d %H:%M} UTC." if opens is not None and opens > now else ""
        return Answer(
            "drift held back",
            f"drift held back. {alarms[0].message}. Held back by {in_words(held)}.{when}",
            matters=True,
            again_at=_until(held, state, quiet, now),
            events=[] if is_recorded(tick.instance, record) else [record],
        )
    retrain = next_retrain_key(state.retrains, now.date())
    before = held_before(tick.instance, road, champion, _latest_launch(state))
    request = dg.RunRequest(
        run_key=run_key(tick.instance, road.retrain_job, retrain, f"{road.model}:{retrain}"),
        job_name=road.retrain_job,
        partition_key=retrain,
        tags={TRIGGER_TAG: tag_of(trigger_of(alarms, reports, champion, before))},
    )
    return Answer("drift", requests=[request], partitions=[road.partitions.build_add_request([retrain])])


def tag_of(trigger: Mapping[str, Any]) -> str:
    """The trigger as JSON of at most :data:`TAG_BYTES`, as far as its lists can be shortened.

    The oldest of what held it back is left out first, then the oldest of the history; the latest of both stays.
    """
    kept = dict(trigger)
    while len((text := json.dumps(kept, sort_keys=True, ensure_ascii=False)).encode()) > TAG_BYTES:
        longest = next((name for name in ("held_back", "history") if len(kept.get(name, ())) > 1), None)
        if longest is None:
            break
        kept[longest] = list(kept[longest])[1:]
    return text


def trigger_of(
    alarms: Sequence[DriftAlarm], reports: Sequence[DriftReport], champion: str, held_back: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """What set the retrain off, as the ledger keeps it.

    The alarm farthest above its limit with every window it was judged on, the other alarms, and when and by what it was held
    back.
    """
    worst = alarms[0]
    history = [{"end": report.end.isoformat(), "value": report.metrics.get(worst.metric)} for report in reports]
    trigger: dict[str, Any] = {"kind": "drift", **worst.to_json(), "champion": champion, "history": history}
    if len(alarms) > 1:
        trigger["also"] = [f"{alarm.metric} {alarm.value:.4g} > {alarm.threshold:g}" for alarm in alarms[1:]]
    if held_back:
        trigger["held_back"] = list(held_back)
    return trigger


def _until(held: Sequence[Hold], state: ModelState, quiet: datetime, now: datetime) -> datetime | None:
    """Before when what holds back does not change though nothing is recorded; None where it may at any time: a run under way
    whose launch is not recorded yet may die, and the tick of a schedule that is due may come."""
    known = {key for key, retrain in state.retrains.items() if retrain.ended is None}
    known -= {toggle.retrain} if (toggle := state.active_toggle) is not None else set()
    if sum(hold.rule is Rule.RETRAIN for hold in held) > len(known):
        return None
    ends = [hold.until for hold in held if hold.until is not None]
    return None if any(end <= now for end in ends) else min([quiet, *ends])


def _latest_launch(state: ModelState) -> datetime | None:
    return max((retrain.launched_at for retrain in state.retrains.values()), default=None)


def _counted(reports: Sequence[DriftReport]) -> str:
    return "1 report" if len(reports) == 1 else f"{len(reports)} reports"
