"""Why a challenger lost: every ending gets one mode, from named evidence, strongest first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.experiment import Action, HealthCheck, Look, MeasureResult, MeasureSpec, MeasureState
from retrain_assets.experiment.decision.economics import NetValue, Worth
from retrain_assets.experiment.look import Cause
from retrain_assets.experiment.loss.failure_modes import (
    Evidence,
    Failure,
    FailureMode,
    failure_of_look,
    failure_of_stage,
    failure_of_verdicts,
    strongest,
    units_needed,
)
from retrain_assets.experiment.loss.threshold_effect import Rule, ThresholdEffect

COST = MeasureSpec("cost", "success", "decrease", min_effect=0.01)
SLOW = MeasureSpec("latency_p95", "guardrail", "decrease", max_regression=0.2)


def result(spec: MeasureSpec, state: MeasureState, estimate: float = 1.0, spread: float = 0.4) -> MeasureResult:
    low, high = estimate - spread, estimate + spread
    return MeasureResult(
        spec,
        state,
        10.0,
        10 + estimate,
        estimate,
        low,
        high,
        estimate / 10,
        low / 10,
        high / 10,
        900,
        700,
        f"{spec.name}: {state}",
    )


def look(*results: MeasureResult, action: Action = Action.ROLL_BACK, **changes: object) -> Look:
    at = datetime(2024, 3, 1, tzinfo=UTC)
    return Look(at, "50", 4, results, (HealthCheck("counts", True, "fine"),), action=action, reason="why", **changes)  # type: ignore[arg-type]


def effect(measure: str = "cost", *, before: float = 1.0, after: float = -0.8, error: float = 0.2) -> ThresholdEffect:
    return ThresholdEffect(
        measure, "decrease", Rule.SAME_PROBABILITY, 0.33, 0.18, 0.33, 0.45, 0.03, 0.48, before, 0.2, after, 0.2, after - before,
        error, 4000, 900,
    )  # fmt: skip


WORSE = result(COST, MeasureState.WORSE)


def test_a_measure_shown_worse_with_nothing_else_wrong_is_genuine_weakness_with_its_size() -> None:
    found = failure_of_look(look(WORSE))
    assert found.mode is FailureMode.GENUINE_WEAKNESS
    assert "11 against the champion's 10 (+10.0%)" in found.sentence
    assert "1600 units" in found.sentence


def test_an_effect_that_changes_sign_at_a_rechosen_threshold_comes_before_weakness() -> None:
    found = failure_of_look(look(WORSE), thresholds=[effect()])
    assert found.mode is FailureMode.THRESHOLD_SELECTION
    assert found.sentence.startswith(
        "the effect changes sign when the decision threshold is re-chosen on the champion's calibration"
    )
    assert "cost +1 (±0.2) at 0.33 would have been -0.8 (±0.2) at 0.18" in found.sentence
    assert [one.mode for one in found.evidence] == [FailureMode.THRESHOLD_SELECTION, FailureMode.GENUINE_WEAKNESS]


@pytest.mark.parametrize(
    "useless",
    [effect(after=0.3), effect(error=1.0), effect(before=-0.5, after=-0.8)],
    ids=["still harm", "within chance", "was no harm"],
)
def test_a_threshold_that_does_not_turn_harm_into_gain_beyond_chance_is_no_evidence(useless: ThresholdEffect) -> None:
    assert failure_of_look(look(WORSE), thresholds=[useless]).mode is FailureMode.GENUINE_WEAKNESS


def test_a_threshold_that_cures_one_lost_measure_and_not_another_does_not_explain_the_loss() -> None:
    found = failure_of_look(look(WORSE), thresholds=[effect(), effect("missed", after=0.5)])
    assert found.mode is FailureMode.GENUINE_WEAKNESS
    assert found.evidence[-1].mode is FailureMode.THRESHOLD_SELECTION


def test_unsound_records_come_before_everything() -> None:
    broken = HealthCheck("sample_ratio", False, "the split does not fit", 1e-9, 0.005)
    found = failure_of_look(replace(look(WORSE), health=(broken,)), thresholds=[effect()])
    assert (found.mode, found.evidence[0].name) == (FailureMode.DATA_QUALITY, "sample_ratio")


@pytest.mark.parametrize(
    "unusable",
    [
        look(result(COST, MeasureState.ERROR)),
        look(result(COST, MeasureState.NO_DATA), cause=Cause.MISSING_DATA),
    ],
    ids=["a measure cannot be computed", "records did not come"],
)
def test_measures_that_cannot_be_had_are_data_quality(unusable: Look) -> None:
    assert failure_of_look(unusable).mode is FailureMode.DATA_QUALITY


def test_a_lost_guardrail_of_latency_or_errors_is_infrastructure_and_no_weakness() -> None:
    found = failure_of_look(look(result(SLOW, MeasureState.WORSE), WORSE), technical_measures=["latency_p95"])
    assert (found.mode, found.evidence[0].name) == (FailureMode.INFRASTRUCTURE, "latency_p95")
    assert failure_of_look(look(result(SLOW, MeasureState.WORSE))).mode is FailureMode.GENUINE_WEAKNESS


def test_time_that_ran_out_names_the_units_it_would_have_needed() -> None:
    """1,600 units leave limits of ±0.04 around an improvement of 3 %; to exclude less than 1 %, four times as many are needed."""
    undecided = result(COST, MeasureState.INCONCLUSIVE, estimate=-0.3, spread=0.4)
    found = failure_of_look(look(undecided, action=Action.REJECT))
    assert found.mode is FailureMode.INCONCLUSIVE
    assert units_needed(undecided) == pytest.approx(6400)
    assert "about 6,400 units, and had 1,600" in found.sentence


def test_an_effect_on_the_wrong_side_is_not_promised_to_show_with_more_units() -> None:
    undecided = result(COST, MeasureState.INCONCLUSIVE, estimate=0.1)
    found = failure_of_look(look(undecided, action=Action.REJECT))
    assert units_needed(undecided) == float("inf")
    assert "more units would not have shown it" in found.sentence
    assert found.to_json()["evidence"][0]["limit"] is None


def test_a_winner_that_is_not_worth_its_cost_says_so() -> None:
    value = NetValue("cost", "EUR", 30, 1000, -50, -80, -10, 20, 30, 20, 20, 0.0, Worth.NOT_WORTH_IT, "costs more than it brings")
    found = failure_of_look(
        look(result(COST, MeasureState.BETTER, -1.0), action=Action.REJECT, net_value=value, cause=Cause.NOT_WORTH_IT)
    )
    assert (found.mode, found.sentence) == (FailureMode.NOT_WORTH_IT, "costs more than it brings")


def test_every_look_has_a_mode_even_without_a_measure() -> None:
    assert failure_of_look(look()).mode is FailureMode.INCONCLUSIVE
    assert (
        failure_of_look(look(MeasureResult(COST, MeasureState.NO_DATA, *[None] * 8, 0, 0, "none"))).mode
        is FailureMode.INCONCLUSIVE
    )


def test_evidence_that_does_not_decide_comes_last_and_does_not_give_the_mode() -> None:
    besides = Evidence(FailureMode.FEATURE_DRIFT, "rain", "moved everywhere", 2.0, 0.25, decisive=False)
    found = failure_of_look(look(WORSE), found=[besides])
    assert [one.mode for one in found.evidence] == [FailureMode.GENUINE_WEAKNESS, FailureMode.FEATURE_DRIFT]
    assert failure_of_look(look(), found=[besides]).mode is FailureMode.INCONCLUSIVE


def test_within_a_mode_what_is_farthest_beyond_its_limit_comes_first() -> None:
    small, large, tiny = (
        Evidence(FailureMode.DATA_QUALITY, name, name, value, 1.0) for name, value in (("a", 2), ("b", 9), ("c", 1e-4))
    )
    assert [one.name for one in strongest([small, large, tiny]).evidence] == ["c", "b", "a"]
    with pytest.raises(ValueError, match="there is none"):
        strongest([])


@pytest.mark.parametrize(
    ("gate", "check", "outcome", "mode"),
    [
        (Gate.DATA, "enough_rows", Outcome.FAIL, FailureMode.DATA_QUALITY),
        (Gate.DATA, "schema_holds", Outcome.ERROR, FailureMode.DATA_QUALITY),
        (Gate.DATA, "no_single_feature_separates_label", Outcome.FAIL, FailureMode.LEAKAGE),
        (Gate.DATA, "features_are_known_in_time", Outcome.FAIL, FailureMode.LEAKAGE),
        (Gate.DATA, "holdout_resembles_training", Outcome.FAIL, FailureMode.FEATURE_DRIFT),
        (Gate.TRAINING, "artifact_loads", Outcome.FAIL, FailureMode.INFRASTRUCTURE),
        (Gate.TRAINING, "beats_baseline", Outcome.FAIL, FailureMode.GENUINE_WEAKNESS),
        (Gate.OFFLINE, "not_worse_roc_auc", Outcome.FAIL, FailureMode.GENUINE_WEAKNESS),
        (Gate.OFFLINE, "not_worse_roc_auc", Outcome.INCONCLUSIVE, FailureMode.INCONCLUSIVE),
        (Gate.OFFLINE, "calibrated", Outcome.FAIL, FailureMode.THRESHOLD_SELECTION),
        (Gate.OFFLINE, "latency_within_budget", Outcome.FAIL, FailureMode.INFRASTRUCTURE),
        (Gate.OFFLINE, "meets_roc_auc", Outcome.ERROR, FailureMode.INFRASTRUCTURE),
        (Gate.OFFLINE, "meets_roc_auc", Outcome.NO_DATA, FailureMode.INCONCLUSIVE),
    ],
)
def test_a_closed_gate_before_traffic_has_a_mode(gate: Gate, check: str, outcome: Outcome, mode: FailureMode) -> None:
    found = failure_of_verdicts(
        [Verdict(gate, "another", Outcome.PASS, "fine"), Verdict(gate, check, outcome, "what was seen", 3, 2)]
    )
    assert found is not None
    assert (found.mode, found.sentence, found.evidence[0].name) == (mode, "what was seen", f"{gate.value}.{check}")
    assert len(found.evidence) == 1


def test_open_gates_are_no_failure() -> None:
    assert failure_of_verdicts([Verdict(Gate.DATA, "enough_rows", Outcome.PASS, "fine")]) is None
    assert failure_of_verdicts([Verdict(Gate.PROMOTION, "approved_by_enough", Outcome.FAIL, "nobody yet")]) is None


def test_a_stage_that_breaks_is_data_where_data_are_read_and_infrastructure_elsewhere() -> None:
    assert failure_of_stage("dataset", "no such file").mode is FailureMode.DATA_QUALITY
    assert failure_of_stage("training", "out of memory").mode is FailureMode.INFRASTRUCTURE


def test_a_failure_is_stored_and_read_back() -> None:
    found = failure_of_look(look(WORSE), thresholds=[effect()])
    assert Failure.from_json(found.to_json()) == found
    assert found.to_json()["sentence"] == found.sentence
