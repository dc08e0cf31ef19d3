"""Schedules: the drift report, and retrains on the business cadence."""

import json

import dagster as dg

from retrain_assets.assets import TRIGGER_TAG, Platform, Road
from retrain_assets.automation.attempts import under_way
from retrain_assets.automation.cadence import Launcher, holds, in_words
from retrain_assets.automation.held_alarms import observation_of_schedule
from retrain_assets.release import next_retrain_key


def drift_schedule(road: Road) -> dg.ScheduleDefinition:
    """Makes the drift report regularly."""
    return dg.ScheduleDefinition(
        name=f"{road.model}_drift_schedule",
        job_name=road.drift_job,
        cron_schedule=road.contract.cadence.drift_cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Compares the live traffic of {road.model} with its training data.",
    )


def cadence_schedule(road: Road, cron: str) -> dg.ScheduleDefinition:
    """Launches a retrain on the business cadence unless the cadence's own rules hold it back."""

    @dg.schedule(
        name=f"{road.model}_cadence_schedule",
        job_name=road.retrain_job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Retrains {road.model} on the business cadence; held back by freezes, ramps and the minimum interval.",
    )
    def launch_on_cadence(context: dg.ScheduleEvaluationContext, platform: Platform) -> dg.RunRequest | dg.SkipReason:
        state = platform.controller.state(road.model)
        now, cadence = platform.clock.now(), platform.controller.platform().cadence(road.contract)
        if held := holds(cadence, state, now, Launcher.CRON, under_way(context.instance, road.retrain_job)):
            context.instance.report_runless_asset_event(observation_of_schedule(road, cron, held, now))
            return dg.SkipReason(f"held back by {in_words(held)}")
        retrain = next_retrain_key(state.retrains, now.date())
        context.instance.add_dynamic_partitions(road.partitions.name or "", [retrain])
        return dg.RunRequest(
            run_key=f"{road.model}:{retrain}",
            partition_key=retrain,
            tags={TRIGGER_TAG: json.dumps({"kind": "schedule", "cron": cron}, sort_keys=True)},
        )

    return launch_on_cadence
