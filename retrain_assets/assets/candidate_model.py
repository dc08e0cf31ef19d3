"""Asset ``candidate_model``: the fitted bundle, registered straight away as a candidate version."""

import dagster as dg

from retrain_assets.assets.faces import evidence_metadata
from retrain_assets.assets.gate_checks import results_inside, specs_inside
from retrain_assets.assets.links import version_metadata
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.requests import retrain_request
from retrain_assets.assets.road import Road
from retrain_assets.assets.stages import gate_of, metadata_of, retrain_stage
from retrain_assets.contract import Gate


def candidate_model_asset(road: Road) -> dg.AssetsDefinition:
    """The candidate of one retrain. A version that fails a later gate stays in the registry and goes no further."""

    @dg.asset(
        key=road.key("candidate_model"),
        deps=[road.key("feature_snapshot")],
        partitions_def=road.partitions,
        code_version=road.code_version,
        description="The fitted bundle: model, calibration, decision rule, feature pipeline version and training "
        "window, identified by the digest of its manifest and registered in MLflow with status=candidate.",
        group_name=road.model,
        owners=road.owners("candidate_model"),
        kinds=road.kinds("candidate_model"),
        tags=road.tags,
        pool=road.pool("candidate_model"),
        check_specs=specs_inside(road, "candidate_model"),
    )
    def candidate_model(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
        retrain = context.partition_key
        dataset = platform.stage_result(road.model, retrain, "dataset")
        features = platform.stage_result(road.model, retrain, "features")
        with retrain_stage(context, platform, road, "training") as result:
            verdicts = result.verdicts_of(Gate.TRAINING)
            bundle = result.outputs["bundle"]
            version = platform.registry.register(
                platform.output_here(retrain_request(platform, road, retrain, "training"), result, "bundle"),
                result.metadata["manifest"],
                bundle["digest"],
                metrics=result.metadata["holdout_metrics"],
                tags={"retrain": retrain},
            )
            subjects = {
                "dataset": dataset.outputs["dataset"]["digest"],
                "features": features.metadata["feature_pipeline"],
                "bundle": bundle["digest"],
            }
            judged = subjects | {"limits": road.contract.limits_digest} | platform.stage_record(result)
            logged = platform.registry.version(road.model, version).run_id
            platform.controller.register_candidate(road.model, retrain, version, subjects, mlflow_run_id=logged)
            platform.controller.record_gate(road.model, retrain, Gate.TRAINING, verdicts, judged)
            return dg.MaterializeResult(
                metadata={
                    **gate_of(road, Gate.TRAINING, verdicts),
                    **version_metadata(platform.home, platform.registry.name_of(road.model), version),
                    "bundle": bundle["digest"],
                    **evidence_metadata({"recorded": result.metadata["evidence"]["recorded"]}),
                    **metadata_of(result),
                },
                data_version=dg.DataVersion(bundle["digest"]),
                check_results=results_inside(platform, road, retrain, "candidate_model"),
            )

    return candidate_model
