"""Asset ``dataset``: an immutable snapshot of the training window and the held-out window after it."""

import dagster as dg

from retrain_assets.assets.faces import verdict_table
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import KINDS, Road, cutoff_of
from retrain_assets.assets.stages import launch, metadata_of
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
        kinds=KINDS["dataset"],
        tags=road.tags,
    )
    def dataset(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
        retrain = context.partition_key
        cutoff = cutoff_of(retrain)
        launch(context, platform, road, retrain)
        result = platform.run_stage(road, retrain, "dataset", parameters={"cutoff": cutoff.isoformat()})
        verdicts = result.verdicts_of(Gate.DATA)
        digest = result.outputs["dataset"]["digest"]
        subjects = {"dataset": digest, "limits": road.contract.limits_digest}
        platform.controller.record_gate(road.model, retrain, Gate.DATA, verdicts, subjects)
        return dg.MaterializeResult(
            metadata={"gate": verdict_table(verdicts), **metadata_of(result)},
            data_version=dg.DataVersion(digest),
        )

    return dataset
