"""Fairness: rates of groups as fairlearn has them, bounds of small groups, and verdicts that allow for chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    equalized_odds_difference,
    mean_prediction,
    selection_rate,
    true_positive_rate,
)
from scipy.stats import binomtest

from retrain_assets.contract import Contract, Outcome, Verdict, canonical_json
from retrain_assets.contract.offline import FairnessThreshold
from retrain_assets.gates import OfflineEvaluation, evaluate, offline_gate
from retrain_assets.gates.offline.fairness import GroupRates
from retrain_assets.gates.offline.fairness_check import fairness_holds
from retrain_assets.gates.offline.fairness_intervals import difference_between, rate_bounds
from retrain_assets_tests.gates.conftest import verdict
from retrain_assets_tests.gates.groups import group_rates
from retrain_assets_tests.gates.scored import Array, ContractWith, Holdout

Oracles = Callable[[str], list[dict[str, Any]]]
LIMITS: dict[str, float] = {
    "max_selection_rate_difference": 0.2,
    "max_tpr_difference": 0.25,
    "max_fpr_difference": 0.2,
    "max_equalized_odds_difference": 0.25,
    "max_calibration_difference": 0.1,
}


@pytest.fixture(scope="module")
def all_limits(contract_with: ContractWith) -> Contract:
    return contract_with({"gates.offline.fairness": [{"column": "region", **LIMITS}]})


def judged(contract: Contract, holdout: Holdout, candidate: Array) -> Verdict:
    found = evaluate(holdout.frame, candidate, None, contract=contract, seed=1, bootstrap=True)
    return verdict(offline_gate(found, contract), "fairness_holds_region")


def rates_of(counts: dict[str, tuple[int, int]]) -> OfflineEvaluation:
    """An evaluation whose groups have so many rows and so many of them selected; nothing else in it."""
    groups = tuple(
        GroupRates(name, rows, rows // 2, hits / rows, hits / rows, hits / rows) for name, (rows, hits) in counts.items()
    )
    return OfflineEvaluation("binary_classification", 1, 0, True, False, 0.95, 1, 1, fairness={"region": groups})


def selection_limit(limit: float, min_support: int = 10) -> FairnessThreshold:
    return FairnessThreshold(column="region", max_selection_rate_difference=limit, min_support=min_support)


def test_group_rates_and_their_differences_are_those_of_the_reference_vectors(oracles: Oracles) -> None:
    for case in oracles("calibration_fairness"):
        labels, scores = np.array(case["labels"]), np.array(case["scores"])
        rates = group_rates(labels, scores, case["groups"], case["threshold"])
        assert [group.group for group in rates] == sorted(case["by_group"])
        for group in rates:
            expected = case["by_group"][group.group]
            assert (group.rows, group.positives) == (expected["n"], expected["positives"])
            assert group.selection_rate == pytest.approx(expected["selection_rate"], abs=1e-12)
            assert group.fpr == pytest.approx(expected["fpr"], abs=1e-12)
            assert group.tpr == (pytest.approx(expected["tpr"], abs=1e-12) if group.positives else None)
        differences = {rate: difference_between(rates, rate, 0.95) for rate in ("selection_rate", "tpr", "fpr")}
        estimates = {rate: found.estimate for rate, found in differences.items() if found is not None}
        assert estimates["selection_rate"] == pytest.approx(case["demographic_parity_difference"], abs=1e-12)
        if case["group"] != "group_without_positives":
            assert estimates["tpr"] == pytest.approx(case["equal_opportunity_difference"], abs=1e-12)
            odds = max(estimates["tpr"], estimates["fpr"])
            assert odds == pytest.approx(case["equalized_odds_difference"], abs=1e-12)


def test_the_verdict_states_fairlearns_own_differences(all_limits: Contract) -> None:
    holdout = Holdout(rows=3000, regions=5)
    found = judged(all_limits, holdout, holdout.blurred(0.5))
    decisions = holdout.blurred(0.5) >= 0.5
    rows = {row["difference"]: row for row in found.evidence["differences"]}
    given = {"y_true": holdout.late, "y_pred": decisions, "sensitive_features": holdout.region}
    assert rows["selection rate"]["observed"] == pytest.approx(demographic_parity_difference(**given))
    assert rows["true or false positive rate (equalised odds)"]["observed"] == pytest.approx(equalized_odds_difference(**given))
    assert rows["true positive rate"]["observed"] == pytest.approx(MetricFrame(metrics=true_positive_rate, **given).difference())
    means = MetricFrame(metrics=mean_prediction, **given | {"y_pred": holdout.blurred(0.5)}).by_group
    shares = MetricFrame(metrics=selection_rate, **given | {"y_pred": holdout.late}).by_group
    gap = rows["mean prediction minus share of positives"]
    assert gap["observed"] == pytest.approx((means - shares).max() - (means - shares).min())
    assert (gap["highest"], gap["lowest"]) == ((means - shares).idxmax(), (means - shares).idxmin())


def test_a_group_without_positives_has_no_true_positive_rate_and_does_not_widen_the_difference() -> None:
    labels = np.array([1, 0, 1, 0, 0, 0])
    rates = group_rates(labels, np.array([0.9, 0.1, 0.9, 0.1, 0.9, 0.1]), list("aabbcc"), 0.5)
    assert [group.tpr for group in rates] == [1.0, 1.0, None]
    found = difference_between(rates, "tpr", 0.95)
    assert found is not None
    assert found.estimate == 0.0
    assert difference_between(rates[2:], "tpr", 0.95) is None


@pytest.mark.parametrize("confidence", [0.9, 0.975, 0.9999])
def test_the_bounds_of_a_rate_are_wilsons(confidence: float) -> None:
    cases = {"a": (10, 0), "b": (10, 10), "c": (7, 3), "d": (1000, 1), "e": (1, 0)}
    groups = rates_of(cases).fairness["region"]
    lower, upper = rate_bounds(groups, "selection_rate", confidence)
    for k, (rows, hits) in enumerate(cases.values()):
        expected = binomtest(hits, rows).proportion_ci(confidence_level=2 * confidence - 1, method="wilson")
        assert (lower[k], upper[k]) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_bounds_of_a_difference_of_two_groups_are_newcombes() -> None:
    """Newcombe 1998, table II, method 10, cases (a), (c) and (g): two-sided 95 %."""
    for first, second, expected in (
        ((70, 56), (80, 48), (0.0524, 0.3339)),
        ((10, 9), (10, 3), (0.1705, 0.8090)),
        ((10, 10), (20, 0), (0.6791, 1.0)),
    ):
        groups = rates_of({"a": first, "b": second}).fairness["region"]
        found = difference_between(groups, "selection_rate", 0.95)  # 0.975 for each of the two ordered pairs
        assert found is not None
        assert (found.at_least, found.at_most) == pytest.approx(expected, abs=5e-5)
        assert (found.highest, found.lowest) == ("a", "b")


@pytest.mark.parametrize("groups", [2, 8, 30])
def test_the_largest_difference_of_equal_groups_is_shown_no_more_often_than_stated(groups: int) -> None:
    """Although the two groups are picked for being extreme; 400 draws of groups that are treated alike."""
    draw = np.random.default_rng(groups)
    shown = estimates = 0
    for _ in range(400):
        counts = {f"g{k}": (80, int(hits)) for k, hits in enumerate(draw.binomial(80, 0.3, groups))}
        found = difference_between(rates_of(counts).fairness["region"], "selection_rate", 0.95)
        assert found is not None
        shown += found.at_least > 0
        estimates += found.estimate > 0.1
    assert shown / 400 <= 0.08
    assert groups < 8 or estimates / 400 > 0.8


@pytest.mark.parametrize(
    ("counts", "limit", "outcome"),
    [
        ({"a": (1000, 500), "b": (1000, 450)}, 0.1, Outcome.PASS),
        ({"a": (1000, 500), "b": (1000, 350)}, 0.1, Outcome.FAIL),
        ({"a": (30, 15), "b": (30, 10)}, 0.1, Outcome.INCONCLUSIVE),
        ({"a": (1000, 500), "b": (5, 0)}, 0.1, Outcome.NO_DATA),
        ({}, 0.1, Outcome.NO_DATA),
    ],
)
def test_a_difference_fails_when_it_is_beyond_the_limit_and_beyond_chance(
    counts: dict[str, tuple[int, int]], limit: float, outcome: Outcome
) -> None:
    found = fairness_holds(rates_of(counts), selection_limit(limit))
    assert found.outcome is outcome
    assert canonical_json(found.to_json())
    assert ("may be chance" in found.message) == (outcome is Outcome.INCONCLUSIVE)


def test_a_difference_between_large_groups_is_shown_although_a_small_group_is_more_extreme() -> None:
    found = fairness_holds(rates_of({"a": (5000, 3000), "b": (5000, 1000), "tiny": (12, 0)}), selection_limit(0.2))
    assert found.outcome is Outcome.FAIL
    assert found.evidence["differences"][0]["lowest"] == "tiny"


def test_small_groups_are_listed_with_bounds_and_not_judged() -> None:
    found = fairness_holds(rates_of({"a": (5000, 1000), "b": (5000, 1000), "tiny": (12, 12)}), selection_limit(0.1, 200))
    assert found.passed
    (tiny,) = [row for row in found.evidence["groups"] if row["group"] == "tiny"]
    assert tiny["judged"] is False
    assert tiny["selection_rate_at_least"] == pytest.approx(0.816, abs=1e-3)
    assert (found.evidence["judged"], found.evidence["too_small"], found.evidence["groups_total"]) == (2, 1, 3)


def test_a_group_that_is_selected_more_fails_and_the_message_says_where(all_limits: Contract) -> None:
    holdout = Holdout(rows=6000)
    candidate = np.where(holdout.region == "r00", np.clip(holdout.chance + 0.35, 0, 1), holdout.chance)
    found = judged(all_limits, holdout, candidate)
    assert found.outcome is Outcome.FAIL
    assert "r00" in found.message
    assert "broken as well" in found.message
    assert {row["outcome"] for row in found.evidence["differences"]} == {"fail"}


def test_scores_that_are_off_in_one_group_fail_by_calibration_though_decisions_are_alike(
    contract_with: ContractWith,
) -> None:
    contract = contract_with({"gates.offline.fairness": [{"column": "region", "max_calibration_difference": 0.05}]})
    holdout = Holdout(rows=6000)
    low = np.where(holdout.chance < 0.5, holdout.chance * 0.2, holdout.chance)
    assert judged(contract, holdout, holdout.chance).passed
    found = judged(contract, holdout, np.where(holdout.region == "r01", low, holdout.chance))
    assert found.outcome is Outcome.FAIL
    assert "mean prediction minus share of positives" in found.message
    assert found.evidence["differences"][0]["lowest"] == "r01"


def test_rows_of_one_unit_widen_the_bounds(contract_with: ContractWith) -> None:
    """A group of 20 customers with 100 alike rows each is 20 observations."""
    labels, rows = np.zeros(4000), np.arange(4000)
    scores = np.where((rows // 100) % 2 == 0, 0.9, 0.1)
    groups = np.where(rows < 2000, "a", "b")
    alone, together = (group_rates(labels, scores, groups, 0.5, units) for units in (None, rows // 100))
    assert [group.effective_rows for group in alone] == [2000, 2000]
    assert [group.effective_rows for group in together] == pytest.approx([19, 19], rel=0.1)
    wide, narrow = (difference_between(rates, "selection_rate", 0.95) for rates in (together, alone))
    assert wide is not None
    assert narrow is not None
    assert wide.at_most > 5 * narrow.at_most


def test_the_largest_groups_are_kept_and_the_others_counted(contract_with: ContractWith) -> None:
    contract = contract_with({"gates.offline.fairness": [{"column": "city", "max_fpr_difference": 0.9, "min_support": 30}]})
    holdout = Holdout(rows=3000)
    city = np.where(np.arange(3000) < 2400, np.arange(3000) % 40, 100 + np.arange(3000))
    holdout.frame = holdout.frame.with_columns(city=pl.Series(city))
    found = evaluate(holdout.frame, holdout.chance, None, contract=contract, seed=1, bootstrap=True)
    one = fairness_holds(found, contract.gates.offline.fairness[0])
    assert one.evidence["judged"] == 40
    assert (one.evidence["groups_total"], one.evidence["left_out"], one.evidence["too_small"]) == (640, 590, 10)
    assert len(one.evidence["groups"]) == 20
    assert OfflineEvaluation.from_json(found.to_json()) == found


def test_one_group_alone_is_no_comparison(all_limits: Contract) -> None:
    alone = Holdout(rows=500, regions=1)
    assert judged(all_limits, alone, alone.chance).outcome is Outcome.NO_DATA


@pytest.mark.parametrize("score", [0.0, 1.0, 0.3])
def test_a_constant_score_or_a_single_class_gives_a_verdict_without_a_warning(all_limits: Contract, score: float) -> None:
    holdout = Holdout(rows=900)
    assert canonical_json(judged(all_limits, holdout, np.full(900, score)).to_json())
    holdout.frame = holdout.frame.with_columns(late=pl.lit(True))
    one_class = judged(all_limits, holdout, holdout.chance)
    assert one_class.outcome in (Outcome.NO_DATA, Outcome.FAIL)
