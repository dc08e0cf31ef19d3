"""Thresholds of gate offline that could never do what they say are refused, with what to write instead."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from retrain_assets.contract.offline import FairnessThreshold, MetricThreshold, SliceThreshold


def test_a_metric_without_a_threshold_is_refused() -> None:
    with pytest.raises(ValidationError, match="a metric without a threshold would never fail"):
        MetricThreshold()


@pytest.mark.parametrize("limit", ["min", "max", "max_regression", "min_improvement"])
def test_each_limit_of_a_metric_may_be_set_alone(limit: str) -> None:
    assert MetricThreshold.model_validate({limit: 0}).model_dump(exclude_none=True) == {limit: 0}


def test_pairs_of_one_column_are_refused() -> None:
    with pytest.raises(ValidationError, match="pairs needs two columns, and there is only origin"):
        SliceThreshold(columns=["origin"], pairs=True, metric="roc_auc", max_regression=0.1)


def test_fairness_without_a_limit_is_refused_and_each_limit_may_be_set_alone() -> None:
    with pytest.raises(ValidationError, match="fairness without a threshold would never fail"):
        FairnessThreshold(column="origin")
    for name in FairnessThreshold.model_fields:
        if name.startswith("max_"):
            assert FairnessThreshold.model_validate({"column": "origin", name: 0.1}) is not None
