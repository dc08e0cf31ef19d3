"""What a contract may not say: rules that could never fail, never pass, or that serving and analysis could not carry out."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from retrain_assets_tests.simulation import contract_with

FAIR = {"column": "region", "max_tpr_difference": 0.1}
REGRESSION: dict[str, Any] = {"task": "regression", "decision": None}
MULTICLASS: dict[str, Any] = {"task": "multiclass", "decision": None}


def guardrail(**changes: Any) -> dict[str, Any]:
    return {"complaint": {"direction": "decrease", "margin": 0.1, **changes}}


def success(**changes: Any) -> dict[str, Any]:
    return {"cost": {"direction": "decrease", **changes}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"experiment__ramp": [0.001, 50, 100]}, "stage 0.001 is finer than routing can divide"),
        ({"experiment__ramp": [12.341, 12.342, 100]}, "finer than routing can divide"),
        ({"experiment__cohort": {"device.os": {"in": ["ios"]}}}, "attribute 'device.os' cannot be looked up"),
        ({"experiment__cohort": {"targetingKey": {"in": ["a"]}}}, "cannot be looked up in a flag document"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_the_flag_document_cannot_say_is_refused_before_anything_is_armed(changes: dict[str, Any], words: str) -> None:
    """Recorded in a toggle it would keep the flag document of every model from being written, a rollback's too."""
    with pytest.raises(ValidationError, match=words):
        contract_with(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"gates__offline__slices": {"columns": ["region", "account"], "metric": "roc_auc", "max_regression": 0.1}},
        {"gates__offline__fairness": [{**FAIR, "column": "account"}]},
        {"experiment__segments": ["account"]},
        {"experiment__cohort": {"account": {"in": ["a000001"]}}},
    ],
    ids=lambda value: next(iter(value)),
)
def test_the_unit_is_no_slice_segment_or_cohort_as_its_ids_would_stand_in_records(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="is the unit, whose ids must not stand in records"):
        contract_with(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"experiment__max_missing_outcomes": 20}, "less than or equal to 1"),
        ({"gates__data__max_missing": {"tenure": 10}}, "less than or equal to 1"),
        ({"gates__data__max_duplicate_share": 5}, "less than or equal to 1"),
        ({"gates__data__max_volume_change": 0}, "greater than 0"),
        ({"gates__offline__fairness": [{"column": "region", "max_tpr_difference": 35}]}, "less than or equal to 1"),
        ({"experiment__guardrails": guardrail(margin=math.inf)}, "finite"),
        ({"cadence__on_drift__limits": {"calibration_bias": math.nan}}, "finite"),
        ({"cadence__min_interval": "0d"}, "must be longer than 0"),
        ({"approval": {"approvers": ["ruth@x.org", "Ruth@x.org"], "required": 2, "valid_for": "2d"}}, "only 1 approvers"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_rule_that_could_never_fail_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        contract_with(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"source__label_delay": "10d", "gates__data__max_age": "20d"}, "window.holdout must be longer than source.label_delay"),
        ({"window": {"train": "40d", "holdout": "0d", "backtests": 2}}, "must be longer than 0"),
        ({"approval__valid_for": "0d"}, "must be longer than 0"),
        ({"experiment__outcome_window": "0d"}, "must be longer than 0"),
        ({"experiment__cohort": {"region": {"in": []}}}, "region: nothing is among no values"),
        ({"experiment__cohort": {"tenure": {"at_least": 5, "below": 5}}}, "no number is at least 5 and below 5"),
        ({"experiment__success": success(min_effect="100%")}, "nothing decreases by 100 % or more"),
        ({"gates__offline__metrics": {"roc_auc": {"min": 0.9, "max": 0.1}}}, "no value could pass"),
        (
            {"gates__offline__backtests": {"metric": "roc_auc", "max_spread": 0.1}, "window__backtests": 1},
            "max_spread needs two back-tests",
        ),
        ({"gates__offline__fairness": [FAIR, FAIR]}, "region stands there twice"),
        ({"gates__offline__slices": {"columns": [], "metric": "roc_auc", "max_regression": 0.1}}, "at least 1 item"),
        (REGRESSION | {"gates__offline": {"metrics": {"r2": {"min": 0}}, "fairness": [FAIR]}}, "judged on binary decisions"),
        (MULTICLASS | {"gates__offline": {"metrics": {"accuracy": {"min": 0}}}}, "is not defined for multiclass"),
        (
            {"experiment__success": success(column="latency_ms"), "cadence__on_drift__limits": {"cost": 0.1}},
            "is not read from an outcome",
        ),
        ({"cadence__cron": "0 0 6 * * *"}, "it has 6 fields"),
        ({"source__known_after_prediction": ["seen_at"]}, "seen_at is known when the prediction is made"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_rule_that_could_never_pass_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        contract_with(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"experiment__outcomes": ["cost", "complaint", "score"]}, "outcomes: score is a column every record has"),
        ({"experiment__outcomes": ["cost", "complaint", "latency_ms"]}, "outcomes: latency_ms is a column every record has"),
        ({"experiment__outcomes": ["cost", "complaint", "cost"]}, "cost stands there twice"),
        ({"experiment__segments": ["stage"]}, "segments: stage is a column every record has"),
        ({"experiment__segments": ["region", "region"]}, "region stands there twice"),
        ({"experiment__segments": ["cost"]}, "cost is an outcome, which nobody knows when a unit is routed"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_columns_of_records_that_would_be_mistaken_for_each_other_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        contract_with(**changes)
