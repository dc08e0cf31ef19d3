"""Gate TRAINING: what was not measured does not pass, and each fault closes its own check."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from retrain_assets.contract import Contract, Outcome, canonical_json
from retrain_assets.gates import TRAINING_CHECKS, TrainingEvidence, training_gate
from retrain_assets_tests.gates.conftest import verdict

SOUND = TrainingEvidence(
    duration_s=12.0,
    artifact_loaded=True,
    reload_max_difference=0.0,
    refit_same_digest=True,
    refit_max_difference=0.0,
    loss=0.5,
    baseline_loss=0.6,
    loss_rows=250,
)


def test_a_sound_candidate_passes_every_check(contract: Contract) -> None:
    verdicts = training_gate(SOUND, contract=contract)
    assert [each.check for each in verdicts] == list(TRAINING_CHECKS)
    assert all(each.passed for each in verdicts)
    assert canonical_json([each.to_json() for each in verdicts])


def test_nothing_measured_opens_nothing(contract: Contract) -> None:
    assert {each.outcome for each in training_gate(TrainingEvidence(), contract=contract)} == {Outcome.NO_DATA}


def test_a_trainer_that_raised_fails_with_its_reason(contract: Contract) -> None:
    verdicts = training_gate(TrainingEvidence(error="ValueError: negative learning rate"), contract=contract)
    assert verdict(verdicts, "training_succeeded").outcome is Outcome.FAIL
    assert "negative learning rate" in verdict(verdicts, "training_succeeded").message
    assert not any(each.passed for each in verdicts)


@pytest.mark.parametrize(
    ("change", "check", "outcome"),
    [
        ({"error": "out of memory"}, "training_succeeded", Outcome.FAIL),
        ({"artifact_loaded": False}, "artifact_loads", Outcome.FAIL),
        ({"load_error": "model.txt is truncated"}, "artifact_loads", Outcome.FAIL),
        ({"reload_max_difference": 1e-6}, "predictions_survive_reload", Outcome.FAIL),
        ({"reload_max_difference": float("nan")}, "predictions_survive_reload", Outcome.ERROR),
        ({"refit_same_digest": False, "refit_max_difference": 1e-3}, "refit_reproduces", Outcome.FAIL),
        ({"refit_same_digest": None, "refit_max_difference": None}, "refit_reproduces", Outcome.NO_DATA),
        ({"refit_same_digest": False, "refit_max_difference": float("nan")}, "refit_reproduces", Outcome.ERROR),
        ({"loss": 0.58}, "beats_baseline", Outcome.FAIL),
        ({"loss": 0.7}, "beats_baseline", Outcome.FAIL),
        ({"loss": float("nan")}, "beats_baseline", Outcome.ERROR),
        ({"loss": float("inf")}, "beats_baseline", Outcome.ERROR),
        ({"baseline_loss": None}, "beats_baseline", Outcome.NO_DATA),
        ({"baseline_loss": 0.0}, "beats_baseline", Outcome.NO_DATA),
        ({"duration_s": 601.0}, "within_budget", Outcome.FAIL),
    ],
)
def test_a_fault_closes_its_own_check_and_no_other(
    contract: Contract, change: dict[str, Any], check: str, outcome: Outcome
) -> None:
    verdicts = training_gate(replace(SOUND, **change), contract=contract)
    assert verdict(verdicts, check).outcome is outcome
    assert [each.check for each in verdicts if not each.passed] == [check]


def test_a_refit_with_other_bytes_and_the_same_scores_reproduces(contract: Contract) -> None:
    other_bytes = replace(SOUND, refit_same_digest=False, refit_max_difference=1e-9)
    assert verdict(training_gate(other_bytes, contract=contract), "refit_reproduces").passed


def test_a_candidate_as_good_as_a_constant_does_not_beat_it_even_where_no_gain_is_required(contract: Contract) -> None:
    lenient = contract.gates.training.model_copy(update={"min_gain_over_baseline": 0.0})
    gates = contract.gates.model_copy(update={"training": lenient})
    verdicts = training_gate(replace(SOUND, loss=0.6), contract=contract.model_copy(update={"gates": gates}))
    assert verdict(verdicts, "beats_baseline").outcome is Outcome.FAIL


def test_evidence_survives_json_and_a_lost_number_is_not_measured(contract: Contract) -> None:
    assert TrainingEvidence.from_json(SOUND.to_json()) == SOUND
    lost = TrainingEvidence.from_json(replace(SOUND, loss=float("nan")).to_json())
    assert verdict(training_gate(lost, contract=contract), "beats_baseline").outcome is Outcome.NO_DATA
