"""The canary gate: one look becomes a fixed set of verdicts, and only a complete, sound win passes."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from retrain_assets.contract import Gate, Outcome, Verdict, canonical_json, overall
from retrain_assets.experiment import Action, ArmStatistics, CanaryData, Look, analyse
from retrain_assets.gates.canary import canary_gate
from retrain_assets_tests.experiment.builders import ARMED, arm, counts, events, measure, plan_of, stratum, winning

PLAN = plan_of()
CHECKS = [
    "sample_ratio_holds",
    "outcomes_arrive",
    "units_stay_in_one_arm",
    "records_are_sound",
    "enough_units",
    "wins_cost",
    "keeps_error_rate",
]


def look_at(data: CanaryData, stage: str = "50", days: float = 5) -> Look:
    now = ARMED + timedelta(days=days)
    return analyse(data, PLAN, stage=stage, revision=4, stage_started_at=ARMED, armed_at=ARMED, now=now)


def verdicts_of(look: Look) -> dict[str, Verdict]:
    return {verdict.check: verdict for verdict in canary_gate(look, PLAN)}


def test_a_sound_win_passes_every_check() -> None:
    look = look_at(winning())
    verdicts = canary_gate(look, PLAN)
    assert [verdict.check for verdict in verdicts] == CHECKS
    assert {verdict.gate for verdict in verdicts} == {Gate.CANARY}
    assert overall(verdicts) is Outcome.PASS
    assert look.action is Action.ASK_APPROVAL
    wins = verdicts_of(look)["wins_cost"]
    assert (wins.observed, wins.threshold) == (pytest.approx(-0.1), pytest.approx(-0.01))
    assert all(canonical_json(verdict.to_json()) for verdict in verdicts)


CASES: dict[str, tuple[dict[str, Any], str, Outcome]] = {
    "ratio": ({"stages": (counts(20_000, 19_000),)}, "sample_ratio_holds", Outcome.FAIL),
    "missing": ({"stages": (counts(20_000, 20_000, with_outcome=0.7),)}, "outcomes_arrive", Outcome.FAIL),
    "crossing": ({"cross_arm_units": 500}, "units_stay_in_one_arm", Outcome.FAIL),
    "future": ({"future_rows": 2}, "records_are_sound", Outcome.FAIL),
    "few": ({"stages": (counts(499, 499),)}, "enough_units", Outcome.INCONCLUSIVE),
    "none": ({"stages": ()}, "sample_ratio_holds", Outcome.NO_DATA),
    "no outcome yet": ({"stages": ()}, "outcomes_arrive", Outcome.NO_DATA),
    "no unit": ({"stages": ()}, "enough_units", Outcome.NO_DATA),
    "no measure": ({"measures": {}}, "wins_cost", Outcome.NO_DATA),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_shown_does_not_pass(name: str) -> None:
    changes, check, outcome = CASES[name]
    look = look_at(replace(winning(), **changes))
    verdicts = canary_gate(look, PLAN)
    assert [verdict.check for verdict in verdicts] == CHECKS
    assert verdicts_of(look)[check].outcome is outcome
    assert overall(verdicts) is not Outcome.PASS
    assert look.action is not Action.ASK_APPROVAL


@pytest.mark.parametrize(
    ("cost", "outcome"),
    [
        (measure(stratum(arm(9000, 10.0, 8.0), arm(9000, 12.0, 8.0))), Outcome.FAIL),
        (measure(stratum(arm(9000, 10.0, 8.0), arm(9000, 10.0, 8.0))), Outcome.INCONCLUSIVE),
        (measure(stratum(arm(9000, 10.0, 8.0), ArmStatistics.empty())), Outcome.NO_DATA),
        (measure(stratum(arm(9000, 10.0, 8.0), ArmStatistics.of_mean(9000, math.nan, 1.0))), Outcome.ERROR),
    ],
)
def test_states_become_outcomes(cost: Any, outcome: Outcome) -> None:
    look = look_at(replace(winning(), measures={**winning().measures, "cost": cost}))
    assert verdicts_of(look)["wins_cost"].outcome is outcome
    assert overall(canary_gate(look, PLAN)) is outcome


def test_a_broken_guardrail_fails_although_the_success_measure_wins() -> None:
    harmed = measure(stratum(events(9000, 90), events(9000, 400)))
    verdicts = verdicts_of(look_at(replace(winning(), measures={**winning().measures, "error_rate": harmed})))
    assert verdicts["wins_cost"].passed
    assert verdicts["keeps_error_rate"].outcome is Outcome.FAIL
    assert verdicts["keeps_error_rate"].threshold == 0.01


def test_a_win_at_an_early_stage_does_not_open_the_gate() -> None:
    data = replace(winning(), stages=(counts(19_000, 1_000, stage="5", share=0.05),))
    assert verdicts_of(look_at(data, "5"))["enough_units"].outcome is Outcome.INCONCLUSIVE


def test_a_look_of_another_plan_does_not_pass() -> None:
    look = look_at(winning())
    stricter = replace(PLAN, measures=(replace(PLAN.measures[0], min_effect=0.05), PLAN.measures[1]))
    assert {verdict.check: verdict.outcome for verdict in canary_gate(look, stricter)}["wins_cost"] is Outcome.ERROR


def test_a_look_without_its_health_checks_does_not_pass() -> None:
    verdicts = verdicts_of(replace(look_at(winning()), health=()))
    assert verdicts["sample_ratio_holds"].outcome is Outcome.NO_DATA
    assert verdicts["records_are_sound"].outcome is Outcome.NO_DATA
