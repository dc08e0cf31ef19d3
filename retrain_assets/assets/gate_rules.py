"""The rule each gate check holds, in words: what the Dagster UI says about a check before it has run."""

from collections.abc import Mapping

from retrain_assets.contract import Contract, Gate

DATASET_RULES: Mapping[str, str] = {
    "schema_holds": "every row fits the schema of the source",
    "fresh_enough": "the newest row is young enough at the cut-off",
    "source_keeps_its_cadence": "no time without a row is far longer than the longest in training",
    "enough_rows": "training and hold-out windows have enough labelled rows",
    "volume_is_steady": "rows a day in the hold-out are like those in training and in earlier retrains",
    "days_are_complete": "no day of the hold-out has far more or fewer rows than its weekday in training",
    "missingness_within_limits": "no column has more nulls than the contract allows",
    "missingness_is_steady": "no column has far more nulls than in training and in earlier retrains",
    "categories_are_known": "text columns have the categories they had in training, no new ones and none vanished",
    "both_classes_present": "the label varies in both windows",
    "label_balance_is_steady": "the label is distributed as in training and in earlier retrains",
    "labels_arrive": "rows that are old enough to have a label have one",
    "labels_are_mature": "no label was known only after the cut-off",
    "columns_are_known_in_time": "no column is empty until the label is known, but for those declared as known later",
    "keys_are_unique": "no unit and moment stands twice",
    "time_order_holds": "no hold-out row lies before or inside the training window",
}
"""Checks of gate 1 on the data set, for every contract."""

FEATURE_RULES: Mapping[str, str] = {
    "no_single_feature_separates_label": "no feature alone separates the label suspiciously well",
    "no_value_determines_label": "no value of a feature agrees with the label beyond what chance does",
    "features_are_known_in_time": "no feature changes when outcomes not known at its row's time are taken away",
    "features_match_serving": "a single request gets the features, names and types that training had",
    "no_rows_shared_across_split": "hold-out rows do not stand in the training window",
    "features_vary": "no feature is empty, constant, stuck, infinite or an identifier",
    "holdout_resembles_training": "no feature moved farther from training than training moves from itself",
}
"""Checks of gate 1 on the feature snapshot."""

TRAINING_RULES: Mapping[str, str] = {
    "training_succeeded": "the fit ended without an error and every hold-out row has a finite score",
    "artifact_loads": "the bundle loads from its files and scores in a clean process",
    "predictions_survive_reload": "the bundle loaded in a clean process predicts the same",
    "signature_matches_features": "bundle and MLflow signature name the features of the snapshot, in order and of their kinds",
    "refit_reproduces": "the same data and seed give the same model files, or the same scores and metrics",
    "recorded_for_reproduction": "the manifest holds all that is needed to make the model again",
    "beats_baseline": "the model beats a constant prediction and the last known rate",
    "within_budget": "training took no more time, memory and money than the contract allows",
}
"""Checks of gate 2, for every contract."""

PROMOTION_RULES: Mapping[str, str] = {
    "all_gates_passed": "gates data, training, offline and canary are recorded as passed",
    "verdicts_match_bundle": "every verdict was given for the data, features and bundle that would go live",
    "approved_by_enough": "enough approvers said yes",
    "approved_by_each_role": "each role the contract names said yes",
    "approver_is_not_the_launcher": "duties are separated: somebody without a stake approved",
    "approval_is_fresh_and_for_this_evidence": "approvals are valid and name the latest evidence",
    "approvals_are_signed": "approvals are signed with the approvers' keys, where the contract names keys",
    "not_in_change_freeze": "no change freeze is in force",
    "toggle_awaits_approval": "the toggle has finished its ramp",
    "policy_allows": "the contract's policy said yes, where it asks one",
}
"""Checks of gate 5."""


def dataset_rules(contract: Contract) -> dict[str, str]:
    """Checks of gate 1 on the data set, as far as the contract asks for them."""
    names = dict(DATASET_RULES)
    if (group := contract.source.group) is not None:
        names["groups_are_separate"] = f"no {group} stands in both windows"
    return names | own_rules(contract, Gate.DATA)


def training_rules(contract: Contract) -> dict[str, str]:
    """Checks of gate 2."""
    return {**TRAINING_RULES, **own_rules(contract, Gate.TRAINING)}


def own_rules(contract: Contract, gate: Gate) -> dict[str, str]:
    """The team's own checks of a gate."""
    return {own.check: own.rule for own in contract.gates.own_in(gate.value)}


def offline_rules(contract: Contract) -> dict[str, str]:
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
        names["slices_hold"] = "no slice is worse than with the champion by more than the margin, beyond chance"
    for fairness in limits.fairness:
        names[f"fairness_holds_{fairness.column}"] = f"groups of {fairness.column} are treated alike within the limits"
    if limits.calibration is not None:
        names["calibrated"] = "predicted probabilities match what happened, on all rows and in slices"
    if limits.stability is not None:
        what = "predictions stay near" if contract.task == "regression" else "few decisions differ from"
        names["decisions_are_stable"] = f"{what} the champion's on the same rows"
    if limits.backtests is not None:
        names["backtests_hold"] = "rolling-origin back-tests meet their limits"
    if limits.max_latency_ms is not None:
        names["latency_within_budget"] = "one row is scored fast enough"
    if limits.max_size_mb is not None:
        names["size_within_budget"] = "the bundle is small enough"
    return names | own_rules(contract, Gate.OFFLINE)


def canary_rules(contract: Contract) -> dict[str, str]:
    """Checks of gate 4."""
    names = {
        "sample_ratio_holds": "units arrived in the arms in the shares the toggle set",
        "outcomes_arrive": "matured exposures have outcomes",
        "units_stay_in_one_arm": "no unit met both arms",
        "records_are_sound": "times and counts of exposures and outcomes make sense",
        "enough_units": "the stage has seen enough matured units",
    }
    experiment = contract.experiment
    if len(experiment.success) == 1:
        names |= {f"wins_{name}": f"the challenger is shown better on {name}" for name in experiment.success}
    else:
        names["a_success_measure_wins"] = "the challenger is shown better on at least one success measure"
        names |= {f"not_worse_{name}": f"the challenger is not shown worse on {name}" for name in experiment.success}
    for name, guardrail in experiment.guardrails.items():
        names[f"keeps_{name}"] = f"the challenger is shown not to harm {name}"
        if guardrail.segment_margin is not None:
            names[f"keeps_{name}_in_segments"] = f"the challenger is shown not to harm {name} in any segment that is large enough"
    if experiment.full_weeks:
        names["full_weeks_seen"] = "matured traffic covers the weekly cycles asked for"
    if contract.economics is not None:
        names["worth_its_cost"] = "the net value is not shown to be below what a promotion must bring"
    return names | own_rules(contract, Gate.CANARY)
