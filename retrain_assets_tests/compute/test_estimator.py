from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from retrain_assets.compute import estimator as module
from retrain_assets.compute import side_by_side
from retrain_assets.compute.estimator import (
    complete_params,
    estimator_version,
    fits_at_once,
    keyword_arguments,
    repeatable_draws,
    room_beside_a_fit,
    threads_of,
)
from retrain_assets.contract import Trainer, canonical_json
from retrain_assets_tests.compute.parcels import HERE

LIGHTGBM, FOREST, BOOSTING = (
    "lightgbm.LGBMClassifier",
    "sklearn.ensemble.RandomForestClassifier",
    "sklearn.ensemble.HistGradientBoostingClassifier",
)


def trainer(estimator: str, **params: Any) -> Trainer:
    return Trainer(estimator=estimator, params=params, seed=7)


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: 8)
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: 8)


@pytest.mark.parametrize(
    ("estimator", "params", "threads", "at_once", "room"),
    [
        (LIGHTGBM, {}, 2, 4, True),
        (LIGHTGBM, {"n_jobs": 1}, 1, 8, True),
        (LIGHTGBM, {"nthread": 3}, 3, 2, True),
        (LIGHTGBM, {"num_threads": 0}, 8, 1, False),
        (FOREST, {}, 1, 8, True),
        (FOREST, {"n_jobs": -1}, 8, 1, False),
        (BOOSTING, {}, 8, 1, False),
        (FOREST, {"random_state": None}, 1, 1, True),
        (f"{HERE}.Global", {}, 1, 1, True),
    ],
)
def test_fits_run_at_once_as_far_as_their_threads_leave_cores_and_no_global_generator_is_shared(
    estimator: str, params: dict[str, Any], threads: int, at_once: int, room: bool
) -> None:
    made = trainer(estimator, **params)
    assert (threads_of(made), fits_at_once(made), room_beside_a_fit(made)) == (threads, at_once, room)


def test_the_threads_a_contract_sets_by_any_name_are_the_only_ones_set() -> None:
    assert "n_jobs" not in keyword_arguments(trainer(LIGHTGBM, nthread=3))
    assert keyword_arguments(trainer(LIGHTGBM))["n_jobs"] == 2


@pytest.mark.parametrize("estimator", [LIGHTGBM, FOREST, BOOSTING, f"{HERE}.Restless"])
def test_parameters_are_recorded_with_defaults_and_the_same_bytes_each_time(estimator: str) -> None:
    found = complete_params(trainer(estimator))
    assert found["random_state"] == 7
    assert canonical_json(found) == canonical_json(complete_params(trainer(estimator)))
    if estimator == FOREST:
        assert (found["max_features"], found["min_samples_leaf"]) == ("sqrt", 1)


def test_what_json_cannot_hold_is_recorded_by_name() -> None:
    plain = module._plain({"missing": float("nan"), "link": random.gauss, "kind": int, "size": np.int64(3), "own": object()})
    assert plain == {"missing": "nan", "link": "random.Random.gauss", "kind": "builtins.int", "size": 3, "own": "builtins.object"}


def test_the_estimators_version_is_its_packages_and_of_own_code_the_sources() -> None:
    assert estimator_version(trainer(FOREST)).startswith("scikit-learn 1.")
    assert estimator_version(trainer(f"{HERE}.Restless")).partition(":")[0].endswith("source sha256")


def test_global_generators_are_seeded_for_an_unknown_estimator_and_as_they_were_afterwards() -> None:
    draws = []
    for _ in range(2):
        elsewhere = (random.random(), np.random.random())
        before = (random.getstate(), np.random.get_state()[1].tolist())
        with repeatable_draws(trainer(f"{HERE}.Global")):
            draws.append((random.random(), np.random.random()))
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before
        assert not set(elsewhere) & set(draws[-1])
    assert draws[0] == draws[1]
