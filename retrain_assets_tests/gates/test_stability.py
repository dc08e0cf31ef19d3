"""Stability: a candidate that decides many rows otherwise than the champion is noticed, in all and in every slice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from retrain_assets.contract import Contract, Outcome, Verdict, canonical_json
from retrain_assets.contract.offline import StabilityThreshold
from retrain_assets.gates import OfflineEvaluation, evaluate, offline_gate
from retrain_assets.gates.offline.stability import decision_stability, regression_stability
from retrain_assets.gates.offline.stability_check import decisions_are_stable
from retrain_assets_tests.gates.conftest import verdict
from retrain_assets_tests.gates.scored import Array, ContractWith, Holdout, judge


@pytest.fixture(scope="module")
def holdout() -> Holdout:
    return Holdout()


@pytest.fixture(scope="module")
def limited(contract_with: ContractWith) -> Contract:
    return contract_with({"gates.offline.stability": {"max_flips": 0.1, "max_slice_flips": 0.1}})


def stable(verdicts: list[Verdict]) -> Verdict:
    return verdict(verdicts, "decisions_are_stable")


def test_flips_are_counted_and_split_by_direction() -> None:
    champion, candidate = np.array([0.4, 0.4, 0.6, 0.6, 0.5, 0.6]), np.array([0.5, 0.4, 0.4, 0.7, 0.49, 0.5])
    found = decision_stability(candidate, champion, [], threshold=0.5, units=None, limit=None)
    (whole,) = found.flips
    assert (whole.rows, whole.share, whole.to_positive) == (6, pytest.approx(3 / 6), pytest.approx(1 / 6))
    assert found.mean_change == pytest.approx((0.1 + 0 + 0.2 + 0.1 + 0.01 + 0.1) / 6)
    assert found.shift == pytest.approx(found.mean_change / champion.std())


def test_too_many_flips_fail_with_their_direction(holdout: Holdout, contract_with: ContractWith) -> None:
    limited = contract_with({"gates.offline.stability": {"max_flips": 0.1}})
    candidate = np.clip(holdout.chance + 0.2, 0, 1)
    found = stable(judge(holdout, limited, candidate, holdout.chance))
    flipped = ((candidate >= 0.5) != (holdout.chance >= 0.5)).mean()
    assert found.outcome is Outcome.FAIL
    assert found.observed == pytest.approx(flipped)
    assert "to positive, 0 to negative" in found.message
    first = found.evidence["flips"][0]
    assert (first["rows_of"], first["flipped"], first["to_negative"]) == ("all rows", pytest.approx(flipped), 0.0)
    assert stable(judge(holdout, limited, holdout.chance, holdout.blurred(0.05))).passed
    assert canonical_json(found.to_json())


def test_a_slice_that_flips_beyond_chance_fails_though_all_rows_hold(holdout: Holdout, contract_with: ContractWith) -> None:
    contract = contract_with({"gates.offline.stability": {"max_flips": 0.3, "max_slice_flips": 0.1}})
    candidate = holdout.chance.copy()
    inside = holdout.region == "r01"
    candidate[inside] = 1 - candidate[inside]
    found = stable(judge(holdout, contract, np.where(inside & (holdout.chance < 0.2), 0.9, holdout.chance), holdout.chance))
    assert found.outcome is Outcome.FAIL
    assert "in 1 of 3 judged slices: region=r01 (0." in found.message
    assert [row["outcome"] for row in found.evidence["limits"]] == ["pass", "fail"]
    assert [row["judged"] for row in found.evidence["flips"]] == ["all", "beyond limit", "within limit", "within limit"]
    assert found.evidence["flips"][1]["rows_of"] == "region=r01"


def test_slices_beyond_the_limit_by_chance_hold(contract_with: ContractWith) -> None:
    """Every slice flips with a chance just at the limit: half of them lie beyond it, none is shown to."""
    offline = {
        "metrics": {"accuracy": {"min": 0.0}},
        "slices": {"columns": ["region"], "metric": "accuracy", "max_regression": 1, "min_support": 50},
        "stability": {"max_slice_flips": 0.1},
    }
    contract, failed = contract_with({"gates.offline": offline}), 0
    for seed in range(40):
        many = Holdout(30 * 100, seed=seed, regions=30)
        flip = many.draw.random(3000) < 0.1
        champion = np.where(many.chance >= 0.5, 0.8, 0.2)
        found = stable(judge(many, contract, np.where(flip, 1 - champion, champion), champion, resamples=50))
        assert "beyond limit, by chance" in [row["judged"] for row in found.evidence["flips"]]
        failed += not found.passed
    assert failed <= 6


def test_the_p_value_of_a_slice_is_the_exact_binomial_times_the_number_of_slices(holdout: Holdout) -> None:
    members = holdout.members()[:2]
    candidate = holdout.chance.copy()
    flip = members[0].rows[:180]
    candidate[flip] = np.where(holdout.chance[flip] >= 0.5, 0.1, 0.9)
    found = decision_stability(candidate, holdout.chance, members, threshold=0.5, units=None, limit=0.11)
    rows = len(members[0].rows)
    assert found.flips[1].adjusted_p_value == pytest.approx(2 * binom.sf(179, rows, 0.11))
    assert found.flips[2].adjusted_p_value == 1.0


def test_flips_of_one_unit_do_not_pass_for_many(holdout: Holdout) -> None:
    members, units = holdout.members()[:1], np.arange(4000) // 300
    flipped = (units == units[members[0].rows[0]]) | (units == 5)
    candidate = np.where(flipped, 1 - holdout.chance, holdout.chance)
    alone, together = (
        decision_stability(candidate, holdout.chance, members, threshold=0.5, units=given, limit=0.1).flips[1].adjusted_p_value
        for given in (None, units)
    )
    assert alone is not None
    assert together is not None
    assert alone < 0.01 < 0.1 < together


def test_a_first_champion_has_nothing_to_change_from(holdout: Holdout, limited: Contract) -> None:
    first = stable(judge(holdout, limited, holdout.chance, None, bootstrap=True))
    assert (first.outcome, first.message) == (Outcome.PASS, "no champion to compare with; bootstrap")
    assert stable(judge(holdout, limited, holdout.chance, None)).outcome is Outcome.NO_DATA


def test_without_limits_the_change_is_shown_and_not_judged(holdout: Holdout, contract: Contract) -> None:
    verdicts = judge(holdout, contract, holdout.blurred(0.5), holdout.chance)
    assert "decisions_are_stable" not in [each.check for each in verdicts]
    assert verdicts[0].evidence["flips"][0]["flipped"] > 0
    assert "flips" not in judge(holdout, contract, holdout.chance, None, bootstrap=True)[0].evidence


def test_slices_that_cannot_be_judged_are_no_pass(holdout: Holdout, contract_with: ContractWith) -> None:
    changes: dict[str, Any] = {"gates.offline.stability": {"max_slice_flips": 0.1}, "gates.offline.slices.min_support": 3000}
    assert stable(judge(holdout, contract_with(changes), holdout.chance, holdout.chance)).outcome is Outcome.NO_DATA
    bare = Holdout()
    bare.frame = bare.frame.drop("region")
    assert stable(judge(bare, contract_with(changes), bare.chance, bare.chance)).outcome is Outcome.ERROR


def regression(contract_with: ContractWith, labels: Array, candidate: Array, champion: Array) -> Verdict:
    contract = contract_with(
        {
            "task": "regression",
            "decision": None,
            "gates.offline": {"metrics": {"mean_absolute_error": {"max": 1e9}}, "stability": {"max_shift": 0.2}},
        }
    )
    frame = pl.DataFrame({"parcel": np.arange(len(labels)), "late": labels})
    return stable(offline_gate(evaluate(frame, candidate, champion, contract=contract, seed=1), contract))


def test_predictions_of_a_regression_move_in_units_of_the_label(contract_with: ContractWith) -> None:
    labels = np.random.default_rng(1).normal(50, 10, 500)
    near, far = regression(contract_with, labels, labels + 1, labels), regression(contract_with, labels, labels + 3, labels)
    assert (near.outcome, far.outcome) == (Outcome.PASS, Outcome.FAIL)
    assert far.observed == pytest.approx(3 / labels.std())
    flat = regression(contract_with, np.full(500, 7.1), labels, labels + 1)
    assert flat.outcome is Outcome.NO_DATA
    assert "does not vary" in flat.message


def test_huge_numbers_give_a_verdict_and_json() -> None:
    huge = regression_stability(np.array([1.0, 2.0]), np.full(2, 1e308), np.full(2, -1e308))
    evaluation = OfflineEvaluation("regression", 2, 0, False, True, 0.95, 1, 10, stability=huge)
    found = decisions_are_stable(evaluation, StabilityThreshold(max_shift=0.2))
    assert found.outcome is Outcome.ERROR
    assert canonical_json(found.to_json())


def test_another_decided_class_is_a_flip(contract_with: ContractWith) -> None:
    draw = np.random.default_rng(3)
    ours, theirs = draw.dirichlet([1, 1, 1], 300), draw.dirichlet([1, 1, 1], 300)
    found = decision_stability(ours, theirs, [], threshold=0.5, units=None, limit=None)
    assert found.flips[0].share == pytest.approx((ours.argmax(1) != theirs.argmax(1)).mean())
    assert found.flips[0].to_positive is None
    assert found.mean_change == pytest.approx(np.abs(ours - theirs).sum(1).mean() / 2)


def test_an_evaluation_of_before_is_no_pass(holdout: Holdout, limited: Contract) -> None:
    found = evaluate(holdout.frame, holdout.chance, holdout.chance, contract=limited, seed=1)
    assert stable(offline_gate(replace(found, stability=None), limited)).outcome is Outcome.NO_DATA
