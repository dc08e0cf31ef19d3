"""The checks that Dagster declares are exactly those the gates give verdicts for."""

from datetime import UTC, datetime, timedelta

from retrain_assets.assets.gate_rules import (
    DATASET_RULES,
    FEATURE_RULES,
    PROMOTION_RULES,
    TRAINING_RULES,
    canary_rules,
    offline_rules,
)
from retrain_assets.experiment import CanaryData, Plan, analyse
from retrain_assets.gates import DATA_CHECKS, FEATURE_CHECKS, PROMOTION_CHECKS, TRAINING_CHECKS, offline_checks
from retrain_assets.gates.canary import canary_gate
from retrain_assets.replay.demo import contract_of_flights

CONTRACT = contract_of_flights()
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


def test_gates_before_traffic_declare_what_they_judge() -> None:
    """A check that is declared and not judged would be an error verdict; one judged and not declared would not be shown."""
    assert set(DATASET_RULES) == set(DATA_CHECKS)
    assert set(FEATURE_RULES) == set(FEATURE_CHECKS)
    assert set(TRAINING_RULES) == set(TRAINING_CHECKS)
    assert set(offline_rules(CONTRACT)) == set(offline_checks(CONTRACT))
    assert set(PROMOTION_RULES) == set(PROMOTION_CHECKS)


def test_the_canary_gate_declares_what_it_judges() -> None:
    """A look without any traffic still gives every declared check a verdict."""
    plan = Plan.from_contract(CONTRACT)
    empty = CanaryData(
        stages=(),
        measures={},
        segments={},
        cross_arm_units=0,
        duplicate_outcomes=0,
        unknown_outcomes=0,
        outcomes_before_exposure=0,
        late_outcomes=0,
    )
    look = analyse(
        empty,
        plan,
        stage="5",
        revision=3,
        stage_started_at=NOON - timedelta(hours=1),
        armed_at=NOON - timedelta(days=2),
        now=NOON,
    )
    assert {verdict.check for verdict in canary_gate(look, plan)} == set(canary_rules(CONTRACT))
