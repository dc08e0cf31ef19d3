"""Asset ``dataset``: an immutable snapshot of the training window and the held-out window after it."""

from datetime import datetime
from typing import Any

import dagster as dg

from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import KINDS, Road, cutoff_of
from retrain_assets.assets.stages import gate_of, launch, metadata_of
from retrain_assets.contract import Gate, Outcome, RetrainError

EARLIER_RETRAINS = 5
"""Earlier retrains that the data gate compares the source with, at most."""


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
        parameters = {"cutoff": cutoff.isoformat(), "history": earlier_datasets(platform, road, retrain)}
        result = platform.run_stage(road, retrain, "dataset", parameters=parameters, run_id=context.run.run_id)
        verdicts = result.verdicts_of(Gate.DATA)
        digest = result.outputs["dataset"]["digest"]
        subjects = {"dataset": digest, "limits": road.contract.limits_digest, **platform.stage_record(result)}
        platform.controller.record_gate(road.model, retrain, Gate.DATA, verdicts, subjects)
        return dg.MaterializeResult(
            metadata={**gate_of(road, Gate.DATA, verdicts), **metadata_of(result)},
            data_version=dg.DataVersion(digest),
        )

    return dataset


def earlier_datasets(platform: Platform, road: Road, retrain: str) -> list[dict[str, Any]]:
    """What the data gate of a retrain compares its source with: the ``as_history`` of earlier retrains of the model.

    Those count that were launched before this one, end before its cut-off and passed gate data; of retrains of one cut-off the
    last. At most the last five, by cut-off. Later retrains never change it, so that running a partition again asks the same.
    """
    earlier: dict[datetime, list[str]] = {}
    for key, known in platform.controller.state(road.model).retrains.items():
        if key == retrain:
            break
        record = known.verdicts.get(Gate.DATA)
        if record is not None and record.outcome is Outcome.PASS and cutoff_of(key) < cutoff_of(retrain):
            earlier.setdefault(cutoff_of(key), []).append(key)
    found: list[dict[str, Any]] = []
    for cutoff in sorted(earlier, reverse=True):
        kept = (_as_history(platform, road, key) for key in reversed(earlier[cutoff]))
        found += [seen for seen in [next((one for one in kept if one is not None), None)] if seen is not None]
        if len(found) == EARLIER_RETRAINS:
            break
    return found[::-1]


def _as_history(platform: Platform, road: Road, retrain: str) -> dict[str, Any] | None:
    """What a retrain's data set leaves to later ones; None where its working files were cleared away."""
    try:
        return platform.stage_result(road.model, retrain, "dataset").metadata.get("as_history")
    except RetrainError:
        return None
