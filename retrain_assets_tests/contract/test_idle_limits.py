"""A declared limit of gate offline that no value could break, or none could hold, is refused; one on record is read."""

from __future__ import annotations

from typing import Any

import pytest

from retrain_assets.contract import METRICS, Contract, ContractError
from retrain_assets.contract.idle_limits import idle_limits, range_of
from retrain_assets.contract.paths import in_module
from retrain_assets.gates import metric_value
from retrain_assets_tests.gates.conftest import CONTRACT

SLICES = {"columns": ["region"], "metric": "roc_auc", "max_regression": 1}


def offline(**changes: Any) -> Contract:
    gates = {**CONTRACT["gates"], "offline": {**CONTRACT["gates"]["offline"], **changes}}
    return Contract.model_validate({**CONTRACT, "gates": gates})


@pytest.mark.parametrize(
    ("changes", "where", "words"),
    [
        ({"metrics": {"roc_auc": {"min": 0}}}, "metrics.roc_auc.min", "0 could never fail: roc_auc is never below 0"),
        ({"metrics": {"roc_auc": {"min": 1.2}}}, "metrics.roc_auc.min", "1.2 could never pass: roc_auc is never above 1"),
        ({"metrics": {"roc_auc": {"max": 1}}}, "metrics.roc_auc.max", "1 could never fail"),
        ({"metrics": {"roc_auc": {"max_regression": 1}}}, "metrics.roc_auc.max_regression", "cannot fall by more"),
        ({"metrics": {"roc_auc": {"min_improvement": 1}}}, "metrics.roc_auc.min_improvement", "could never pass"),
        ({"metrics": {"matthews_corrcoef": {"min": -1}}}, "metrics.matthews_corrcoef.min", "never below -1"),
        ({"metrics": {"brier_score": {"max": 1}}}, "metrics.brier_score.max", "could never fail"),
        ({"metrics": {"log_loss": {"max": -0.1}}}, "metrics.log_loss.max", "could never pass"),
        ({"metrics": {"roc_auc": {"min": 0.6}}, "slices": SLICES}, "slices.max_regression", "cannot fall by more"),
        ({"metrics": {"roc_auc": {"min": 0.6}}, "backtests": {"metric": "roc_auc", "min": 0}}, "backtests.min", "never fail"),
        ({"metrics": {"roc_auc": {"min": 0.6}}, "backtests": {"metric": "roc_auc", "max_spread": 1}}, "backtests.max_spread", ""),
        ({"fairness": [{"column": "region", "max_tpr_difference": "100%"}]}, "fairness[0].max_tpr_difference", "cannot differ"),
        ({"stability": {"max_flips": 1}}, "stability.max_flips", "can flip"),
    ],
    ids=str,
)
def test_a_limit_that_decides_nothing_is_refused_where_it_is_declared(changes: dict[str, Any], where: str, words: str) -> None:
    slices = {"slices": None, "backtests": None} if "metrics" in changes else {}
    contract = offline(**{**slices, **changes})
    with pytest.raises(ContractError) as refused:
        in_module(contract, "shop")
    assert f"gates.offline.{where}" in str(refused.value)
    assert words in str(refused.value)
    assert Contract.model_validate(contract.to_json()) == contract


def test_limits_that_can_decide_stand() -> None:
    limits = {"log_loss": {"max": 5, "max_regression": 3}, "roc_auc": {"min": 0.01, "max_regression": 0.99}}
    assert not list(idle_limits(offline(metrics=limits, stability={"max_flips": 0.99})))
    assert in_module(offline(), "shop").features == "shop.features.build"


@pytest.mark.parametrize("metric", sorted({name for names in METRICS.values() for name in names}))
def test_the_range_of_a_metric_holds_its_best_value(metric: str) -> None:
    import numpy as np

    labels = np.array([0.0, 1.0, 1.0, 0.0])
    several = metric in METRICS["multiclass"] and metric not in METRICS["binary_classification"]
    best = metric_value(metric, labels, np.eye(2)[labels.astype(int)] if several else labels)
    assert best == pytest.approx(range_of(metric)[range_of(metric)[0] != 0.0 or range_of(metric)[1] == 1.0], abs=1e-9) or (
        metric == "brier_score" and best == 0.0
    )
