from __future__ import annotations

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import log_loss, mean_squared_error

from retrain_assets.compute.baselines import constant_scores, loss_of
from retrain_assets.compute.fitting import Labels
from retrain_assets.contract import Contract
from retrain_assets_tests.compute.conftest import Road

RNG = np.random.default_rng(5)


@pytest.fixture
def contract(road: Road) -> Contract:
    return Contract.model_validate(road.contract)


@pytest.mark.parametrize(("task", "classes"), [("binary_classification", (0, 1)), ("multiclass", ("a", "b", "c"))])
def test_the_baseline_of_a_classification_is_scikit_learns_prior(
    contract: Contract, task: str, classes: tuple[str | int, ...]
) -> None:
    known, unseen = (RNG.integers(0, len(classes), size) for size in (300, 200))
    made = contract.model_copy(update={"task": task})
    scores = constant_scores(made, Labels(known.astype(float), classes), len(unseen))
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((300, 1)), known).predict_proba(np.zeros((200, 1)))
    assert loss_of(made, Labels(unseen.astype(float), classes), scores) == pytest.approx(log_loss(unseen, dummy))


def test_the_baseline_of_a_regression_is_scikit_learns_mean(contract: Contract) -> None:
    known, unseen = RNG.normal(3, 2, 300), RNG.normal(4, 2, 200)
    made = contract.model_copy(update={"task": "regression"})
    dummy = DummyRegressor().fit(np.zeros((300, 1)), known).predict(np.zeros((200, 1)))
    loss = loss_of(made, Labels(unseen, ()), constant_scores(made, Labels(known, ()), 200))
    assert loss == pytest.approx(mean_squared_error(unseen, dummy))


def test_a_class_that_the_latest_rows_lack_is_not_called_impossible(contract: Contract) -> None:
    scores = constant_scores(contract, Labels(np.zeros(8), (0, 1)), 3)
    assert scores.tolist() == [0.1, 0.1, 0.1]
