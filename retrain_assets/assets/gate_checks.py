"""The gates as Dagster asset checks. A check only translates a recorded verdict; nothing is judged here."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import dagster as dg

from retrain_assets.assets.faces import check_result
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.road import FALLBACKS, Road
from retrain_assets.contract import Contract, Gate, Outcome, Verdict
from retrain_assets.release import Ending

VerdictReader = Callable[[Platform, str], Sequence[Verdict]]


def gate_checks(road: Road) -> list[dg.AssetChecksDefinition]:
    """The five gates of one model; the data gate stands on two assets."""
    contract = road.contract

    def recorded(gate: Gate) -> VerdictReader:
        def read(platform: Platform, retrain: str) -> Sequence[Verdict]:
            return verdicts_with_evidence(platform, road.model, retrain, gate)

        return read

    def promotion(platform: Platform, retrain: str) -> Sequence[Verdict]:
        return promotion_verdicts(platform, road, retrain)

    return [
        gate_check(road, Gate.DATA, "dataset", dataset_checks(contract), recorded(Gate.DATA)),
        gate_check(road, Gate.DATA, "feature_snapshot", feature_checks(contract), recorded(Gate.DATA)),
        gate_check(road, Gate.TRAINING, "candidate_model", training_checks(contract), recorded(Gate.TRAINING)),
        gate_check(road, Gate.OFFLINE, "evaluation_report", offline_checks(contract), recorded(Gate.OFFLINE)),
        gate_check(road, Gate.CANARY, "canary_report", canary_checks(contract), recorded(Gate.CANARY)),
        gate_check(road, Gate.PROMOTION, "promotion_decision", promotion_checks(contract), promotion, blocking=False),
    ]


def verdicts_with_evidence(platform: Platform, model: str, retrain: str, gate: Gate) -> list[Verdict]:
    """The latest recorded verdicts of a gate, tables included; none when nothing is recorded."""
    state = platform.controller.state(model).retrains.get(retrain)
    record = state.verdicts.get(gate) if state is not None else None
    if record is None:
        return []
    evidence = platform.evidence
    stored = {digest: evidence.get(digest) for digest in {check.evidence for check in record.checks.values()}}
    found: list[Verdict] = []
    for name, check in record.checks.items():
        full = next(value for value in stored[check.evidence]["verdicts"] if value["check"] == name)
        found.append(Verdict.from_json(full))
    return found


def promotion_verdicts(platform: Platform, road: Road, retrain: str) -> Sequence[Verdict]:
    """The verdicts of gate promotion; a first champion has none, its bootstrap approval stands in for them."""
    state = platform.controller.state(road.model).retrains.get(retrain)
    if state is not None and state.ended is Ending.BOOTSTRAPPED:
        message = "a first champion has nothing to be compared with; its bootstrap approval stands in for this gate"
        return [Verdict(Gate.PROMOTION, name, Outcome.NO_DATA, message) for name in promotion_checks(road.contract)]
    return platform.controller.promotion_verdicts(road.model, retrain)


def gate_check(
    road: Road, gate: Gate, asset: str, names: Mapping[str, str], read: VerdictReader, *, blocking: bool = True
) -> dg.AssetChecksDefinition:
    """The checks of one gate on one asset as one step.

    Args:
        road: the model's names.
        gate: the gate.
        asset: the asset the checks stand on.
        names: check name to the rule it holds, in words.
        read: gives the verdicts recorded for a retrain. A declared check without a verdict is an error, never a pass.
        blocking: whether later assets of the same run wait for the gate.
    """
    owner, fallback = road.gate_owner(gate), FALLBACKS[gate]
    specs = [
        dg.AssetCheckSpec(
            name,
            asset=road.key(asset),
            blocking=blocking,
            partitions_def=road.partitions,
            description=f"Gate {gate.value}: {rule}. Owner {owner}; if it does not hold: {fallback}.",
            metadata={"gate": gate.value, "owner": owner, "fallback": fallback},
        )
        for name, rule in names.items()
    ]

    @dg.multi_asset_check(name=f"{road.model}__gate_{gate.value}__{asset}", specs=specs)
    def hold_gate(context: dg.AssetCheckExecutionContext, platform: Platform) -> Iterator[dg.AssetCheckResult]:
        found = {verdict.check: verdict for verdict in read(platform, context.partition_key)}
        for name in names:
            verdict = found.get(name) or Verdict(
                gate, name, Outcome.ERROR, f"check {name} gave no verdict for this retrain; materialise {asset} again"
            )
            yield check_result(verdict, asset=road.key(asset), owner=owner, fallback=fallback)

    return hold_gate


def dataset_checks(contract: Contract) -> dict[str, str]:
    """Checks of gate 1 on the data set."""
    names = {
        "schema_holds": "every row fits the schema of the source",
        "fresh_enough": "the newest row is young enough at the cut-off",
        "enough_rows": "training and hold-out windows have enough labelled rows",
        "volume_is_steady": "rows a day in the hold-out are like those in training",
        "missingness_within_limits": "no column has more nulls than the contract allows",
        "keys_are_unique": "no unit and moment stands twice",
        "time_order_holds": "no hold-out row lies before or inside the training window",
        "labels_are_mature": "no label was known only after the cut-off",
    }
    return names | {"both_classes_present": "the label varies in both windows"}


def feature_checks(contract: Contract) -> dict[str, str]:
    """Checks of gate 1 on the feature snapshot."""
    return {
        "no_single_feature_separates_label": "no feature alone separates the label suspiciously well",
        "features_are_known_in_time": "no feature changes when what is known only later is blanked out",
        "no_rows_shared_across_split": "hold-out rows do not stand in the training window",
        "features_vary": "no feature is empty",
    }


def training_checks(contract: Contract) -> dict[str, str]:
    """Checks of gate 2."""
    return {
        "training_succeeded": "the fit ended without an error",
        "artifact_loads": "the bundle loads from its files",
        "predictions_survive_reload": "the reloaded bundle predicts the same",
        "refit_reproduces": "the same data and seed give the same model",
        "beats_baseline": "the model beats a constant prediction",
        "within_budget": "training took no longer than the contract allows",
    }


def offline_checks(contract: Contract) -> dict[str, str]:
    """Checks of gate 3, as far as the contract sets thresholds."""
    limits = contract.gates.offline
    names: dict[str, str] = {}
    for metric, threshold in limits.metrics.items():
        if threshold.min is not None or threshold.max is not None:
            names[f"meets_{metric}"] = f"{metric} on the hold-out meets its absolute limit"
        if threshold.max_regression is not None:
            names[f"not_worse_{metric}"] = f"{metric} is not worse than the champion's by more than the margin"
        if threshold.min_improvement is not None:
            names[f"beats_champion_{metric}"] = f"{metric} is better than the champion's by the required amount"
    if limits.slices is not None:
        names["slices_hold"] = "no slice is worse than with the champion by more than the margin"
    for fairness in limits.fairness:
        names[f"fairness_holds_{fairness.column}"] = f"groups of {fairness.column} are treated alike within the limits"
    if limits.calibration is not None:
        names["calibrated"] = "predicted probabilities match what happened"
    if limits.backtests is not None:
        names["backtests_hold"] = "every rolling-origin back-test meets its limit"
    if limits.max_latency_ms is not None:
        names["latency_within_budget"] = "one row is scored fast enough"
    return names


def canary_checks(contract: Contract) -> dict[str, str]:
    """Checks of gate 4."""
    names = {
        "sample_ratio_holds": "units arrived in the arms in the shares the toggle set",
        "outcomes_arrive": "matured exposures have outcomes",
        "units_stay_in_one_arm": "no unit met both arms",
        "records_are_sound": "times and counts of exposures and outcomes make sense",
        "enough_units": "the stage has seen enough matured units",
    }
    names |= {f"wins_{name}": f"the challenger is shown better on {name}" for name in contract.experiment.success}
    return names | {f"keeps_{name}": f"the challenger is shown not to harm {name}" for name in contract.experiment.guardrails}


def promotion_checks(contract: Contract) -> dict[str, str]:
    """Checks of gate 5."""
    return {
        "all_gates_passed": "gates data, training, offline and canary are recorded as passed",
        "verdicts_match_bundle": "every verdict was given for the data, features and bundle that would go live",
        "approved_by_enough": "enough approvers said yes",
        "approver_is_not_the_launcher": "duties are separated",
        "approval_is_fresh_and_for_this_evidence": "approvals are valid and name the latest evidence",
        "not_in_change_freeze": "no change freeze is in force",
        "toggle_awaits_approval": "the toggle has finished its ramp",
    }
