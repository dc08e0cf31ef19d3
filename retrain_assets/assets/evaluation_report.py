"""Asset ``evaluation_report``: candidate against champion on the same held-out rows."""

from typing import Any

import dagster as dg

from retrain_assets.assets.faces import verdict_table
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import KINDS, Road
from retrain_assets.assets.stages import metadata_of
from retrain_assets.contract import Gate
from retrain_assets.release import ModelState
from retrain_assets.reports.pictures import evaluation_pictures
from retrain_assets.routing import VersionRef


def evaluation_report_asset(road: Road) -> dg.AssetsDefinition:
    """The offline evaluation of one retrain, with slices, fairness, calibration and back-tests."""

    @dg.asset(
        key=road.key("evaluation_report"),
        deps=[road.key("candidate_model"), road.key("feature_snapshot")],
        partitions_def=road.partitions,
        code_version=road.code_version,
        description="Candidate against champion on the same held-out rows: metrics with paired intervals, slices, "
        "fairness, calibration and rolling-origin back-tests.",
        group_name=road.model,
        owners=road.owners("evaluation_report"),
        kinds=KINDS["evaluation_report"],
        tags=road.tags,
    )
    def evaluation_report(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
        retrain = context.partition_key
        stages = {name: platform.stage_result(road.model, retrain, name) for name in ("dataset", "features", "training")}
        inputs = {name: stages[name].outputs[name]["uri"] for name in ("dataset", "features")}
        inputs["candidate"] = stages["training"].outputs["bundle"]["uri"]
        parameters: dict[str, Any] = {}
        champion = opponent(platform.controller.state(road.model), retrain)
        if champion is not None:
            inputs["champion"] = str(platform.registry.download(road.model, champion.version))
        else:
            parameters["bootstrap"] = True
        result = platform.run_stage(road, retrain, "evaluation", inputs=inputs, parameters=parameters)
        verdicts = result.verdicts_of(Gate.OFFLINE)
        subjects = {
            "dataset": stages["dataset"].outputs["dataset"]["digest"],
            "features": stages["features"].metadata["feature_pipeline"],
            "bundle": stages["training"].outputs["bundle"]["digest"],
            "limits": road.contract.limits_digest,
            **({"champion": champion.bundle} if champion is not None else {}),
        }
        platform.controller.record_gate(road.model, retrain, Gate.OFFLINE, verdicts, subjects)
        return dg.MaterializeResult(
            metadata={
                "gate": verdict_table(verdicts),
                "plots": dg.MetadataValue.md(evaluation_pictures(platform.home, road.model, retrain)),
                **metadata_of(result),
            },
            data_version=dg.DataVersion(result.outputs["evaluation"]["digest"]),
        )

    return evaluation_report


def opponent(state: ModelState, retrain: str) -> VersionRef | None:
    """The champion a retrain is compared with: the one that serves, and once it is armed or has ended the one of then, so that
    running the evaluation again changes nothing. None when there is none."""
    if (toggle := state.toggle_of(retrain)) is not None:
        return toggle.previous_champion
    ended_at = state.retrains[retrain].ended_at
    reigns = [one for one in state.champion_history if one.retrain != retrain and (ended_at is None or one.since <= ended_at)]
    return reigns[-1].version if reigns else None
