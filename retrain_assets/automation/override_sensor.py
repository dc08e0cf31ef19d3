"""The override sensor: goes on with a retrain that an override opened again, from where the gate had stopped it."""

from collections.abc import Sequence

import dagster as dg

from retrain_assets.assets import Road
from retrain_assets.automation.attempts import run_key, under_way
from retrain_assets.automation.fleet_sensor import Answer, Jobs, SensorKind, Tick, fleet_sensor
from retrain_assets.automation.moments import next_moment
from retrain_assets.release.continuing import assets_to_make

CONTINUES_TAG = "retrain/continues"
"""Run tag of a run that goes on after an override: the ledger event that opened the retrain again."""


def override_sensor(roads: Sequence[Road], jobs: Jobs | None = None) -> dg.SensorDefinition:
    """Has made what the stopped run did not come to; what was judged and overridden is not made again."""
    kind = SensorKind(
        name="override",
        description="Goes on with retrains that a gate stopped and two approvers opened again: the features, candidate and "
        "evaluation that are missing. What stands and was overridden stays as it is.",
        look=override_look,
        job=lambda road: road.retrain_job,
        catches_up=True,
    )
    return fleet_sensor(kind, roads, jobs)


def override_look(tick: Tick, road: Road, kept: None) -> Answer:
    """What of one model is to be made after an override."""
    due = [
        (key, retrain.reopened, missing)
        for key, retrain in sorted(tick.state(road.model).retrains.items())
        if (missing := assets_to_make(retrain, tick.now))
    ]
    running = under_way(tick.instance, road.retrain_job) if due else []
    requests = [
        dg.RunRequest(
            run_key=run_key(tick.instance, road.retrain_job, key, f"{road.model}:{key}:override-{reopened}"),
            job_name=road.retrain_job,
            partition_key=key,
            asset_selection=[road.key(asset) for asset in missing],
            tags={CONTINUES_TAG: str(reopened)},
        )
        for key, reopened, missing in due
        if key not in running
    ]
    about = "a retrain goes on" if due else "no retrain that was opened again has anything left to be made"
    quiet = None if due else next_moment(road, tick.state(road.model), tick.beyond, tick.now)
    return Answer(about, requests=requests, again_at=quiet)
