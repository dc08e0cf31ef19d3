"""Asset ``canary_report``: one look at champion against challenger on live traffic, and what follows from it."""

import dagster as dg

from retrain_assets.assets.faces import table, verdict_table
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import KINDS, Road
from retrain_assets.contract import Gate
from retrain_assets.experiment import MeasureResult, Plan
from retrain_assets.gates.canary import canary_gate
from retrain_assets.ledger import SYSTEM
from retrain_assets.release import ToggleStatus
from retrain_assets.reports.pictures import canary_pictures
from retrain_assets.serving.look import look_at


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
        kinds=KINDS["canary_report"],
        tags=road.tags,
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
        look = look_at(platform.home, toggle, platform.clock.now())
        digest = platform.evidence.put(look.to_json())
        verdicts = canary_gate(look, Plan.from_contract(toggle.terms))
        controller.record_gate(road.model, retrain, Gate.CANARY, verdicts, {"bundle": toggle.challenger.bundle, "report": digest})
        after = controller.follow(road.model, retrain, look.to_json(), digest)
        return dg.MaterializeResult(
            metadata={
                "stage": look.stage,
                "action": look.action.value,
                "reason": look.reason,
                "toggle": after.state.value,
                "plot": dg.MetadataValue.md(canary_pictures(platform.home, road.model, retrain)),
                "measures": table(_measure_row(result) for result in look.results),
                "health": table({"check": check.name, "holds": check.ok, "message": check.message} for check in look.health),
                "gate": verdict_table(verdicts),
                "evidence": str(platform.evidence.path(digest)),
            },
            data_version=dg.DataVersion(digest),
        )

    return canary_report


def _measure_row(result: MeasureResult) -> dict[str, object]:
    return {
        "measure": result.spec.name,
        "role": result.spec.role,
        "state": result.state.value,
        "champion": result.champion_mean,
        "challenger": result.challenger_mean,
        "difference": result.estimate,
        "lower": result.lower,
        "upper": result.upper,
        "units": result.n_champion + result.n_challenger,
    }
