"""The one view: business beside the technical side, and which of them says what."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from retrain_assets.contract import Contract
from retrain_assets.experiment import Action, HealthCheck, Look, MeasureResult, MeasureSpec, MeasureState
from retrain_assets.experiment.loss.failure_modes import FailureMode
from retrain_assets.gates.canary_view import (
    CanaryView,
    Commercial,
    canary_view,
    failure_of_document,
    look_document,
    lost_measures,
    technical_measures,
    worst_segment,
)
from retrain_assets.gates.technical_health import TechnicalLimits, judged
from retrain_assets.gates.technical_side import ArmTechnical, FeatureShift, Health, PredictionShift, TechnicalSide
from retrain_assets_tests.gates.conftest import CONTRACT as VALUES

COST = MeasureSpec("cost", "success", "decrease", min_effect=0.01)
ERRORS = MeasureSpec("error", "guardrail", "decrease", margin=0.01)


def contract(**experiment: Any) -> Contract:
    values = deepcopy(VALUES)
    values["experiment"].update(experiment)
    return Contract.model_validate(values)


def result(spec: MeasureSpec = COST, state: MeasureState = MeasureState.WORSE, estimate: float = 0.8) -> MeasureResult:
    low, high = estimate - 0.3, estimate + 0.3
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
        f"{spec.name} {state}",
    )


def look(*results: MeasureResult, **changes: Any) -> Look:
    at = datetime(2024, 3, 1, tzinfo=UTC)
    given = {"action": Action.ROLL_BACK, "reason": "harm", **changes}
    return Look(at, "50", 4, results or (result(),), (HealthCheck("counts", True, "fine"),), **given)


def arm(**changes: Any) -> ArmTechnical:
    seen: dict[str, Any] = {
        "requests": 5000, "units": 5000, "error_share": 0.001, "latency_p50_ms": 5.0, "latency_p95_ms": 10.0,
        "latency_p99_ms": 20.0, "positive_share": 0.3, "score_mean": 0.31,
        "labelled": 2000, "label_mean": 0.3, "prediction_mean": 0.31,
        "calibration_bias": 0.01, "bias_by_chance": 0.02, "calibration_error": 0.02, "error_by_chance": 0.03,
    }  # fmt: skip
    return ArmTechnical(**{**seen, **changes})


def side(challenger: ArmTechnical | None = None, **changes: Any) -> TechnicalSide:
    return TechnicalSide(arm(), challenger or arm(), **changes)


def shift(psi: float = 0.4, **changes: Any) -> FeatureShift:
    return replace(FeatureShift("rain", psi, psi, True, 900, 1.0, 2.0, 1.0), **changes)


def view(total: TechnicalSide, *results: MeasureResult, **segments: Any) -> CanaryView:
    return canary_view(look(*results), contract(), {"total": total, **segments})


def test_a_model_can_be_healthy_technically_and_worse_commercially() -> None:
    found = view(side())
    assert (found.total.health, found.total.commercial) == (Health.HEALTHY, Commercial.WORSE)
    assert found.sentence == "healthy technically, worse commercially: cost 10 → 10.8 (+8.0%)"


def test_a_model_can_be_better_commercially_and_not_healthy_technically() -> None:
    sick = side(arm(calibration_bias=0.12, latency_p95_ms=23.0))
    found = view(sick, result(state=MeasureState.BETTER, estimate=-1.0))
    assert (found.total.health, found.total.commercial) == (Health.UNHEALTHY, Commercial.BETTER)
    assert found.sentence.startswith(
        "better commercially (cost 10 → 9 (-10.0%)), but the challenger is not healthy technically: "
    )
    assert "its calibration bias is +0.12 on 2,000 matured outcomes" in found.sentence
    assert "p95 latency is 2.3 × the champion's (23 ms against 10 ms)" in found.sentence


@pytest.mark.parametrize(
    ("state", "challenger", "words"),
    [
        (MeasureState.BETTER, arm(), "healthy technically, better commercially"),
        (MeasureState.INCONCLUSIVE, arm(), "healthy technically, commercially nothing is shown yet"),
        (MeasureState.WORSE, arm(error_share=0.2), "worse commercially (cost 10 → 10.8 (+8.0%)) and not healthy technically"),
        (MeasureState.INCONCLUSIVE, arm(error_share=0.2), "not healthy technically: it fails on 20.00% of its requests"),
        (MeasureState.INCONCLUSIVE, ArmTechnical(), "technically not to be judged yet, commercially nothing is shown yet"),
        (MeasureState.NO_DATA, ArmTechnical(), "technically not to be judged yet"),
        (MeasureState.ERROR, arm(), "healthy technically, commercially nothing is shown yet"),
    ],
)
def test_each_of_the_other_pairs_has_its_sentence(state: MeasureState, challenger: ArmTechnical, words: str) -> None:
    assert view(side(challenger), result(state=state)).sentence.startswith(words)


def test_a_lost_guardrail_of_errors_is_the_technical_side_and_not_the_commercial() -> None:
    found = view(side(), result(state=MeasureState.BETTER, estimate=-1.0), result(ERRORS))
    assert (found.total.health, found.total.commercial) == (Health.UNHEALTHY, Commercial.BETTER)
    assert found.total.problems[0].name == "error"
    assert technical_measures(contract()) == {"error"}


def test_a_segment_that_says_otherwise_than_the_total_is_in_the_sentence() -> None:
    segments = {"region=north": (result(),), "region=south": (result(state=MeasureState.BETTER, estimate=-1.0),)}
    found = canary_view(
        look(result(state=MeasureState.BETTER, estimate=-1.0), segments=segments),
        contract(),
        {"total": side(), "region=north": side(), "region=south": side(arm(error_share=0.3))},
    )
    assert "; but region=north is worse commercially (and 1 more segments)" in found.sentence
    north, south = found.row("region=north"), found.row("region=south")
    assert north is not None
    assert south is not None
    assert (north.commercial, south.health) == (Commercial.WORSE, Health.UNHEALTHY)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"error_share": 0.012}, "error_share"),
        ({"error_share": 1.0}, "no_answers"),
        ({"latency_p95_ms": 16.0}, "latency_p95"),
        ({"calibration_bias": -0.05}, "calibration_bias"),
        ({"calibration_error": 0.07}, "calibration_error"),
        ({"error_share": 0.0105}, None),
        ({"latency_p95_ms": 14.9}, None),
        ({"calibration_bias": 0.03}, None),
        ({"calibration_error": 0.045}, None),
        ({"calibration_bias": 0.05, "bias_by_chance": 0.06}, None),
        ({"calibration_bias": 0.05, "labelled": 99}, None),
        ({"error_share": 0.5, "requests": 199}, None),
    ],
)
def test_what_is_beyond_a_limit_of_the_contract_and_beyond_chance_is_a_problem(
    changes: dict[str, Any], problem: str | None
) -> None:
    """The contract limits errors to 0.01 more, bias to 0.04 and the calibration error to 0.05; p95 may be 1.5 times as high."""
    problems = judged(side(arm(**changes)), TechnicalLimits.from_contract(contract())).problems
    assert [one.name for one in problems] == ([problem] if problem else [])


def test_latency_nobody_notices_is_no_problem_whatever_the_ratio() -> None:
    quick = TechnicalSide(arm(latency_p95_ms=0.01), arm(latency_p95_ms=0.4))
    assert judged(quick, TechnicalLimits()).problems == ()


def test_errors_within_chance_are_no_problem() -> None:
    assert judged(side(arm(error_share=0.03), error_p_value=0.2), TechnicalLimits()).problems == ()
    assert judged(side(arm(error_share=0.03), error_p_value=0.001), TechnicalLimits()).problems[0].name == "error_share"


def test_other_scores_are_a_problem_only_while_no_label_says_who_is_right() -> None:
    far = PredictionShift(0.5, 0.49, 1e-9, 0.1, 2)
    assert judged(side(prediction_shift=far), TechnicalLimits()).problems == ()
    unlabelled = side(arm(labelled=0, calibration_bias=None, calibration_error=None), prediction_shift=far)
    (problem,) = judged(unlabelled, TechnicalLimits()).problems
    assert problem.name == "prediction_shift"
    assert "no labels" in problem.sentence


def test_a_regressions_bias_is_limited_in_standard_deviations_of_its_label() -> None:
    limits = TechnicalLimits(bias=0.2, calibration_error=None)
    biased = arm(calibration_bias=30.0, calibration_error=90.0, bias_by_chance=5.0, error_by_chance=None)
    assert judged(side(biased, label_std=200.0), limits).problems == ()
    assert [one.name for one in judged(side(biased, label_std=100.0), limits).problems] == ["calibration_bias"]


def test_a_guardrail_of_the_contract_says_how_much_slower_is_tolerated() -> None:
    guardrail = {"p95": {"column": "latency_ms", "quantile": 0.95, "direction": "decrease", "max_regression": 0.1}}
    assert TechnicalLimits.from_contract(contract(guardrails=guardrail)).latency_ratio == pytest.approx(1.1)
    assert TechnicalLimits.from_contract(contract()).latency_ratio == 1.5


def test_what_could_not_be_judged_is_said() -> None:
    nothing = judged(TechnicalSide(ArmTechnical(), ArmTechnical()), TechnicalLimits())
    assert nothing.health is Health.UNKNOWN
    assert len(nothing.unjudged) == 4
    assert nothing.unjudged[0] == "the champion has 0 of 200 requests needed to judge latency and errors"


@pytest.mark.parametrize(("champion", "health"), [(0.3, Health.HEALTHY), (0.15, Health.UNHEALTHY)])
def test_drift_that_both_models_met_makes_none_of_them_unhealthy(champion: float, health: Health) -> None:
    """A season moves the live rows away from every training; only what moved farther from the challenger's is its own."""
    moved = side(challenger_features=(shift(psi=0.4),), champion_features=(shift(psi=champion),))
    assert judged(moved, TechnicalLimits()).health is health


def segmented(*, north: float, south: float, champion: float = 0.3, whole: float = 0.3) -> tuple[Look, CanaryView]:
    segments = {"region=north": (result(estimate=2.0),), "region=south": (result(estimate=0.1),)}
    seen = look(result(), segments=segments)
    sides = {
        "total": side(challenger_features=(shift(psi=whole),), champion_features=(shift(psi=champion),)),
        "region=north": side(challenger_features=(shift(psi=north),)),
        "region=south": side(challenger_features=(shift(psi=south),)),
    }
    return seen, canary_view(seen, contract(), sides)


def test_features_that_moved_in_the_worst_segment_and_not_elsewhere_say_why_it_lost() -> None:
    seen, found = segmented(north=0.4, south=0.05)
    failure = found.failure(seen)
    assert found.worst_segment == "region=north"
    assert (failure.mode, failure.evidence[0].name) == (FailureMode.FEATURE_DRIFT, "rain")
    assert failure.sentence == (
        "the features of the worst segment (region=north) moved since training: rain by PSI 0.4 (mean 1 → 2), on 900 live rows; "
        "in the other segments it moved by 0.05"
    )


def test_features_that_moved_for_everybody_and_for_the_champion_alike_are_no_reason() -> None:
    seen, found = segmented(north=0.4, south=0.38)
    failure = found.failure(seen)
    assert failure.mode is FailureMode.GENUINE_WEAKNESS
    assert failure.evidence[-1].mode is FailureMode.FEATURE_DRIFT
    assert "does not say why" in failure.evidence[-1].sentence


def test_rows_that_left_the_challengers_training_and_not_the_champions_are_a_reason() -> None:
    seen, found = segmented(north=0.4, south=0.38, champion=0.1, whole=0.4)
    assert found.failure(seen).mode is FailureMode.FEATURE_DRIFT


@pytest.mark.parametrize(
    "small",
    [shift(psi=0.2), shift(shown=False), shift(importance=0.1), shift(same_segment=False)],
    ids=["small", "within chance", "unimportant", "the segment's own training is not there"],
)
def test_a_shift_that_cannot_matter_is_no_evidence(small: FeatureShift) -> None:
    seen = look(result(), segments={"region=north": (result(),)})
    found = canary_view(seen, contract(), {"total": side(), "region=north": side(challenger_features=(small,))})
    assert {one.mode for one in found.failure(seen).evidence} == {FailureMode.GENUINE_WEAKNESS}


def test_failing_or_late_answers_are_infrastructure_before_weakness() -> None:
    found = view(side(arm(error_share=0.3)))
    failure = found.failure(look())
    assert failure.mode is FailureMode.INFRASTRUCTURE
    assert "30.00% of its requests" in failure.sentence


def test_the_worst_segment_goes_by_the_shrunk_estimate() -> None:
    lucky = replace(result(estimate=9.0), shrunk_estimate=0.2)
    steady = replace(result(estimate=1.0), shrunk_estimate=0.9)
    assert worst_segment(look(result(), segments={"a=1": (lucky,), "a=2": (steady,)})) == "a=2"
    assert worst_segment(look(result(), segments={"a=1": (result(estimate=-1.0),)})) is None
    assert worst_segment(look(result(state=MeasureState.BETTER, estimate=-1.0))) is None


def test_lost_measures_are_those_shown_worse_else_those_undecided_on_the_bad_side() -> None:
    undecided = result(state=MeasureState.INCONCLUSIVE)
    tolerated = result(MeasureSpec("missed", "guardrail", "decrease", margin=5.0), MeasureState.NON_INFERIOR)
    assert lost_measures(look(undecided, tolerated, result(ERRORS)), frozenset({"error"})) == [undecided]
    assert lost_measures(look(undecided, result())) == [result()]
    assert lost_measures(look(MeasureResult(COST, MeasureState.NO_DATA, *[None] * 8, 0, 0, ""))) == []


def test_a_recorded_look_holds_view_and_failure_and_is_still_a_look() -> None:
    seen, found = segmented(north=0.4, south=0.05)
    document = json.loads(json.dumps(look_document(seen, found), allow_nan=False))
    assert Look.from_json(document) == seen
    assert CanaryView.from_json(document["view"]) == found
    assert failure_of_document(document) == found.failure(seen)
    assert document["view"]["total"]["sentence"] == found.total.sentence
    assert look_document(replace(seen, action=Action.HOLD), found)["failure"] is None


def test_a_look_recorded_before_there_was_a_view_has_a_failure_too() -> None:
    assert failure_of_document(look().to_json()).mode is FailureMode.GENUINE_WEAKNESS
