"""Gate OFFLINE: a candidate is shown good enough on the champion's own rows, or it does not pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from retrain_assets.contract import LOWER_IS_BETTER, METRICS, Contract, Outcome, canonical_json
from retrain_assets.contract.offline import FairnessThreshold
from retrain_assets.gates import Backtest, OfflineEvaluation, evaluate, metric_value, offline_checks, offline_gate
from retrain_assets_tests.gates.conftest import verdict
from retrain_assets_tests.gates.offline_rows import BACKTESTS, ContractWith, Scored, judge, replace_frame


@pytest.fixture(scope="module")
def scored() -> Scored:
    return Scored()


@pytest.fixture(scope="module")
def sound(scored: Scored, contract: Contract) -> OfflineEvaluation:
    return evaluate(
        scored.frame, scored.chance, scored.blurred(0.8), contract=contract, seed=7, backtests=BACKTESTS, latency_ms=1.0
    )


def test_a_better_candidate_passes_every_check(sound: OfflineEvaluation, contract: Contract) -> None:
    verdicts = offline_gate(sound, contract)
    assert [each.check for each in verdicts] == list(offline_checks(contract))
    assert [each for each in verdicts if not each.passed] == []
    assert canonical_json([each.to_json() for each in verdicts])


def test_the_checks_follow_the_limits_of_the_contract(contract: Contract, contract_with: ContractWith) -> None:
    assert offline_checks(contract) == (
        "meets_roc_auc",
        "not_worse_roc_auc",
        "meets_log_loss",
        "beats_champion_log_loss",
        "slices_hold",
        "fairness_holds_region",
        "calibrated",
        "backtests_hold",
        "latency_within_budget",
    )
    bare = {"metrics": {"f1": {"max_regression": 0.1}}}
    assert offline_checks(contract_with({"gates.offline": bare})) == ("not_worse_f1", "calibrated")
    assert offline_checks(contract_with({"gates.offline": bare | {"calibration": None}})) == ("not_worse_f1",)
    all_budgets = bare | {"calibration": None, "stability": {"max_flips": 0.1}, "max_latency_ms": 5.0, "max_size_mb": 50}
    assert offline_checks(contract_with({"gates.offline": all_budgets})) == (
        "not_worse_f1",
        "decisions_are_stable",
        "latency_within_budget",
        "size_within_budget",
    )


def test_an_evaluation_survives_json(sound: OfflineEvaluation, contract: Contract) -> None:
    assert OfflineEvaluation.from_json(sound.to_json()) == sound
    assert canonical_json(sound.to_json())
    assert offline_gate(OfflineEvaluation.from_json(sound.to_json()), contract) == offline_gate(sound, contract)


def test_the_same_seed_gives_the_same_evaluation(scored: Scored, contract: Contract, sound: OfflineEvaluation) -> None:
    again = evaluate(
        scored.frame, scored.chance, scored.blurred(0.8), contract=contract, seed=7, backtests=BACKTESTS, latency_ms=1.0
    )
    assert again == sound


def test_a_candidate_below_the_absolute_limit_fails(scored: Scored, contract: Contract) -> None:
    noise = scored.draw.random(scored.late.size)
    found = verdict(judge(scored, contract, noise, scored.blurred(0.8)), "meets_roc_auc")
    assert (found.outcome, found.threshold) == (Outcome.FAIL, 0.6)
    assert found.observed == pytest.approx(0.5, abs=0.05)


def test_a_candidate_shown_worse_than_the_margin_fails(scored: Scored, contract: Contract) -> None:
    found = verdict(judge(scored, contract, scored.blurred(1.5), scored.chance), "not_worse_roc_auc")
    assert found.outcome is Outcome.FAIL
    assert found.evidence["improvement"]["estimate"] < -0.02


def test_a_small_holdout_leaves_non_inferiority_open(contract: Contract) -> None:
    few = Scored(rows=300, seed=3)
    found = verdict(judge(few, contract, few.blurred(0.9, 5), few.blurred(0.9, 6)), "not_worse_roc_auc")
    estimate, bound = -found.evidence["improvement"]["estimate"], -found.evidence["improvement"]["lower"]
    assert estimate <= 0.02 < bound
    assert found.outcome is Outcome.INCONCLUSIVE


def test_a_champion_that_is_not_beaten_fails_and_a_win_that_may_be_chance_is_open(scored: Scored, contract: Contract) -> None:
    worse = verdict(judge(scored, contract, scored.blurred(0.8), scored.chance), "beats_champion_log_loss")
    assert worse.outcome is Outcome.FAIL
    itself = verdict(judge(scored, contract, scored.chance, scored.chance), "beats_champion_log_loss")
    assert itself.outcome is Outcome.FAIL
    few = Scored(rows=60, seed=4)
    open_win = verdict(judge(few, contract, few.chance, few.blurred(0.3)), "beats_champion_log_loss")
    assert open_win.evidence["improvement"]["estimate"] > 0 > open_win.evidence["improvement"]["lower"]
    assert open_win.outcome is Outcome.INCONCLUSIVE


def test_a_slice_that_got_worse_fails_though_the_whole_improved(scored: Scored, contract: Contract) -> None:
    candidate = scored.chance.copy()
    east = (scored.frame["region"] == "east").to_numpy()
    candidate[east] = scored.draw.permutation(candidate[east])
    champion = scored.blurred(1.0)
    found = verdict(judge(scored, contract, candidate, champion), "slices_hold")
    assert found.outcome is Outcome.FAIL
    assert "region=east" in found.message
    assert found.evidence["slices"][0]["slice"] == "region=east"


def test_a_missing_slice_or_group_column_is_an_error(scored: Scored, contract: Contract) -> None:
    bare = replace_frame(scored, scored.frame.drop("region"))
    verdicts = judge(bare, contract, scored.chance, scored.blurred(0.8))
    assert verdict(verdicts, "slices_hold").outcome is Outcome.ERROR
    assert verdict(verdicts, "fairness_holds_region").outcome is Outcome.ERROR
    assert verdict(verdicts, "meets_roc_auc").passed


def test_fairness_of_a_task_without_decisions_is_an_error(contract_with: ContractWith) -> None:
    """A contract is refused for it; the gate does not rest on that."""
    amounts = contract_with({"task": "regression", "decision": None, "gates.offline": {"metrics": {"r2": {"min": 0.1}}}})
    limits = FairnessThreshold(column="region", max_tpr_difference=0.1)
    offline = amounts.gates.offline.model_copy(update={"fairness": [limits]})
    amounts = amounts.model_copy(update={"gates": amounts.gates.model_copy(update={"offline": offline})})
    frame = pl.DataFrame({"parcel": ["a", "b", "c"], "late": [1.0, 2.0, 4.0], "region": ["n", "s", "n"]})
    verdicts = offline_gate(evaluate(frame, np.array([1.0, 2.1, 3.9]), None, contract=amounts, seed=1), amounts)
    assert verdict(verdicts, "meets_r2").passed
    assert verdict(verdicts, "fairness_holds_region").outcome is Outcome.ERROR


def test_probabilities_that_are_off_fail_by_error_or_by_bias(
    scored: Scored, contract: Contract, contract_with: ContractWith
) -> None:
    shifted = np.clip(scored.chance + 0.1, 0, 1)
    found = verdict(judge(scored, contract, shifted, scored.blurred(0.8)), "calibrated")
    assert found.outcome is Outcome.FAIL
    assert "expected calibration error" in found.message
    wide = contract_with({"gates.offline.calibration.max_ece": 0.5})
    biased = verdict(judge(scored, wide, shifted, scored.blurred(0.8)), "calibrated")
    assert (biased.outcome, biased.threshold) == (Outcome.FAIL, 0.04)


def test_the_decision_threshold_is_derived_again_on_the_holdout(sound: OfflineEvaluation) -> None:
    assert sound.decision is not None
    assert sound.decision.threshold == 0.5
    assert sound.decision.holdout_threshold == pytest.approx(0.5, abs=0.1)
    assert sound.decision.holdout_cost <= sound.decision.cost


@pytest.mark.parametrize(
    ("backtests", "outcome"),
    [
        ((), Outcome.NO_DATA),
        (BACKTESTS[:1], Outcome.NO_DATA),
        ((BACKTESTS[0], replace(BACKTESTS[1], value=None)), Outcome.NO_DATA),
        ((BACKTESTS[0], replace(BACKTESTS[1], value=0.59)), Outcome.FAIL),
        ((BACKTESTS[0], replace(BACKTESTS[1], value=float("nan"))), Outcome.ERROR),
        (BACKTESTS, Outcome.PASS),
    ],
)
def test_every_back_test_must_be_there_and_hold(
    sound: OfflineEvaluation, contract: Contract, backtests: tuple[Backtest, ...], outcome: Outcome
) -> None:
    assert verdict(offline_gate(replace(sound, backtests=backtests), contract), "backtests_hold").outcome is outcome


@pytest.mark.parametrize(("latency", "outcome"), [(5.1, Outcome.FAIL), (None, Outcome.NO_DATA), (float("nan"), Outcome.ERROR)])
def test_latency_must_be_measured_and_hold(
    sound: OfflineEvaluation, contract: Contract, latency: float | None, outcome: Outcome
) -> None:
    assert verdict(offline_gate(replace(sound, latency_ms=latency), contract), "latency_within_budget").outcome is outcome


COMPARISONS = ("not_worse_roc_auc", "beats_champion_log_loss", "slices_hold")


def test_without_a_champion_comparisons_pass_only_in_an_explicit_bootstrap(scored: Scored, contract: Contract) -> None:
    first = judge(scored, contract, scored.chance, None, bootstrap=True)
    lost = judge(scored, contract, scored.chance, None)
    for check in COMPARISONS:
        assert verdict(first, check).passed
        assert verdict(first, check).message == "no champion to compare with; bootstrap"
        assert verdict(first, check).evidence["bootstrap"] is True
        assert verdict(lost, check).outcome is Outcome.NO_DATA
    assert verdict(lost, "meets_roc_auc").passed


def test_a_bootstrap_still_has_to_meet_the_absolute_limits(scored: Scored, contract: Contract) -> None:
    noise = scored.draw.random(scored.late.size)
    assert not verdict(judge(scored, contract, noise, None, bootstrap=True), "meets_roc_auc").passed


def test_a_bootstrap_with_a_champion_is_refused(scored: Scored, contract: Contract) -> None:
    with pytest.raises(ValueError, match="bootstrap=True"):
        evaluate(scored.frame, scored.chance, scored.chance, contract=contract, seed=1, bootstrap=True)


def test_multiclass_is_compared_on_class_probabilities(contract_with: ContractWith) -> None:
    kinds = contract_with(
        {
            "task": "multiclass",
            "decision": None,
            "gates.offline": {
                "metrics": {"f1_macro": {"min": 0.5, "min_improvement": 0.01}, "log_loss": {"max_regression": 0.01}},
                "calibration": {"max_ece": 0.1},
            },
        }
    )
    draw = np.random.default_rng(8)
    shares = draw.dirichlet([0.5, 0.5, 0.5], 3000)
    label = (shares.cumsum(axis=1) < draw.random((3000, 1))).sum(axis=1)
    frame = pl.DataFrame({"parcel": np.arange(3000), "late": np.array(["a", "b", "c"])[label]})
    flat = 0.5 * shares[:, [1, 2, 0]] + 0.5 * shares
    found = evaluate(frame, shares, flat, contract=kinds, seed=1, classes=["a", "b", "c"])
    assert all(each.passed for each in offline_gate(found, kinds))
    assert not any(
        each.passed
        for each in offline_gate(evaluate(frame, flat, shares, contract=kinds, seed=1, classes=["a", "b", "c"]), kinds)
        if each.check.startswith(("not_worse", "beats"))
    )


@pytest.mark.parametrize("metric", METRICS["binary_classification"])
def test_each_limit_of_a_metric_stands_alone(scored: Scored, contract_with: ContractWith, metric: str) -> None:
    """With one limit there is one check, which a clearly better model passes and a clearly worse one does not."""
    better, worse = scored.chance, scored.blurred(3.0)
    low = metric in LOWER_IS_BETTER
    middle = (metric_value(metric, scored.late, better) + metric_value(metric, scored.late, worse)) / 2
    for limit, check in (
        ({"max" if low else "min": middle}, "meets"),
        ({"max_regression": 0.005}, "not_worse"),
        ({"min_improvement": 0.005}, "beats_champion"),
    ):
        contract = contract_with({"gates.offline": {"metrics": {metric: limit}, "calibration": None}})
        (good,) = judge(scored, contract, better, worse)
        (bad,) = judge(scored, contract, worse, better)
        assert good.check == bad.check == f"{check}_{metric}"
        assert good.passed
        assert bad.outcome is Outcome.FAIL


def test_the_evidence_says_how_the_bounds_were_made(contract_with: ContractWith) -> None:
    metrics = {name: {"max_regression": 0.1} for name in ("roc_auc", "average_precision", "log_loss")}
    contract = contract_with({"gates.offline": {"metrics": metrics, "calibration": None}})
    few = Scored(rows=1000)
    assert [each.evidence["method"] for each in judge(few, contract, few.chance, few.blurred(0.5))] == [
        "DeLong",
        "paired bootstrap, 1,000 resamples",
        "paired bootstrap, 1,000 resamples",
    ]
    many = Scored(rows=5000)
    assert [each.evidence["method"] for each in judge(many, contract, many.chance, many.blurred(0.5))] == [
        "DeLong",
        "linearised, by unit",
        "paired bootstrap, 1,000 resamples of 4,096 blocks of units",
    ]


def test_a_metric_that_was_not_evaluated_is_no_data(sound: OfflineEvaluation, contract: Contract) -> None:
    verdicts = offline_gate(replace(sound, metrics=()), contract)
    for check in ("meets_roc_auc", "not_worse_roc_auc", "beats_champion_log_loss"):
        assert verdict(verdicts, check).outcome is Outcome.NO_DATA
