"""Asset ``promotion_decision``: promote, reject or keep waiting, with the approval it rests on."""

import dagster as dg

from retrain_assets.assets.faces import table, verdict_table
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import Road
from retrain_assets.ledger import SYSTEM
from retrain_assets.release.anchoring import HEAD_METADATA, head_anchor


def promotion_decision_asset(road: Road) -> dg.AssetsDefinition:
    """The decision about one retrain.

    Materialising it never promotes by itself: the release controller re-reads the recorded verdicts and approvals of
    this retrain and this bundle and refuses when one is missing, stale or not ``pass``.
    """

    @dg.asset(
        key=road.key("promotion_decision"),
        deps=[road.key("canary_report"), road.key("evaluation_report")],
        partitions_def=road.partitions,
        code_version=road.code_version,
        description="Promote, reject or keep waiting. The release controller re-reads every recorded verdict and approval "
        "of this retrain and bundle; the asset graph is not trusted.",
        group_name=road.model,
        owners=road.owners("promotion_decision"),
        kinds=road.kinds("promotion_decision"),
        tags=road.tags,
    )
    def promotion_decision(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
        decision = platform.controller.decide(road.model, context.partition_key, SYSTEM)
        return dg.MaterializeResult(
            metadata={
                "decision": decision.decision,
                "reason": decision.reason,
                "approvals": table(
                    {
                        "approver": approval.approver,
                        "at": approval.at.isoformat(),
                        "reason": approval.reason,
                        "version": approval.version,
                        "evidence": approval.evidence,
                    }
                    for approval in decision.approvals
                ),
                "gate": verdict_table(decision.verdicts),
                HEAD_METADATA: head_anchor(platform.ledger),
            },
        )

    return promotion_decision
