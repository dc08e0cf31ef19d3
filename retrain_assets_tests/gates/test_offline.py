"""Gate OFFLINE: a candidate is shown good enough on the champion's own rows, or it does not pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.contract import LOWER_IS_BETTER, METRICS, Contract, Outcome, Verdict, canonical_json
from retrain_assets.contract.offline import FairnessThreshold
from retrain_assets.gates import Backtest, OfflineEvaluation, evaluate, metric_value, offline_checks, offline_gate
from retrain_assets_tests.gates.conftest import verdict

Scores = np.ndarray
BACKTESTS = (Backtest("2024-01-01", "2024-01-06", 250, 0.8), Backtest("2024-01-06", "2024-01-11", 250, 0.75))
ContractWith = Callable[[dict[str, Any]], Contract]


class Scored:
    """Held-out rows with a calibrated signal, and models that see it more or less clearly."""

    def __init__(self, rows: int = 4000, seed: int = 1) -> None:
        self.draw = np.random.default_rng(seed)
        self.chance = 1 / (1 + np.exp(-self.draw.normal(0, 1.5, rows)))
        self.late = self.draw.random(rows) < self.chance
        self.frame = pl.DataFrame(
            {
                "parcel": [f"p{number}" for number in range(rows)],
                "late": self.late,
                "region": np.resize(["north", "south", "east"], rows),
            }
        )

    def blurred(self, noise: float, seed: int = 2) -> Scores:
        logit = np.log(self.chance / (1 - self.chance))
        return 1 / (1 + np.exp(-(logit + np.random.default_rng(seed).normal(0, noise, logit.size))))


@pytest.fixture(scope="module")
def scored() -> Scored:
    return Scored()


@pytest.fixture(scope="module")
def sound(scored: Scored, contract: Contract) -> OfflineEvaluation:
    return evaluate(
        scored.frame, scored.chance, scored.blurred(0.8), contract=contract, seed=7, backtests=BACKTESTS, latency_ms=1.0
    )


def judge(scored: Scored, contract: Contract, candidate: Scores, champion: Scores | None, **given: Any) -> list[Verdict]:
    given = {"seed": 7, "backtests": BACKTESTS, "latency_ms": 1.0, **given}
    return offline_gate(evaluate(scored.frame, candidate, champion, contract=contract, **given), contract)


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


def spoiled(scores: Scores, value: float) -> Scores:
    return np.concatenate([[value], scores[1:]])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.2, -0.1])
@pytest.mark.parametrize("who", ["candidate", "champion"])
def test_scores_that_are_no_probabilities_are_an_error_of_every_check(
    scored: Scored, contract: Contract, value: float, who: str
) -> None:
    pair = {"candidate": scored.chance, "champion": scored.blurred(0.8)}
    pair[who] = spoiled(pair[who], value)
    verdicts = judge(scored, contract, **pair)
    assert [each.check for each in verdicts] == list(offline_checks(contract))
    assert {each.outcome for each in verdicts} == {Outcome.ERROR}
    assert who in verdicts[0].message


def test_labels_that_are_no_classes_are_an_error_unless_the_classes_are_named(scored: Scored, contract: Contract) -> None:
    words = scored.frame.with_columns(late=pl.when("late").then(pl.lit("yes")).otherwise(pl.lit("no")))
    unnamed = evaluate(words, scored.chance, None, contract=contract, seed=1)
    assert {each.outcome for each in offline_gate(unnamed, contract)} == {Outcome.ERROR}
    named = evaluate(words, scored.chance, None, contract=contract, seed=1, classes=["no", "yes"])
    assert named.metric("roc_auc") == evaluate(scored.frame, scored.chance, None, contract=contract, seed=1).metric("roc_auc")


def test_no_labelled_row_is_no_data_everywhere(scored: Scored, contract: Contract) -> None:
    blank = scored.frame.with_columns(late=pl.lit(None, dtype=pl.Boolean))
    verdicts = offline_gate(evaluate(blank, scored.chance, scored.chance, contract=contract, seed=1), contract)
    assert {each.outcome for each in verdicts} == {Outcome.NO_DATA}


def test_rows_without_label_are_left_out_and_counted(scored: Scored, contract: Contract) -> None:
    waiting = scored.frame.with_columns(late=pl.when(pl.int_range(pl.len()) >= 100).then("late"))
    found = evaluate(waiting, scored.chance, None, contract=contract, seed=1)
    assert (found.rows, found.rows_without_label) == (3900, 100)
    assert found.metric("roc_auc") == evaluate(scored.frame[100:], scored.chance[100:], None, contract=contract, seed=1).metric(
        "roc_auc"
    )


def test_one_class_alone_leaves_ranking_undefined_and_closed(scored: Scored, contract: Contract) -> None:
    late = scored.frame.with_columns(late=pl.lit(True))
    verdicts = offline_gate(evaluate(late, scored.chance, scored.chance, contract=contract, seed=1), contract)
    assert verdict(verdicts, "meets_roc_auc").outcome is Outcome.NO_DATA
    assert verdict(verdicts, "not_worse_roc_auc").outcome is Outcome.NO_DATA
    assert verdict(verdicts, "slices_hold").outcome is Outcome.NO_DATA


def test_a_metric_that_was_not_evaluated_is_no_data(sound: OfflineEvaluation, contract: Contract) -> None:
    verdicts = offline_gate(replace(sound, metrics=()), contract)
    for check in ("meets_roc_auc", "not_worse_roc_auc", "beats_champion_log_loss"):
        assert verdict(verdicts, check).outcome is Outcome.NO_DATA


@pytest.mark.parametrize("scores", [np.zeros(3), np.zeros(5000)])
def test_another_number_of_scores_than_rows_is_refused(scored: Scored, contract: Contract, scores: Scores) -> None:
    with pytest.raises(ValueError, match="for 4,000 hold-out rows"):
        evaluate(scored.frame, scores, None, contract=contract, seed=1)


def test_a_holdout_without_label_is_refused(scored: Scored, contract: Contract) -> None:
    with pytest.raises(ValueError, match="no column late"):
        evaluate(scored.frame.drop("late"), scored.chance, None, contract=contract, seed=1)


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


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["0", "1"]), pl.Decimal(10, 2), pl.Float32, pl.Int8])
def test_labels_of_any_type_are_read_as_classes(scored: Scored, contract: Contract, kind: Any) -> None:
    text = kind in (pl.Categorical, pl.Enum(["0", "1"]))
    numbers = pl.Series("late", scored.late.astype(int))
    frame = scored.frame.with_columns((numbers.cast(pl.String) if text else numbers).cast(kind))
    found = evaluate(frame, scored.chance, None, contract=contract, seed=1, classes=["0", "1"] if text else None)
    assert found.problems == {}
    assert found.metric("roc_auc") == evaluate(scored.frame, scored.chance, None, contract=contract, seed=1).metric("roc_auc")


@pytest.mark.parametrize(("column", "values"), [("late", [[1]]), ("parcel", [object()]), ("late", [b"1"])])
def test_labels_and_units_that_cannot_be_told_apart_are_an_error_and_no_traceback(
    scored: Scored, contract: Contract, column: str, values: list[Any]
) -> None:
    dtype = pl.Object if column == "parcel" else None
    frame = scored.frame.with_columns(pl.Series(column, values * scored.frame.height, dtype=dtype))
    verdicts = offline_gate(evaluate(frame, scored.chance, None, contract=contract, seed=1), contract)
    assert {each.outcome for each in verdicts} == {Outcome.ERROR}


def test_units_without_a_name_are_one_unit(scored: Scored, contract: Contract) -> None:
    frame = scored.frame.with_columns(parcel=pl.when(pl.int_range(pl.len()) < 2000).then("parcel"))
    champion = scored.blurred(0.8)
    named, unnamed = (
        evaluate(one, scored.chance, champion, contract=contract, seed=1).metric("log_loss") for one in (scored.frame, frame)
    )
    assert named is not None
    assert unnamed is not None
    assert unnamed.improvement.estimate == named.improvement.estimate
    assert unnamed.improvement != named.improvement


def test_a_champion_with_scores_of_another_shape_is_an_error(scored: Scored, contract: Contract) -> None:
    verdicts = offline_gate(evaluate(scored.frame, scored.chance, scored.chance[:, None], contract=contract, seed=1), contract)
    assert {each.outcome for each in verdicts} == {Outcome.ERROR}


def replace_frame(scored: Scored, frame: pl.DataFrame) -> Scored:
    other = Scored.__new__(Scored)
    other.__dict__.update(scored.__dict__, frame=frame)
    return other


def test_a_model_that_is_sure_of_every_class_is_an_error(contract_with: Callable[[dict[str, Any]], Contract]) -> None:
    offline = {"metrics": {"log_loss": {"max": 1.0, "min_improvement": 0.0}}, "calibration": None}
    contract = contract_with({"task": "multiclass", "decision": None, "gates.offline": offline})
    labels = np.arange(300) % 3
    rows = pl.DataFrame({"parcel": [str(k) for k in range(300)], "late": labels})
    fair = np.full((300, 3), 1 / 3)
    found = offline_gate(evaluate(rows, np.ones((300, 3)), fair, contract=contract, seed=1), contract)
    assert {each.outcome for each in found} == {Outcome.ERROR}
    assert "candidate's probabilities of the classes do not sum to 1 in 300 rows" in found[0].message
    assert not evaluate(rows, fair.astype(np.float32), fair, contract=contract, seed=1).problems


@pytest.mark.parametrize("metric", ["mean_squared_error", "mean_absolute_error", "r2"])
def test_predictions_whose_squares_overflow_are_an_error_and_no_slice_passes(
    contract_with: Callable[[dict[str, Any]], Contract], metric: str
) -> None:
    limits = {"columns": ["region"], "metric": metric, "max_regression": 0.1, "min_support": 20}
    offline = {"metrics": {metric: {"max_regression": 0.1}}, "slices": limits}
    contract = contract_with({"task": "regression", "decision": None, "gates.offline": offline})
    labels = np.random.default_rng(1).normal(0, 1, 300)
    rows = pl.DataFrame({"parcel": [str(k) for k in range(300)], "late": labels, "region": np.resize(["a", "b"], 300)})
    for scale, outcomes in ((1e200, {Outcome.ERROR}), (1e90, {Outcome.FAIL})):
        found = offline_gate(evaluate(rows, labels * scale, labels, contract=contract, seed=1), contract)
        assert {each.outcome for each in found} == outcomes
        assert all(np.isfinite(row["worse_by"]) for row in found[-1].evidence.get("slices", []))
