"""What starts by itself: drift, canary, decision, override and upkeep sensors, schedules; what people are told."""

import dagster as dg

from retrain_assets.assets import Road
from retrain_assets.automation.canary_sensor import canary_sensor
from retrain_assets.automation.decision_sensor import decision_sensor
from retrain_assets.automation.drift_sensor import drift_sensor
from retrain_assets.automation.override_sensor import override_sensor
from retrain_assets.automation.schedules import cadence_schedule, drift_schedule
from retrain_assets.automation.upkeep_sensor import upkeep_sensor
from retrain_assets.contract import Contract

__all__ = ["automation_definitions"]


def automation_definitions(contract: Contract) -> dg.Definitions:
    """Sensors and schedules of one model."""
    road = Road(contract)
    sensors = [upkeep_sensor(road), canary_sensor(road), decision_sensor(road), override_sensor(road)]
    schedules: list[dg.ScheduleDefinition] = []
    if contract.cadence.on_drift is not None:
        sensors.append(drift_sensor(road, contract.cadence.on_drift))
        schedules.append(drift_schedule(road))
    if contract.cadence.cron is not None:
        schedules.append(cadence_schedule(road, contract.cadence.cron))
    return dg.Definitions(sensors=sensors, schedules=schedules)
