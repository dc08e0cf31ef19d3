"""The drift sensor: launches a retrain when the champion's live traffic has drifted and the cadence allows it."""

import json
from collections.abc import Mapping

import dagster as dg

from retrain_assets.assets import TRIGGER_TAG, Platform, Road
from retrain_assets.automation.cadence import held_back
from retrain_assets.contract import DriftRule
from retrain_assets.drift import DriftReport, drift_verdicts
from retrain_assets.release import next_retrain_key


def drift_sensor(road: Road, rule: DriftRule) -> dg.SensorDefinition:
    """Watches the drift reports; names metric, window, value and threshold as trigger of the retrain it launches."""

    @dg.sensor(
        name=f"{road.model}_drift_sensor",
        job_name=road.retrain_job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Launches a retrain of {road.model} when {rule.at_least} of the last {rule.of_last} drift reports, the "
        "latest included, are above a limit; holds back during freezes, ramps and the minimum interval.",
    )
    def watch(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult | dg.SkipReason:
        state = platform.controller.state(road.model)
        if state.champion is None:
            return dg.SkipReason(f"{road.model} has no champion yet; bootstrap one")
        reports = reports_of(context.instance, road, state.champion.version, rule.of_last)
        if not reports:
            return dg.SkipReason(f"no drift report of champion version {state.champion.version} yet")
        alarms = drift_verdicts(reports, rule)
        if not alarms:
            return dg.SkipReason(f"no drift: {len(reports)} reports, the latest until {reports[-1].end:%Y-%m-%d}")
        now = platform.clock.now()
        if (reason := held_back(road.contract.cadence, state, now)) is not None:
            return dg.SkipReason(f"drift of {alarms[0].metric}, held back: {reason}")
        worst = alarms[0]
        retrain = next_retrain_key(state.retrains, now.date())
        history = [{"end": report.end.isoformat(), "value": report.metrics.get(worst.metric)} for report in reports]
        trigger = {"kind": "drift", **worst.to_json(), "history": history}
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=f"{road.model}:{retrain}",
                    job_name=road.retrain_job,
                    partition_key=retrain,
                    tags={TRIGGER_TAG: json.dumps(trigger, sort_keys=True)},
                )
            ],
            dynamic_partitions_requests=[road.partitions.build_add_request([retrain])],
        )

    return watch


def reports_of(instance: dg.DagsterInstance, road: Road, champion: str, count: int) -> list[DriftReport]:
    """The latest drift reports of one champion version, oldest first."""
    found: list[DriftReport] = []
    fetched = instance.fetch_materializations(road.key("drift_report"), limit=count)
    for record in reversed(fetched.records):
        materialization = record.asset_materialization
        metadata = materialization.metadata if materialization else {}
        if "report" in metadata and metadata["champion"].value == champion:
            report = metadata["report"].value
            if isinstance(report, Mapping):
                found.append(DriftReport.from_json(report))
    return found
