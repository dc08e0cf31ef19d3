"""Back-tests hold and do not spread; the bundle is fast and small; a wrong threshold is told from a weak model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from retrain_assets.contract import Contract, Outcome, canonical_json
from retrain_assets.contract.offline import BacktestThreshold
from retrain_assets.gates import Backtest, OfflineEvaluation, evaluate, offline_gate
from retrain_assets.gates.offline.backtests import backtests_hold
from retrain_assets.gates.offline.decision_threshold import (
    cheapest_threshold,
    decision_of,
    decision_rows,
    decision_words,
    regrets,
)
from retrain_assets_tests.gates.conftest import verdict
from retrain_assets_tests.gates.scored import BACKTESTS, Array, ContractWith, Holdout, expit, judge, logit

VALUES = (0.62, 0.70, 0.66, 0.74)


def origins(values: tuple[float | None, ...] = VALUES) -> tuple[Backtest, ...]:
    return tuple(
        Backtest(f"2024-0{k}-01T00:00:00+00:00", f"2024-0{k}-15T00:00:00+00:00", 900, x) for k, x in enumerate(values, 1)
    )


@pytest.fixture(scope="module")
def sound(contract: Contract) -> OfflineEvaluation:
    holdout = Holdout()
    return evaluate(holdout.frame, holdout.chance, holdout.blurred(0.8), contract=contract, seed=7, backtests=BACKTESTS)


def held(sound: OfflineEvaluation, contract_with: ContractWith, limits: dict[str, float], values: Any = VALUES):
    window = {"train": "40d", "holdout": "5d", "backtests": len(values)}
    contract = contract_with({"gates.offline.backtests": {"metric": "roc_auc", **limits}, "window": window})
    return verdict(offline_gate(replace(sound, backtests=origins(values)), contract), "backtests_hold")


@pytest.mark.parametrize(
    ("limits", "outcome", "said"),
    [
        ({"min": 0.6}, Outcome.PASS, "is 0.62; required is at least 0.6"),
        ({"min": 0.65}, Outcome.FAIL, "worst back-test (2024-01-01 to 2024-01-15; 1 of 4 below the limit) is 0.62"),
        ({"max": 0.72}, Outcome.FAIL, "worst back-test (2024-04-01 to 2024-04-15; 1 of 4 above the limit) is 0.74"),
        ({"max_spread": 0.13}, Outcome.PASS, "is 0.12; required is at most 0.13"),
        ({"max_spread": 0.1}, Outcome.FAIL, "from 0.62 (2024-01-01 to 2024-01-15) to 0.74 (2024-04-01 to 2024-04-15), is 0.12"),
        ({"min": 0.65, "max_spread": 0.05}, Outcome.FAIL, "broken as well: smallest back-test"),
    ],
)
def test_every_origin_and_the_spread_hold_or_are_named(
    sound: OfflineEvaluation, contract_with: ContractWith, limits: dict[str, float], outcome: Outcome, said: str
) -> None:
    found = held(sound, contract_with, limits)
    assert found.outcome is outcome
    assert said in found.message


def test_the_spread_and_the_place_of_the_hold_out_are_shown(sound: OfflineEvaluation, contract_with: ContractWith) -> None:
    found = held(sound, contract_with, {"min": 0.6})
    assert found.evidence["mean"] == pytest.approx(np.mean(VALUES))
    assert found.evidence["standard_deviation"] == pytest.approx(np.std(VALUES, ddof=1))
    assert (found.evidence["smallest"], found.evidence["largest"]) == (0.62, 0.74)
    assert found.evidence["spread"] == pytest.approx(0.12)
    comparison = sound.metric("roc_auc")
    assert comparison is not None
    assert found.evidence["holdout"] == comparison.candidate
    away = (comparison.candidate - np.mean(VALUES)) / np.std(VALUES, ddof=1)
    assert found.evidence["holdout_lies"] == f"above all 4, {away:.1f} standard deviations above their mean"
    assert len(found.evidence["backtests"]) == 4
    assert canonical_json(found.to_json())


def test_one_back_test_alone_has_no_spread(sound: OfflineEvaluation) -> None:
    """A contract is refused for it; the check does not rest on that."""
    rule = BacktestThreshold(metric="roc_auc", max_spread=0.1)
    found = backtests_hold(replace(sound, backtests=origins((0.7,))), rule, 1)
    assert (found.outcome, found.observed) == (Outcome.NO_DATA, None)


def test_a_missing_or_infinite_back_test_is_no_pass(sound: OfflineEvaluation, contract_with: ContractWith) -> None:
    assert held(sound, contract_with, {"min": 0.1}, (0.7, None)).outcome is Outcome.NO_DATA
    assert held(sound, contract_with, {"max_spread": 0.1}, (0.7, float("inf"))).outcome is Outcome.ERROR


@pytest.mark.parametrize(("size", "outcome"), [(9.9, Outcome.PASS), (10.1, Outcome.FAIL), (None, Outcome.NO_DATA)])
def test_the_bundle_is_small_enough_or_fails(
    sound: OfflineEvaluation, contract_with: ContractWith, size: float | None, outcome: Outcome
) -> None:
    contract = contract_with({"gates.offline.max_size_mb": 10})
    assert verdict(offline_gate(replace(sound, size_mb=size), contract), "size_within_budget").outcome is outcome


def test_the_95th_percentile_of_latency_is_shown_and_not_judged(sound: OfflineEvaluation, contract: Contract) -> None:
    found = verdict(offline_gate(replace(sound, latency_ms=4.0, latency_p95_ms=40.0), contract), "latency_within_budget")
    assert found.passed
    assert found.evidence == {"median_ms": 4.0, "p95_ms": 40.0}


def test_a_wrong_threshold_is_told_from_a_weak_model() -> None:
    """Scores that are too high cost by the threshold and not by the model; noise costs by the model and not by the threshold."""
    holdout = Holdout(20_000, seed=4)
    champion = holdout.blurred(0.3)
    high = decision_of(holdout.late, expit(logit(champion) + 1.5), champion, 0.4)
    weak = decision_of(holdout.late, np.full(20_000, holdout.late.mean()), champion, 0.4)
    regret, champion_regret = regrets(high)
    assert champion_regret is not None
    assert high.holdout_cost == pytest.approx(high.champion_holdout_cost)
    assert high.holdout_threshold > 0.6
    assert regret > 5 * champion_regret
    assert weak.champion_holdout_cost is not None
    assert weak.holdout_cost - weak.champion_holdout_cost > 0.02
    assert regrets(weak)[0] == pytest.approx(0)
    assert weak.cost == pytest.approx(weak.trivial_cost)


def test_the_change_of_cost_is_the_models_plus_the_thresholds() -> None:
    holdout = Holdout(3000, seed=5)
    rows = decision_rows(decision_of(holdout.late, holdout.blurred(1.0), holdout.chance, 0.35))
    total, model, threshold = (row["change"] for row in rows[:3])
    assert total == pytest.approx(model + threshold)
    words = decision_words(decision_of(holdout.late, holdout.chance, holdout.chance, 0.35))
    assert words.endswith("Against the champion it is unchanged: the model unchanged, the threshold unchanged.")


def test_the_costs_are_shown_in_a_bootstrap_and_without_calibration(contract_with: ContractWith) -> None:
    contract = contract_with({"gates.offline": {"metrics": {"roc_auc": {"min": 0.6}}, "calibration": None}})
    holdout = Holdout()
    (found,) = judge(holdout, contract, holdout.chance, None, bootstrap=True)
    assert [row["champion"] for row in found.evidence["decision"]] == [None] * 5
    assert "A row costs" in found.evidence["decision_in_words"]
    with_champion = judge(holdout, contract, holdout.chance, holdout.blurred(0.5))[0].evidence["decision"]
    assert all(row["champion"] is not None for row in with_champion)


def test_every_threshold_is_tried() -> None:
    """Against each score itself and one above all, one by one."""
    draw = np.random.default_rng(9)
    for _ in range(30):
        labels, scores = draw.integers(0, 2, 40).astype(bool), draw.integers(0, 12, 40) / 12

        def cost(at: float, labels: Array = labels, scores: Array = scores) -> float:
            return float((0.3 * ((scores >= at) & ~labels) + 0.7 * ((scores < at) & labels)).mean())

        found, lowest, here = cheapest_threshold(labels, scores, 0.3)
        assert lowest == pytest.approx(min(cost(at) for at in (*scores, 2.0)))
        assert cost(2.0 if found == 1.0 else found) == pytest.approx(lowest)
        assert here == pytest.approx(cost(0.3))
