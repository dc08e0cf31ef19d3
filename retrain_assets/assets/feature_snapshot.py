"""Asset ``feature_snapshot``: features and label of both windows, made by the team's feature function."""

import dagster as dg

from retrain_assets.assets.gate_checks import results_inside, specs_inside
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import Road
from retrain_assets.assets.stages import gate_of, metadata_of, retrain_stage
from retrain_assets.contract import Gate


def feature_snapshot_asset(road: Road) -> dg.AssetsDefinition:
    """Features of one retrain; the feature pipeline version is the digest of the feature code and its parameters."""

    @dg.asset(
        key=road.key("feature_snapshot"),
        deps=[road.key("dataset")],
        partitions_def=road.partitions,
        code_version=road.code_version,
        description="Features and label of both windows. The feature pipeline version is the digest of its code.",
        group_name=road.model,
        owners=road.owners("feature_snapshot"),
        kinds=road.kinds("feature_snapshot"),
        tags=road.tags,
        pool=road.pool("feature_snapshot"),
        check_specs=specs_inside(road, "feature_snapshot"),
    )
    def feature_snapshot(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
        retrain = context.partition_key
        dataset = platform.stage_result(road.model, retrain, "dataset")
        with retrain_stage(context, platform, road, "features") as result:
            verdicts = result.verdicts_of(Gate.DATA)
            subjects = {
                "dataset": dataset.outputs["dataset"]["digest"],
                "features": result.metadata["feature_pipeline"],
                "limits": road.contract.limits_digest,
                **platform.stage_record(result),
            }
            platform.controller.record_gate(road.model, retrain, Gate.DATA, verdicts, subjects)
            return dg.MaterializeResult(
                metadata={**gate_of(road, Gate.DATA, verdicts), **metadata_of(result)},
                data_version=dg.DataVersion(result.outputs["features"]["digest"]),
                check_results=results_inside(platform, road, retrain, "feature_snapshot"),
            )

    return feature_snapshot
