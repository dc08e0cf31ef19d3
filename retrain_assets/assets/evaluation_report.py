"""Asset ``evaluation_report``: candidate against champion on the same held-out rows."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from retrain_assets.assets.faces import brief, evidence_metadata
from retrain_assets.assets.gate_checks import results_inside, specs_inside
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.requests import opponent
from retrain_assets.assets.road import Road
from retrain_assets.assets.stages import gate_of, metadata_of, retrain_stage
from retrain_assets.contract import Contract, Gate
from retrain_assets.gates import OfflineEvaluation
from retrain_assets.gates.offline.backtests import backtest_evidence
from retrain_assets.gates.offline.decision_threshold import decision_rows, decision_words
from retrain_assets.gates.offline.stability_check import stability_evidence
from retrain_assets.reports.pictures import evaluation_pictures


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
        kinds=road.kinds("evaluation_report"),
        tags=road.tags,
        pool=road.pool("evaluation_report"),
        check_specs=specs_inside(road, "evaluation_report"),
    )
    def evaluation_report(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:  # type: ignore[type-arg]
        retrain = context.partition_key
        stages = {name: platform.stage_result(road.model, retrain, name) for name in ("dataset", "features", "training")}
        champion = opponent(platform.controller.state(road.model), retrain)
        with retrain_stage(context, platform, road, "evaluation") as result:
            verdicts = result.verdicts_of(Gate.OFFLINE)
            subjects = {
                "dataset": stages["dataset"].outputs["dataset"]["digest"],
                "features": stages["features"].metadata["feature_pipeline"],
                "bundle": stages["training"].outputs["bundle"]["digest"],
                "limits": road.contract.limits_digest,
                **({"champion": champion.bundle} if champion is not None else {}),
                **platform.stage_record(result),
            }
            platform.controller.record_gate(road.model, retrain, Gate.OFFLINE, verdicts, subjects)
            return dg.MaterializeResult(
                metadata={
                    **gate_of(road, Gate.OFFLINE, verdicts),
                    "plots": dg.MetadataValue.md(evaluation_pictures(platform.home, road.model, retrain)),
                    **evaluation_tables(result.metadata["evaluation"], road.contract),
                    **metadata_of(result),
                },
                data_version=dg.DataVersion(result.outputs["evaluation"]["digest"]),
                check_results=results_inside(platform, road, retrain, "evaluation_report"),
            )

    return evaluation_report


def evaluation_tables(evaluation: Mapping[str, Any], contract: Contract) -> dict[str, Any]:
    """What an evaluation shows beside its verdicts: calibration, costs of the threshold, change of decisions, back-tests.

    Args:
        evaluation: the stage's ``evaluation``, as JSON.
        contract: metric and limits of the back-tests.
    """
    found, rule = OfflineEvaluation.from_json(evaluation), contract.gates.offline.backtests
    shown: dict[str, Any] = {"rows": found.rows, "rows_without_label": found.rows_without_label}
    if (calibration := found.calibration) is not None:
        numbers = {
            "mean prediction minus share that happened": calibration.bias,
            "expected calibration error (ECE)": calibration.ece,
            "slope (1 is right, below 1 too extreme)": calibration.slope,
            "intercept (0 is right)": calibration.intercept,
            "intercept with slope 1 (below 0 too high)": calibration.in_the_large,
        }
        shown["calibration"] = [{"measure": name, "value": value} for name, value in numbers.items()]
    if found.decision is not None:
        shown |= {
            "decision_threshold": decision_rows(found.decision),
            "decision_threshold_in_words": decision_words(found.decision),
        }
    if found.stability is not None:
        shown |= stability_evidence(found.stability)
    if rule is not None and found.backtests:
        metric = found.metric(rule.metric)
        spread = backtest_evidence(found.backtests, rule, metric.candidate if metric else None)
        shown["backtests"] = spread.pop("backtests")
        shown["backtest_spread"] = {name: brief(value) for name, value in spread.items() if value is not None}
    if found.latency_ms is not None:
        shown |= {"latency_ms": found.latency_ms, "latency_p95_ms": found.latency_p95_ms}
    if found.size_mb is not None:
        shown["size_mb"] = found.size_mb
    return evidence_metadata(shown)
