"""The override sensor: goes on with a retrain that an override opened again, from where the gate had stopped it."""

import dagster as dg

from retrain_assets.assets import Platform, Road
from retrain_assets.automation.attempts import run_key, under_way
from retrain_assets.release import ModelState
from retrain_assets.release.continuing import assets_to_make

CONTINUES_TAG = "retrain/continues"
"""Run tag of a run that goes on after an override: the ledger event that opened the retrain again."""


def override_sensor(road: Road) -> dg.SensorDefinition:
    """Has made what the stopped run did not come to; what was judged and overridden is not made again."""

    @dg.sensor(
        name=f"{road.model}_override_sensor",
        job_name=road.retrain_job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Goes on with retrains of {road.model} that a gate stopped and two approvers opened again: the features, "
        "candidate and evaluation that are missing. What stands and was overridden stays as it is.",
    )
    def go_on(context: dg.SensorEvaluationContext, platform: Platform) -> list[dg.RunRequest] | dg.SkipReason:
        platform.controller.catch_up()
        state = platform.controller.states().get(road.model) or ModelState(road.model)
        now = platform.clock.now()
        due = [
            (key, retrain.reopened, missing)
            for key, retrain in sorted(state.retrains.items())
            if (missing := assets_to_make(retrain, now))
        ]
        running = under_way(context.instance, road.retrain_job) if due else []
        requests = [
            dg.RunRequest(
                run_key=run_key(context.instance, road.retrain_job, key, f"{road.model}:{key}:override-{reopened}"),
                job_name=road.retrain_job,
                partition_key=key,
                asset_selection=[road.key(asset) for asset in missing],
                tags={CONTINUES_TAG: str(reopened)},
            )
            for key, reopened, missing in due
            if key not in running
        ]
        return requests or dg.SkipReason("no retrain that was opened again has anything left to be made")

    return go_on
