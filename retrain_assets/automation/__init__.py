"""What starts by itself: drift, canary, decision, override and upkeep sensors, schedules; what people are told."""

from collections.abc import Sequence

import dagster as dg

from retrain_assets.assets import Road
from retrain_assets.automation.canary_sensor import canary_sensor
from retrain_assets.automation.decision_sensor import decision_sensor
from retrain_assets.automation.drift_sensor import drift_sensor
from retrain_assets.automation.fleet_sensor import Jobs
from retrain_assets.automation.override_sensor import override_sensor
from retrain_assets.automation.schedules import cadence_schedule, drift_schedule
from retrain_assets.automation.upkeep_sensor import upkeep_sensor

__all__ = ["schedules_of", "sensors_of"]


def sensors_of(roads: Sequence[Road], jobs: Jobs) -> list[dg.SensorDefinition]:
    """One sensor of a kind for some models; no drift sensor where no contract has drift launch a retrain.

    Args:
        roads: the models, sorted by name.
        jobs: their jobs, by name.
    """
    drifting = [road for road in roads if road.contract.cadence.on_drift is not None]
    sensors = [make(roads, jobs) for make in (upkeep_sensor, canary_sensor, decision_sensor, override_sensor)]
    return [*sensors, *([drift_sensor(drifting, jobs)] if drifting else [])]


def schedules_of(road: Road) -> list[dg.ScheduleDefinition]:
    """The schedules of one model."""
    cadence = road.contract.cadence
    return [
        *([drift_schedule(road)] if cadence.on_drift is not None else []),
        *([cadence_schedule(road, cadence.cron)] if cadence.cron is not None else []),
    ]
