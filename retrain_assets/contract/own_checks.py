"""What a team adds to the gates: checks and offline metrics of its own, each a Python function with parameters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, StringConstraints

from retrain_assets.contract.digests import canonical_json
from retrain_assets.contract.part import Part
from retrain_assets.contract.quantities import PythonPath

SHIPPED_CHECKS = frozenset(
    {
        *("schema_holds", "fresh_enough", "source_keeps_its_cadence", "enough_rows", "volume_is_steady", "days_are_complete"),
        *("missingness_within_limits", "missingness_is_steady", "categories_are_known", "both_classes_present"),
        *("label_balance_is_steady", "labels_arrive", "labels_are_mature", "columns_are_known_in_time", "keys_are_unique"),
        *("time_order_holds", "groups_are_separate", "no_single_feature_separates_label", "no_value_determines_label"),
        *("features_are_known_in_time", "features_match_serving", "no_rows_shared_across_split", "features_vary"),
        *("holdout_resembles_training", "training_succeeded", "artifact_loads", "predictions_survive_reload"),
        *("signature_matches_features", "refit_reproduces", "recorded_for_reproduction", "beats_baseline", "within_budget"),
        *("slices_hold", "calibrated", "decisions_are_stable", "backtests_hold", "latency_within_budget", "size_within_budget"),
        *("sample_ratio_holds", "outcomes_arrive", "units_stay_in_one_arm", "records_are_sound", "enough_units"),
        *("a_success_measure_wins", "full_weeks_seen", "worth_its_cost", "all_gates_passed", "verdicts_match_bundle"),
        *("approved_by_enough", "approved_by_each_role", "approver_is_not_the_launcher", "approvals_are_signed"),
        *("approval_is_fresh_and_for_this_evidence", "not_in_change_freeze", "toggle_awaits_approval", "policy_allows"),
    }
)
"""Names of the checks that ship with the product, for every contract."""

SHIPPED_BEGINNINGS = ("meets_", "not_worse_", "beats_champion_", "fairness_holds_", "wins_", "keeps_")
"""Beginnings of the names of checks that ship with the product and are named after a metric, a column or a measure."""

SCORED = ("labels", "scores", "decisions", "rows")
"""What the function of a metric may take, by these names; it takes at least one."""


def _free_name(name: str) -> str:
    if name in SHIPPED_CHECKS or name.startswith(SHIPPED_BEGINNINGS):
        raise ValueError(f"{name!r} is, or may become, the name of a check that ships with the product; take another name")
    return name


def _recordable(parameters: dict[str, Any]) -> dict[str, Any]:
    try:
        canonical_json(parameters)
    except ValueError as error:
        raise ValueError(f"{error}; write numbers, texts, truth values or lists of them") from error
    return parameters


CheckName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,62}$"), AfterValidator(_free_name)]
Parameters = Annotated[dict[str, JsonValue], AfterValidator(_recordable)]


class OwnCode(Part):
    """A Python function of the team, what it is called with, and which code it is."""

    function: PythonPath = Field(description="The function, by the file that defines it: .checks.seasons_are_covered.")
    parameters: Parameters = Field(default_factory=dict, description="Keyword arguments of the function.")
    code: str | None = Field(
        default=None,
        description="Digest of the function's file and of the files beside it that it imports; filled in when the contract is "
        "loaded, whatever stands here, so that verdicts of changed code are stale.",
    )


class OwnCheck(OwnCode):
    """One check of the team's own in a gate."""

    check: CheckName = Field(description="Name of the check: the rule it holds, in snake case, unique in all gates.")
    gate: Literal["data", "training", "offline", "canary"] = Field(description="The gate it stands in.")
    description: str | None = Field(default=None, description="The rule in words, for the Dagster UI.")

    @property
    def rule(self) -> str:
        """The rule in words."""
        return self.description or f"what {self.function} asks"


class OwnMetric(OwnCode):
    """One offline metric of the team's own."""

    direction: Literal["increase", "decrease"] = Field(description="Whether a larger or a smaller value is better.")
