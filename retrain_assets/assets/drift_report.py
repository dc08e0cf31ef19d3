"""Assets of live operation: the source and traffic other systems write, and the drift report of the champion."""

from pathlib import Path

import dagster as dg

from retrain_assets.assets.drift_history import reports_of
from retrain_assets.assets.drift_tables import alarm_table, column_table, metric_table, segment_table
from retrain_assets.assets.place_faces import place_metadata
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import Road
from retrain_assets.contract import RetrainError
from retrain_assets.drift import DriftReport, drift_verdicts
from retrain_assets.release import Reign
from retrain_assets.reports.drift_plots import drift_pictures
from retrain_assets.serving import ExposureLog

SHOWN = 26
"""Windows of the champion that the plots go back: half a year of weekly reports."""


def external_assets(road: Road) -> list[dg.AssetSpec]:
    """The source table and the live traffic: written by other systems, shown for lineage."""
    source = road.contract.source
    return [
        dg.AssetSpec(
            road.key("source"),
            description=f"Rows of {source.place}, one per {source.unit} at {source.event_time}; label {source.label} "
            f"known {source.label_delay} later.",
            group_name=road.model,
            owners=road.owners("source"),
            kinds=road.kinds("source"),
            tags=road.tags,
        ),
        dg.AssetSpec(
            road.key("live_traffic"),
            description="Exposures (which arm scored which unit) and outcomes (what happened to it), as Parquet.",
            group_name=road.model,
            owners=road.owners("live_traffic"),
            kinds=road.kinds("live_traffic"),
            tags=road.tags,
        ),
    ]


def drift_report_asset(road: Road) -> dg.AssetsDefinition:
    """Drift of the champion's live traffic against the data it was trained on; not per retrain."""

    @dg.asset(
        key=road.key("drift_report"),
        deps=[road.key("live_traffic"), road.key("source")],
        code_version=road.code_version,
        description="The champion's live traffic against its training sketch: features weighted by importance, predictions, "
        "labels, calibration, loss per segment, metrics estimated where labels are missing, success measures.",
        group_name=road.model,
        owners=road.owners("drift_report"),
        kinds=road.kinds("drift_report"),
        tags=road.tags,
        pool=road.pool("drift_report"),
    )
    def drift_report(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
        rule = road.contract.cadence.on_drift
        if rule is None:
            raise dg.Failure(description=f"{road.model}: cadence.on_drift is not set; add it or remove the drift job")
        state = platform.controller.state(road.model)
        if state.champion is None:
            raise RetrainError(f"{road.model} has no champion", remedy="bootstrap one before its drift can be watched")
        now, reign = platform.clock.now(), state.champion_history[-1]
        directory = platform.home.stage_dir(road.model, f"drift-{now:%Y-%m-%dT%H%M}", "drift")
        inputs = _champions_traffic(platform, road, reign, directory)
        inputs["bundle"] = str(platform.registry.download(road.model, state.champion.version))
        asked = {"now": now.isoformat(), "since": reign.since.isoformat(), "bundle_digest": state.champion.bundle}
        request = platform.request(road, directory.parent.name, "drift", inputs=inputs, parameters=asked)
        result = platform.run_stage(road, request, context=context)
        report = DriftReport.from_json(result.metadata["report"])
        before = reports_of(context.instance, road, state.champion.version, max(SHOWN, rule.of_last))
        history = [*(one for one in before if one.end < report.end), report]
        return dg.MaterializeResult(
            metadata={
                "window": f"{report.start:%Y-%m-%d} to {report.end:%Y-%m-%d}",
                "alarms": alarm_table(drift_verdicts(history, rule), rule),
                "rows": int(report.rows),
                "champion": state.champion.version,
                "metrics": metric_table(report, rule, result.metadata["undefined"]),
                "columns": column_table(report),
                "columns_compared": len(report.columns),
                "columns_drifted": sum(column.drifted for column in report.columns.values()),
                **({"segments": segment_table(report)} if report.segments else {}),
                "plots": dg.MetadataValue.md(drift_pictures(history, result.metadata["histograms"], rule)),
                "report": dg.MetadataValue.json(result.metadata["report"]),
                **place_metadata(result),
            },
            data_version=dg.DataVersion(result.outputs["report"]["digest"]),
        )

    return drift_report


def _champions_traffic(platform: Platform, road: Road, reign: Reign, directory: Path) -> dict[str, str]:
    """The champion arm's exposures since it reigns, and their outcomes, as the Parquet inputs of the stage."""
    log = ExposureLog(platform.home)
    exposures = log.read_exposures(road.model, since=reign.since)
    frames = {
        "exposures": exposures.filter(exposures["version"] == reign.version.version),
        "outcomes": log.read_outcomes(road.model, since=reign.since),
    }
    directory.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        frame.write_parquet(directory / f"{name}.parquet")
    return {name: str(directory / f"{name}.parquet") for name in frames}
