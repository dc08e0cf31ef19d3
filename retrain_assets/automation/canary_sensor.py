"""The canary sensor: arms a challenger whose offline gates passed, and asks for a look when new outcomes have matured."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import dagster as dg

from retrain_assets.assets import Road
from retrain_assets.automation.attempts import run_key
from retrain_assets.automation.fleet_sensor import Answer, Jobs, SensorKind, Tick, fleet_sensor
from retrain_assets.automation.moments import next_moment
from retrain_assets.contract import Contract, SourceError
from retrain_assets.home import Home
from retrain_assets.release import ModelState, Move, ToggleState, ToggleStatus
from retrain_assets.release.policy import arming_brakes, arming_subjects, gate_obstacles, toggle_brakes
from retrain_assets.serving import ExposureLog


def canary_sensor(roads: Sequence[Road], jobs: Jobs | None = None) -> dg.SensorDefinition:
    """Walks the canaries: looks at what has matured, at each experiment's rhythm, one challenger of a model at a time."""
    kind = SensorKind(
        name="canary",
        description="Arms a model's challenger when gates data, training and offline have passed, then asks for a look when "
        "outcomes have matured, experiment.look_every apart.",
        look=canary_look,
        job=lambda road: road.canary_job,
        catches_up=True,
    )
    return fleet_sensor(kind, roads, jobs)


def canary_look(tick: Tick, road: Road, kept: None) -> Answer:
    """What the canary of one model needs now."""
    state, now = tick.state(road.model), tick.now
    toggle = state.active_toggle
    if toggle is None:
        ready = ready_to_arm(state, road.contract, now)
        quiet = next_moment(road, state, tick.beyond, now)
        if ready is None:
            return Answer("no active toggle and no candidate that passed gates data, training and offline", again_at=quiet)
        if stopped := arming_brakes(road.contract, now, tick.beyond):
            brakes = "; ".join(brake.message for brake in stopped)
            return Answer("a candidate is not armed", f"{ready} is not armed: {brakes}", matters=True, again_at=quiet)
        return _asked(tick, road, ready, f"{road.model}:{ready}:arm", "a candidate is armed")
    if toggle.state is ToggleStatus.ARMED and (stopped := toggle_brakes(toggle, Move.STEP, now, tick.beyond)):
        brakes = "; ".join(brake.message for brake in stopped)
        waits = f"{toggle.name} does not enter its ramp: {brakes}"
        quiet = next_moment(road, state, tick.beyond, now)
        return Answer("a challenger does not enter its ramp", waits, matters=True, again_at=quiet)
    if (due := step_due(tick.platform.home, toggle)) is None:
        waits = f"{toggle.name} at stage {toggle.stage}: no new matured outcomes since the last look"
        return Answer("no new matured outcomes since the last look", waits, again_at=next_look(toggle, now))
    return _asked(tick, road, toggle.retrain, f"{toggle.name}:{toggle.stage_revision}:{due}", "a look is due")


def _asked(tick: Tick, road: Road, retrain: str, base: str, about: str) -> Answer:
    key = run_key(tick.instance, road.canary_job, retrain, base)
    return Answer(about, requests=[dg.RunRequest(run_key=key, job_name=road.canary_job, partition_key=retrain)])


def ready_to_arm(state: ModelState, contract: Contract, now: datetime) -> str | None:
    """The oldest retrain that passed gates 1 to 3, overrides included, and has no toggle yet; None without champion.

    Passed with the candidate it has now, against the champion that serves now, by the thresholds of now.
    """
    if state.champion is None:
        return None
    has_toggle = {toggle.retrain for toggle in state.toggles.values()}
    for key, retrain in sorted(state.retrains.items()):
        if retrain.candidate is None or retrain.ended is not None or key in has_toggle:
            continue
        if not gate_obstacles(retrain, arming_subjects(retrain, state.champion, contract), now=now):
            return key
    return None


def step_due(home: Home, toggle: ToggleState) -> str | None:
    """What the canary job has to do for an active toggle now, as text for the run key; None when there is nothing to do.

    Traffic matures all the time, so the key names the look before and the hour, not what has matured: one run at a time, and when
    all its attempts died another one the next hour.
    """
    if toggle.state is ToggleStatus.ARMED:
        return "enter"  # the run that armed it ended before its first step
    if look_due(home, toggle) is None:
        return None
    before = toggle.last_look.sequence if toggle.last_look else 0
    return f"look-after-{before}-{home.clock.now():%Y-%m-%dT%H}"


def look_due(home: Home, toggle: ToggleState) -> str | None:
    """Why another look is due, as text; None when none is.

    At the moment the last look asked for (to confirm harm, as a planned look, at the end of a grace period), at once. Else
    ``look_every`` after the last one: when exposures have matured since, when the records cannot be read, when the experiment's
    longest duration is over, and when nothing has matured for :data:`SILENCE`, so that missing traffic is seen as well. A last
    look that lies in the future was dated by a clock that has been set back since; nothing waits for that date.
    """
    experiment = toggle.terms.experiment
    now, last = home.clock.now(), toggle.last_look
    if toggle.armed_at is None:
        return None
    if last is not None and last.at > now:
        return "clock-set-back"
    if last is not None and last.again_at is not None and last.at < last.again_at <= now:
        return f"again-{last.again_at:%Y-%m-%dT%H:%M:%S}"
    if last is not None and now - last.at < experiment.look_every:
        return None
    for longest in (experiment.longest, experiment.max_duration):
        if now >= toggle.armed_at + longest and (last is None or last.at < toggle.armed_at + longest):
            return "max-duration"
    window = experiment.outcome_window
    try:
        newest = ExposureLog(home).newest_exposure(
            toggle.model, toggle.name, since=(last.at if last else toggle.armed_at) - window, until=now - window
        )
    except SourceError:
        return "unreadable"
    if newest is not None:
        return f"matured-{newest:%Y-%m-%dT%H:%M:%S}"
    quiet_since = max(moment for moment in (toggle.armed_at, toggle.stage_started_at, last.at if last else None) if moment)
    return "silence" if now - quiet_since >= max(SILENCE, experiment.look_every) else None


def next_look(toggle: ToggleState, now: datetime) -> datetime | None:
    """Before when no look of a toggle is due whatever traffic matures, see :func:`look_due`; None when traffic decides now."""
    last = toggle.last_look
    if toggle.armed_at is None or last is None or last.at > now:
        return None
    moments = [last.at + toggle.terms.experiment.look_every]
    if last.again_at is not None and last.again_at > last.at:
        moments.append(last.again_at)
    return None if moments[0] <= now else min(moment for moment in moments if moment > now)


SILENCE = timedelta(days=1)
"""Time after which a look is due although nothing has matured."""
