"""Which drift limits a contract may set, and what it is told about the others."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from retrain_assets.contract import Contract
from retrain_assets_tests.simulation import contract_with

REGRESSION: dict[str, Any] = {"task": "regression", "decision": None, "gates__offline": {"metrics": {"r2": {"min": 0}}}}
MULTICLASS: dict[str, Any] = {"task": "multiclass", "decision": None, "gates__offline": {"metrics": {"accuracy": {"min": 0}}}}
SLICES = {"columns": ["region"], "metric": "roc_auc", "max_regression": 0.1}


def limited(metric: str, **changes: Any) -> Contract:
    return contract_with(**changes, cadence__on_drift__limits={metric: 0.1})


def test_a_limit_of_segment_loss_needs_segments_or_slices() -> None:
    with pytest.raises(
        ValidationError, match=r"'segment_loss' needs segments.*set experiment\.segments or gates\.offline\.slices"
    ):
        limited("segment_loss")
    limited("segment_loss", experiment__segments=["region"])
    limited("segment_loss", gates__offline__slices=SLICES)


def test_a_metric_of_gate_offline_may_be_limited_by_its_estimate() -> None:
    limited("estimated_roc_auc")
    limited("estimated_accuracy", **MULTICLASS)


@pytest.mark.parametrize(
    ("metric", "changes", "words"),
    [
        ("estimated_r2", REGRESSION, "estimated from calibrated probabilities, and regression has none"),
        (
            "estimated_log_loss",
            {},
            r"estimated only where gates\.offline\.metrics has log_loss; write one of .*estimated_roc_auc",
        ),
        ("estimated_balanced_accuracy", {}, "balanced_accuracy cannot be estimated from scores alone"),
        ("estimated_auc", {}, "'auc' is not a metric of binary_classification"),
        ("estimated_roc_auc", MULTICLASS, "'roc_auc' is not a metric of multiclass"),
        ("feature_drift", {}, "is not a drift metric; write one of feature_psi, .*segment_loss, estimated_roc_auc, cost"),
        ("calibration_bias", MULTICLASS, "not defined for multiclass"),
    ],
    ids=str,
)
def test_a_limit_of_what_is_not_measured_is_refused_with_what_to_write(metric: str, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        limited(metric, **changes)
