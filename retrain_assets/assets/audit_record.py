"""Asset ``audit_record``: the evidence pack of one retrain, failed and rejected ones too."""

import dagster as dg

from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import Road
from retrain_assets.ledger import SYSTEM
from retrain_assets.release.anchoring import HEAD_METADATA, head_anchor
from retrain_assets.reports import write_index, write_pack


def audit_record_asset(road: Road) -> dg.AssetsDefinition:
    """The evidence pack as one HTML page and the same as JSON, its digest in the ledger."""

    @dg.asset(
        key=road.key("audit_record"),
        deps=[road.key("promotion_decision")],
        partitions_def=road.partitions,
        code_version=road.code_version,
        description="The evidence pack: one self-contained page and the same as JSON. Made for every ended retrain, "
        "failed and rejected ones too.",
        group_name=road.model,
        owners=road.owners("audit_record"),
        kinds=road.kinds("audit_record"),
        tags=road.tags,
    )
    def audit_record(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
        retrain = context.partition_key
        pack = write_pack(platform.home, road.model, retrain)
        platform.controller.record_audit(road.model, retrain, pack.digest, SYSTEM)
        write_index(platform.home, road.model)
        return dg.MaterializeResult(
            metadata={
                "evidence_pack": dg.MetadataValue.path(str(pack.html)),
                "evidence_json": dg.MetadataValue.path(str(pack.json)),
                "digest": pack.digest,
                HEAD_METADATA: head_anchor(platform.ledger),
            },
            data_version=dg.DataVersion(pack.digest),
        )

    return audit_record
