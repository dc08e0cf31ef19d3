"""Asset ``dataset``: an immutable snapshot of the training window and the held-out window after it."""

import dagster as dg

from retrain_assets.assets.gate_checks import results_inside, specs_inside
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import Road, cutoff_of
from retrain_assets.assets.stages import gate_of, launch, metadata_of, retrain_stage
from retrain_assets.contract import Gate


def dataset_asset(road: Road) -> dg.AssetsDefinition:
    """The data set of one retrain; its content digest is the data set version."""

    @dg.asset(
        key=road.key("dataset"),
        deps=[road.key("source")],
        partitions_def=road.partitions,
        code_version=road.code_version,
        description="Training window and the held-out window directly after it, split by time. Immutable; "
        "its content digest is the data set version.",
        group_name=road.model,
        owners=road.owners("dataset"),
        kinds=road.kinds("dataset"),
        tags=road.tags,
        pool=road.pool("dataset"),
        check_specs=specs_inside(road, "dataset"),
    )
    def dataset(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
        retrain = context.partition_key
        cutoff_of(retrain)  # a key that is none is refused before a launch is recorded
        launch(context, platform, road, retrain)
        with retrain_stage(context, platform, road, "dataset") as result:
            verdicts = result.verdicts_of(Gate.DATA)
            digest = result.outputs["dataset"]["digest"]
            subjects = {"dataset": digest, "limits": road.contract.limits_digest, **platform.stage_record(result)}
            platform.controller.record_gate(road.model, retrain, Gate.DATA, verdicts, subjects)
            return dg.MaterializeResult(
                metadata={**gate_of(road, Gate.DATA, verdicts), **metadata_of(result)},
                data_version=dg.DataVersion(digest),
                check_results=results_inside(platform, road, retrain, "dataset"),
            )

    return dataset
