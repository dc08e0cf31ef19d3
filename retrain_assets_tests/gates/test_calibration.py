"""Calibration: a probability is to be what happens, on all rows, by class and in every slice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom, binomtest
from sklearn.linear_model import LogisticRegression

from retrain_assets.contract import Contract, Outcome, canonical_json
from retrain_assets.gates import evaluate, offline_gate
from retrain_assets.gates.offline.beyond_chance import design_effect, excess_p_value, repeated
from retrain_assets.gates.offline.calibration import calibration_of, model_calibration
from retrain_assets.gates.offline.recalibration import recalibration
from retrain_assets.gates.offline.slice_calibration import bias_p_values, slice_calibration
from retrain_assets_tests.gates.conftest import verdict
from retrain_assets_tests.gates.scored import Array, ContractWith, Holdout, expit, judge, logit

DEFAULTS = {"roc_auc": {"max_regression": 0.02, "min_improvement": 0.0}}


@pytest.fixture(scope="module")
def holdout() -> Holdout:
    return Holdout()


@pytest.fixture(scope="module")
def by_default(contract_with: ContractWith) -> Contract:
    """A contract that says nothing of calibration."""
    return contract_with({"gates.offline": {"metrics": DEFAULTS}})


@pytest.fixture(scope="module")
def in_slices(contract_with: ContractWith) -> Contract:
    return contract_with({"gates.offline.calibration": {"max_slice_bias": 0.05}})


def test_a_model_whose_auc_improves_while_it_over_predicts_by_ten_points_fails_by_default(
    holdout: Holdout, by_default: Contract
) -> None:
    champion, honest = holdout.blurred(0.8), holdout.chance
    candidate = np.clip(honest + 0.1, 0, 1)
    verdicts = judge(holdout, by_default, candidate, champion)
    assert verdict(verdicts, "beats_champion_roc_auc").passed
    found = verdict(verdicts, "calibrated")
    assert (found.outcome, found.threshold) == (Outcome.FAIL, 0.08)
    assert "predictions are too high on average on 4,000 hold-out rows" in found.message
    assert found.observed == pytest.approx(0.1, abs=0.02)
    assert verdict(judge(holdout, by_default, honest, champion), "calibrated").passed


def test_a_contract_that_uses_scores_as_ranks_only_has_no_such_check(holdout: Holdout, contract_with: ContractWith) -> None:
    ranks = contract_with({"gates.offline": {"metrics": DEFAULTS, "calibration": None}})
    verdicts = judge(holdout, ranks, np.clip(holdout.chance + 0.1, 0, 1), holdout.blurred(0.8))
    assert [each.check for each in verdicts] == ["not_worse_roc_auc", "beats_champion_roc_auc"]
    assert verdicts[0].evidence["decision"][0]["candidate"] > 0


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (2.0, 0.5), (0.4, -1.0), (-0.7, 0.2)])
def test_slope_and_intercepts_are_those_of_a_plain_logistic_regression(holdout: Holdout, slope: float, shift: float) -> None:
    distorted = expit((logit(holdout.chance) - shift) / slope)
    found = recalibration(holdout.late, distorted)
    logits = logit(np.clip(distorted, 1e-6, 1 - 1e-6))
    peer = LogisticRegression(C=np.inf, tol=1e-10).fit(logits[:, None], holdout.late)
    assert found.slope == pytest.approx(peer.coef_[0, 0], abs=2e-5)
    assert found.intercept == pytest.approx(peer.intercept_[0], abs=2e-5)
    assert found.in_the_large is not None
    assert expit(found.in_the_large + logits).mean() == pytest.approx(holdout.late.mean(), abs=1e-9)


def test_the_search_from_a_sample_ends_at_the_maximum_of_all_rows() -> None:
    many = Holdout(250_000, seed=4)
    distorted = expit(0.6 * logit(many.chance) + 0.3)
    found = recalibration(many.late, distorted)
    chance = expit(found.intercept + found.slope * logit(distorted))
    assert (many.late - chance).mean() == pytest.approx(0, abs=1e-9)
    assert ((many.late - chance) * logit(distorted)).mean() == pytest.approx(0, abs=1e-9)


def test_the_error_of_the_slope_is_the_spread_of_slopes() -> None:
    fits = [recalibration(one.late, one.chance) for one in (Holdout(800, seed=seed) for seed in range(150))]
    assert np.std([fit.slope for fit in fits]) == pytest.approx(np.mean([fit.slope_error for fit in fits]), rel=0.2)


@pytest.mark.parametrize(
    ("labels", "scores"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]),
        ([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9]),
        ([0, 0, 1, 1], [0.1, 0.2, 0.2, 0.9]),
        ([0, 1, 0, 1], [0.3, 0.3, 0.3, 0.3]),
        ([0, 1, 0, 1], [0.0, 1.0, 0.0, 1.0]),
    ],
)
def test_scores_that_separate_the_classes_or_do_not_vary_have_no_slope(labels: list[int], scores: list[float]) -> None:
    found = recalibration(np.array(labels), np.array(scores))
    assert (found.slope, found.intercept, found.slope_error) == (None, None, None)
    assert found.in_the_large is not None


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_has_no_intercept(label: int) -> None:
    assert recalibration(np.full(50, label), np.linspace(0.1, 0.9, 50)).in_the_large is None


def test_scores_of_exactly_0_and_1_are_counted_and_make_a_wrong_certainty_a_small_slope() -> None:
    holdout = Holdout(5000, seed=6)
    certain = np.where(holdout.chance > 0.9, 1.0, np.where(holdout.chance < 0.1, 0.0, holdout.chance))
    found = recalibration(holdout.late, certain)
    assert found.clipped == ((certain == 0) | (certain == 1)).sum()
    assert found.slope is not None
    assert found.slope < 0.6


@pytest.mark.parametrize(
    ("limits", "scores", "named"),
    [
        ({"min_slope": 0.8}, 2.0, "slope, smallest"),
        ({"max_slope": 1.25}, 0.5, "slope, largest"),
    ],
)
def test_predictions_too_extreme_or_too_timid_fail_by_the_slope(
    holdout: Holdout, contract_with: ContractWith, limits: dict[str, float], scores: float, named: str
) -> None:
    contract = contract_with({"gates.offline.calibration": {"max_ece": 0.5, "max_bias": 0.5, **limits}})
    found = verdict(judge(holdout, contract, expit(scores * logit(holdout.chance)), None, bootstrap=True), "calibrated")
    assert found.outcome is Outcome.FAIL
    assert "calibration slope" in found.message
    assert [row["limit_of"] for row in found.evidence["limits"] if row["outcome"] == "fail"] == [named]
    assert verdict(judge(holdout, contract, holdout.chance, None, bootstrap=True), "calibrated").passed


def test_an_undefined_slope_is_no_pass(contract_with: ContractWith) -> None:
    contract = contract_with({"gates.offline.calibration": {"min_slope": 0.8}})
    few = Holdout(400, seed=3)
    few.frame = few.frame.with_columns(late=pl.Series(few.chance > 0.4))
    found = verdict(judge(few, contract, np.where(few.chance > 0.4, 0.98, 0.02), None, bootstrap=True), "calibrated")
    assert found.outcome is Outcome.NO_DATA
    assert "separate the classes" in found.message


def test_the_limit_broken_furthest_relative_to_itself_is_named(holdout: Holdout, contract_with: ContractWith) -> None:
    contract = contract_with({"gates.offline.calibration": {"max_ece": 0.08, "max_bias": 0.01}})
    found = verdict(judge(holdout, contract, np.clip(holdout.chance + 0.1, 0, 1), None, bootstrap=True), "calibrated")
    assert (found.threshold, found.outcome) == (0.01, Outcome.FAIL)
    assert found.message.endswith("broken as well: expected calibration error")
    assert {row["limit_of"]: row["outcome"] for row in found.evidence["limits"]} == {
        "expected calibration error": "fail",
        "bias": "fail",
    }


def test_a_perfect_model_on_few_rows_is_inconclusive_and_not_failed(contract_with: ContractWith) -> None:
    contract = contract_with({"gates.offline.calibration": {"max_ece": 0.02, "max_bias": 0.5}})
    few = Holdout(250, seed=11)
    found = verdict(judge(few, contract, few.chance, None, bootstrap=True), "calibrated")
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "take a longer hold-out" in found.message
    assert (
        verdict(judge(few, contract, np.clip(few.chance + 0.2, 0, 1), None, bootstrap=True), "calibrated").outcome is Outcome.FAIL
    )


def test_what_chance_explains_is_exceeded_by_a_perfect_model_as_often_as_stated() -> None:
    """One in twenty at 95 %; the slope's is symmetric, so both sides together."""
    found = [
        model_calibration(one.late, one.chance, units=None, confidence=0.95)
        for one in (Holdout(1500, seed=seed) for seed in range(400))
    ]
    assert np.mean([one.ece > one.ece_by_chance for one in found]) < 0.08
    assert 0.02 < np.mean([abs(one.bias) > one.bias_by_chance for one in found]) < 0.09
    assert 0.02 < np.mean([abs(one.slope - 1) > one.slope_by_chance for one in found]) < 0.09


def test_rows_of_one_unit_do_not_pass_for_independent_evidence() -> None:
    holdout = Holdout(500, seed=5)
    labels, scores, units = (np.repeat(part, 8) for part in (holdout.late, holdout.chance, np.arange(500)))
    alone = model_calibration(holdout.late, holdout.chance, units=None, confidence=0.95)
    repeated_rows = model_calibration(labels, scores, units=units, confidence=0.95)
    assert repeated_rows.bias_by_chance == pytest.approx(alone.bias_by_chance, rel=0.1)
    assert repeated_rows.slope_by_chance == pytest.approx(alone.slope_by_chance, rel=0.1)
    for ours, theirs in zip(repeated_rows.bins, alone.bins, strict=True):
        assert ours.upper - ours.lower == pytest.approx(theirs.upper - theirs.lower, rel=0.15)


def test_the_interval_of_a_bin_is_wilsons() -> None:
    holdout = Holdout(1000, seed=8)
    for part in calibration_of(holdout.late, holdout.chance).bins:
        peer = binomtest(round(part.positive_share * part.rows), part.rows).proportion_ci(method="wilson")
        assert (part.lower, part.upper) == (pytest.approx(peer.low, abs=1e-12), pytest.approx(peer.high, abs=1e-12))


@pytest.mark.parametrize("hits", [0, 1, 5, 20, 40])
def test_equal_chances_give_the_binomial_tail(hits: int) -> None:
    rows, chance = np.array([40.0]), 0.2
    found = excess_p_value(np.array([float(hits)]), rows * chance, rows * chance**2, np.ones(1))
    assert found[0] == pytest.approx(binom.sf(hits - 1, 40, chance), abs=1e-12)


def test_units_that_agree_within_themselves_count_once() -> None:
    units = np.repeat(np.arange(200), 5)
    alike = np.repeat(np.random.default_rng(1).random(200) < 0.3, 5).astype(float)
    assert design_effect(alike, units) == pytest.approx(5, rel=0.02)
    assert design_effect(alike, None) == design_effect(alike[:1], units[:1]) == 1.0
    assert design_effect(np.ones(1000), units) == 5.0
    assert repeated(np.arange(7)) is None
    assert repeated(units) is units


@pytest.mark.parametrize("too_high", [True, False])
def test_a_slice_at_the_limit_is_flagged_as_often_as_stated(too_high: bool) -> None:
    """The truth lies just at the limit of bias: one in twenty at most; well beyond it: nearly always."""
    draw = np.random.default_rng(3)
    scores = draw.beta(2, 4, (2000, 300))
    mean = scores.mean(axis=1, keepdims=True)

    def flagged(bias: float) -> float:
        truth = scores * (1 - bias / mean) if too_high else 1 - (1 - scores) * (1 - bias / (1 - mean))
        hits = (draw.random(scores.shape) < truth).sum(axis=1).astype(float)
        rows = np.full(2000, 300.0)
        sums = scores.sum(axis=1), (scores**2).sum(axis=1)
        return float((bias_p_values(rows, hits, *sums, limit=0.05, effect=np.ones(2000)) <= 0.05).mean())

    assert 0.02 < flagged(0.05) < 0.06
    assert flagged(0.15) > 0.95


def test_a_slice_biased_beyond_chance_fails_and_is_named_though_all_rows_are_calibrated(
    holdout: Holdout, in_slices: Contract
) -> None:
    candidate = holdout.chance.copy()
    for region, shift in (("r00", 0.12), ("r01", -0.12)):
        inside = holdout.region == region
        candidate[inside] = np.clip(candidate[inside] + shift, 0, 1)
    found = verdict(judge(holdout, in_slices, candidate, None, bootstrap=True), "calibrated")
    assert found.outcome is Outcome.FAIL
    assert "beyond chance, in 2 of 3 judged slices: region=r00 (+0." in found.message
    assert "region=r01 (-0." in found.message
    assert [row["outcome"] for row in found.evidence["limits"]] == ["pass", "pass", "fail"]
    assert {row["slice"] for row in found.evidence["slices"][:2]} == {"region=r00", "region=r01"}
    assert found.evidence["slices_judged"] == 3
    assert [row["judged"] for row in found.evidence["slices"]] == ["beyond limit", "beyond limit", "within limit"]
    assert canonical_json(found.to_json())


def test_many_sound_slices_do_not_raise_a_false_alarm(contract_with: ContractWith) -> None:
    offline = {
        "metrics": {"accuracy": {"min": 0.0}},
        "slices": {"columns": ["region"], "metric": "accuracy", "max_regression": 1, "min_support": 100},
        "calibration": {"max_slice_bias": 0.03},
    }
    contract = contract_with({"gates.offline": offline})
    beyond = 0
    for seed in range(20):
        many = Holdout(40 * 150, seed=seed, regions=40)
        found = verdict(judge(many, contract, many.chance, None, bootstrap=True), "calibrated")
        assert found.passed, found.message
        beyond += "chance explains the rest" in found.message
    assert beyond > 10


def test_slices_too_small_to_judge_or_missing_are_no_pass(
    holdout: Holdout, in_slices: Contract, contract_with: ContractWith
) -> None:
    small = contract_with({"gates.offline.calibration": {"max_slice_bias": 0.05}, "gates.offline.slices.min_support": 3000})
    found = verdict(judge(holdout, small, holdout.chance, None, bootstrap=True), "calibrated")
    assert found.outcome is Outcome.NO_DATA
    assert {row["judged"] for row in found.evidence["slices"]} == {"too few rows"}
    bare = Holdout()
    bare.frame = bare.frame.drop("region")
    assert verdict(judge(bare, in_slices, bare.chance, None, bootstrap=True), "calibrated").outcome is Outcome.ERROR


def test_slice_p_values_are_corrected_for_their_number_and_only_for_judged_ones(holdout: Holdout) -> None:
    scores = np.clip(holdout.chance + 0.06, 0, 1)
    one = slice_calibration(holdout.late, scores, holdout.members()[:1], units=None, limit=0.03)[0].adjusted_p_value
    three = slice_calibration(holdout.late, scores, holdout.members(), units=None, limit=0.03)
    assert one is not None
    assert max(part.adjusted_p_value or 0 for part in three) >= one
    assert {
        part.adjusted_p_value for part in slice_calibration(holdout.late, scores, holdout.members(), units=None, limit=None)
    } == {None}
    unjudged = [replace(part, judged=False) for part in holdout.members()]
    assert {part.adjusted_p_value for part in slice_calibration(holdout.late, scores, unjudged, units=None, limit=0.03)} == {None}


def test_a_multiclass_model_is_judged_by_its_decided_class_and_by_each_class(contract_with: ContractWith) -> None:
    contract = contract_with(
        {
            "task": "multiclass",
            "decision": None,
            "gates.offline": {"metrics": {"accuracy": {"min": 0.3}}, "calibration": {"max_ece": 0.5}},
        }
    )
    draw = np.random.default_rng(2)
    shares = draw.dirichlet([1.0, 1.0, 1.0], 4000)
    kinds = (shares.cumsum(axis=1) < draw.random((4000, 1))).sum(axis=1)
    frame = pl.DataFrame({"parcel": np.arange(4000), "late": np.array(["a", "b", "c"])[kinds]})

    def calibrated(scores: Array):
        found = evaluate(frame, scores, None, contract=contract, seed=1, classes=["a", "b", "c"], bootstrap=True)
        return verdict(offline_gate(found, contract), "calibrated")

    assert calibrated(shares).passed
    moved = shares + np.array([0.0, 0.12, -0.12]) * np.minimum(shares[:, [2]], 0.5) / shares[:, 2].mean() * 0.95
    moved = np.clip(moved, 0, 1) / np.clip(moved, 0, 1).sum(axis=1, keepdims=True)
    found = calibrated(moved)
    assert found.outcome is Outcome.FAIL
    assert "probability of class" in found.message
    assert {row["name"] for row in found.evidence["classes"][:2]} == {"b", "c"}
    biases = {row["name"]: row["bias"] for row in found.evidence["classes"]}
    assert biases["b"] == pytest.approx(moved[:, 1].mean() - (kinds == 1).mean())


@pytest.mark.parametrize("value", [0.0, 1.0, 0.5])
def test_scores_without_variation_give_a_verdict_and_json(in_slices: Contract, holdout: Holdout, value: float) -> None:
    found = verdict(judge(holdout, in_slices, np.full(4000, value), None, bootstrap=True), "calibrated")
    assert found.outcome is Outcome.FAIL
    assert canonical_json(found.to_json())
