"""Asset ``canary_report``: one look at champion against challenger on live traffic, and what follows from it."""

from typing import Any

import dagster as dg

from retrain_assets.assets.canary_tables import canary_metadata
from retrain_assets.assets.place_faces import place_metadata
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import Road
from retrain_assets.contract import Gate, RetrainError
from retrain_assets.gates.canary_view import look_document
from retrain_assets.ledger import SYSTEM
from retrain_assets.release import ToggleStatus
from retrain_assets.release.anchoring import HEAD_METADATA, head_anchor
from retrain_assets.reports.canary import summary_of
from retrain_assets.reports.pictures import canary_pictures
from retrain_assets.serving.canary_view import canary_view
from retrain_assets.serving.look import Elsewhere, look_at, look_verdicts, training_hours


def canary_report_asset(road: Road) -> dg.AssetsDefinition:
    """Materialised again at every look, in the partition of the retrain it judges."""

    @dg.asset(
        key=road.key("canary_report"),
        deps=[road.key("evaluation_report"), road.key("live_traffic")],
        partitions_def=road.partitions,
        code_version=road.code_version,
        description="Champion against challenger on live traffic, stratified by stage, with anytime-valid intervals. "
        "The first materialisation arms the toggle; each later one is a look that steps, holds or rolls back.",
        group_name=road.model,
        owners=road.owners("canary_report"),
        kinds=road.kinds("canary_report"),
        tags=road.tags,
        pool=road.pool("canary_report"),
    )
    def canary_report(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
        retrain = context.partition_key
        controller = platform.controller
        toggle = controller.state(road.model).toggle_of(retrain) or controller.register_and_arm(
            road.contract, retrain, SYSTEM, "gates data, training and offline passed"
        )
        if toggle.state is ToggleStatus.ARMED:
            toggle = controller.step(toggle.name, SYSTEM, "enter the ramp")
        if not toggle.active:
            raise dg.Failure(
                description=f"{toggle.name} is {toggle.state.value}; only an active toggle can be looked at", allow_retries=False
            )
        if toggle.stage is None:
            raise dg.Failure(
                description=f"{toggle.name} is {toggle.state.value} before its first stage; resume it first", allow_retries=False
            )
        now = platform.clock.now()
        hours = training_hours(platform.home, controller.state(road.model).retrains[retrain])
        try:
            look = look_at(platform.home, toggle, now, training_hours=hours, elsewhere=elsewhere(platform, road, context))
        except RetrainError as error:
            raise dg.Failure(description=error.line, allow_retries=False) from error
        view = canary_view(platform.home, toggle, look, now, registry=platform.registry)
        document = look_document(look, view)
        digest = platform.evidence.put(document)
        verdicts = look_verdicts(document, toggle)
        subjects = {"bundle": toggle.challenger.bundle, "report": digest, "limits": toggle.terms.limits_digest}
        controller.record_gate(road.model, retrain, Gate.CANARY, verdicts, subjects)
        after = controller.follow(road.model, retrain, document, digest)
        summary = summary_of(document, toggle.contract["experiment"], toggle.ramp)
        return dg.MaterializeResult(
            metadata={
                **canary_metadata(summary, verdicts),
                "plots": dg.MetadataValue.md(canary_pictures(platform.home, road.model, retrain)),
                "toggle": after.state.value.replace("_", " "),
                "evidence": f"{digest[:19]}…",
                HEAD_METADATA: head_anchor(platform.ledger),
                **_counted_at(platform, road, context),
            },
            data_version=dg.DataVersion(digest),
        )

    return canary_report


def elsewhere(platform: Platform, road: Road, context: dg.AssetExecutionContext) -> Elsewhere | None:
    """Where the contract has exposures and outcomes counted and summed; None: in this process."""
    if not (road.is_on_databricks("canary") or road.is_on_spark("canary")):
        return None
    return Elsewhere(
        platform.place(road, "canary"),
        engine="spark" if road.is_on_spark("canary") else "single_node",
        run_id=context.run.run_id,
        context=context.op_execution_context,
    )


def _counted_at(platform: Platform, road: Road, context: dg.AssetExecutionContext) -> dict[str, Any]:
    """Where this look was counted and what that cost; nothing of one counted here, or that could not be counted."""
    if not road.is_on_databricks("canary"):
        return {}
    try:
        result = platform.stage_result(road.model, context.partition_key, "canary")
    except RetrainError:
        return {}
    return place_metadata(result) if result.run.get("dagster_run_id") == context.run.run_id else {}
