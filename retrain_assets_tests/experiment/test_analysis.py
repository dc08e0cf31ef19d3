"""The action of a look: when it steps, asks, holds, rolls back, rejects; and that nothing unsound advances."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from retrain_assets.contract import StageError, canonical_json
from retrain_assets.experiment import (
    Action,
    ArmCounts,
    ArmStatistics,
    CanaryData,
    Cause,
    Look,
    MeasureState,
    analyse,
)
from retrain_assets_tests.experiment.builders import ARMED, arm, counts, events, measure, open_canary, plan_of, stratum, winning
from retrain_assets_tests.experiment.stories import look_at as look_at_plan
from retrain_assets_tests.experiment.stories import watch

PLAN = plan_of()
DAY = timedelta(days=1)


def look_at(data: CanaryData, stage: str = "50", *, days: float = 5, in_stage: float = 2, **changes: Any) -> Look:
    now = ARMED + days * DAY
    times = {"stage_started_at": now - in_stage * DAY, "armed_at": ARMED, "now": now, **changes}
    return analyse(data, PLAN, stage=stage, revision=4, **times)


@pytest.mark.parametrize(("quiet_days", "warned"), [(0.9, False), (1.0, True), (4.0, True)])
def test_traffic_that_stops_in_the_middle_of_a_stage_is_said(quiet_days: float, warned: bool) -> None:
    plan = replace(plan_of(), outcome_window=timedelta(days=2))
    newest = ARMED + timedelta(days=9 - 2 - quiet_days)
    data = replace(open_canary(), first_traffic_at=ARMED, last_matured_at=newest)
    warnings = look_at_plan(plan, data, days=9).warnings
    assert any("nothing new has matured" in one for one in warnings) == warned


def test_a_shown_win_with_kept_guardrails_asks_for_approval() -> None:
    look = look_at(winning())
    assert look.action is Action.ASK_APPROVAL
    assert look.is_valid
    assert [result.state for result in look.results] == [MeasureState.BETTER, MeasureState.NON_INFERIOR]


def test_an_open_guardrail_keeps_a_winner_waiting() -> None:
    data = replace(winning(), measures={**winning().measures, "error_rate": measure(stratum(events(300, 0), events(300, 0)))})
    look = look_at(data)
    assert look.action is Action.HOLD
    assert "error_rate" in look.reason


def test_harm_rolls_back_at_any_stage_and_even_when_the_look_is_invalid() -> None:
    worse = {**winning().measures, "cost": measure(stratum(arm(5000, 10.0, 8.0), arm(5000, 12.0, 8.0)))}
    data = replace(winning(), measures=worse)
    assert look_at(data).action is Action.ROLL_BACK
    assert look_at(data, "5").action is Action.ROLL_BACK
    broken = replace(data, stages=(counts(20_000, 10_000),))
    assert not look_at(broken).is_valid
    assert look_at(broken).action is Action.ROLL_BACK
    assert look_at(broken, days=40).action is Action.ROLL_BACK


@pytest.mark.parametrize(
    ("stage", "number", "in_stage", "action"),
    [
        ("shadow", 499, 2, Action.HOLD),
        ("shadow", 500, 2, Action.STEP),
        ("5", 500, 0.9, Action.HOLD),
        ("5", 499, 2, Action.HOLD),
        ("5", 500, 1, Action.STEP),
        ("7", 500, 1, Action.HOLD),
    ],
)
def test_a_stage_is_left_after_enough_units_and_enough_time(stage: str, number: int, in_stage: float, action: Action) -> None:
    share = 0.0 if stage == "shadow" else 0.05
    champion = 600 if stage == "shadow" else number * 19
    data = replace(open_canary(), stages=(counts(champion, number, stage=stage, share=share),))
    assert look_at(data, stage, in_stage=in_stage).action is action


def test_units_of_one_stage_are_added_over_its_revisions() -> None:
    data = replace(
        open_canary(),
        stages=(counts(9500, 300, revision=4, stage="5", share=0.03), counts(3800, 200, revision=5, stage="5", share=0.05)),
    )
    assert look_at(data, "5").action is Action.STEP


def test_a_shown_win_waits_for_the_shortest_duration_of_the_experiment() -> None:
    """Two full weeks are two full weeks: a win on the fifth day is not asked about before the fourteenth."""
    patient = replace(PLAN, min_experiment=14 * DAY)
    times = {"stage": "50", "revision": 4, "stage_started_at": ARMED + 2 * DAY, "armed_at": ARMED}
    early = analyse(winning(), patient, now=ARMED + 5 * DAY, **times)
    assert early.action is Action.HOLD
    assert "has lasted 5.0 days of 14d" in early.reason
    assert analyse(winning(), patient, now=ARMED + 14 * DAY, **times).action is Action.ASK_APPROVAL


def test_only_matured_units_count_for_a_stage() -> None:
    unripe = replace(counts(9500, 500, stage="5", share=0.05), challenger=ArmCounts(500, 499, 499))
    assert look_at(replace(open_canary(), stages=(unripe,)), "5").action is Action.HOLD


def test_inconclusive_ends_in_a_rejection_at_the_longest_duration() -> None:
    assert look_at(open_canary(), days=27.9).action is Action.HOLD
    rejected = look_at(open_canary(), days=28)
    assert (rejected.action, rejected.cause) == (Action.REJECT, Cause.INCONCLUSIVE)
    assert look_at(CanaryData(stages=(), measures={}), "shadow", days=28).action is Action.REJECT
    assert look_at(winning(), days=28).action is Action.ASK_APPROVAL


def test_no_stage_is_left_when_the_time_is_over() -> None:
    """More traffic for a challenger that had its time would promote nobody."""
    data = replace(open_canary(), stages=(counts(9_500, 900, stage="5", share=0.086),))
    assert look_at(data, "5", days=27.9).action is Action.STEP
    ended = look_at(data, "5", days=28)
    assert (ended.action, ended.cause) == (Action.REJECT, Cause.INCONCLUSIVE)
    assert look_at_plan(replace(plan_of(), extend_to=42 * DAY), data, stage="5", days=28).action is Action.STEP


def test_extended_experiments_say_so_and_end() -> None:
    plan = replace(plan_of(), extend_to=42 * DAY)
    looks = watch(plan, [(27, open_canary()), (28, open_canary()), (41.9, open_canary()), (42, open_canary())])
    assert [look.action for look in looks] == [Action.HOLD, Action.HOLD, Action.HOLD, Action.REJECT]
    assert "extended" not in looks[0].reason
    assert "extended to 42d" in looks[1].reason
    assert "inconclusive after 42d" in looks[3].reason
    assert look_at_plan(plan, winning(), days=35).action is Action.ASK_APPROVAL


def test_full_weeks_are_counted_in_matured_traffic() -> None:
    plan = replace(plan_of(), full_weeks=2)
    data = replace(winning(), first_traffic_at=ARMED, last_matured_at=ARMED + 13.9 * DAY)
    early = look_at_plan(plan, data, days=16)
    assert early.action is Action.HOLD
    assert "13.9 of 14 days" in early.reason
    assert look_at_plan(plan, replace(data, last_matured_at=ARMED + 14 * DAY), days=16).action is Action.ASK_APPROVAL
    assert look_at_plan(plan, winning(), days=16).action is Action.HOLD


UNSOUND: dict[str, dict[str, Any]] = {
    "sample_ratio": {"stages": (counts(20_000, 19_000),)},
    "missing_outcomes": {"stages": (counts(20_000, 20_000, with_outcome=0.75),)},
    "missing_outcomes_alike": {
        "stages": (replace(counts(20_000, 20_000), challenger=ArmCounts(20_000, 20_000, 19_000)),),
    },
    "cross_arm_units": {"cross_arm_units": 100},
    "clock_skew": {"future_rows": 1},
    "unknown_revisions": {"unknown_revisions": 1},
}


@pytest.mark.parametrize("name", UNSOUND)
def test_an_unsound_experiment_neither_asks_nor_steps(name: str) -> None:
    look = look_at(replace(winning(), **UNSOUND[name]))
    assert name in {check.name for check in look.health if not check.ok}
    assert look.action is Action.HOLD
    assert "invalid" in look.reason
    assert look_at(replace(winning(), **UNSOUND[name]), "5").action is Action.HOLD


@pytest.mark.parametrize(
    "impossible", [ArmCounts(10, 11, 5), ArmCounts(10, 9, 10), ArmCounts(-1, -1, -1)], ids=["matured", "outcome", "negative"]
)
def test_impossible_counts_are_unsound(impossible: ArmCounts) -> None:
    look = look_at(replace(winning(), stages=(replace(counts(9, 9), challenger=impossible),)))
    assert (look.action, look.is_valid) == (Action.HOLD, False)
    assert "cannot be" in look.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"now": ARMED - DAY},
        {"stage_started_at": ARMED + 9 * DAY},
        {"armed_at": ARMED + 4 * DAY},
    ],
    ids=["before arming", "stage in the future", "armed after the stage began"],
)
def test_times_out_of_order_hold(changes: dict[str, datetime]) -> None:
    look = look_at(winning(), **changes)
    assert look.action is Action.HOLD
    assert "out of order" in look.reason


def test_a_revision_that_starts_in_the_future_holds() -> None:
    look = look_at(replace(winning(), stages=(replace(counts(9000, 9000), started_at=ARMED + 99 * DAY),)))
    assert look.action is Action.HOLD


@pytest.mark.parametrize("name", ["stage_started_at", "armed_at", "now"])
def test_a_time_without_a_zone_is_refused(name: str) -> None:
    with pytest.raises(StageError, match=f"{name} has no time zone"):
        look_at(winning(), **{name: ARMED.replace(tzinfo=None)})


def test_nan_in_one_measure_stops_the_others_from_promoting() -> None:
    poisoned = {
        **winning().measures,
        "error_rate": measure(stratum(events(9000, 0), ArmStatistics.of_mean(9000, math.nan, math.nan))),
    }
    look = look_at(replace(winning(), measures=poisoned))
    assert look.action is Action.HOLD
    assert "NaN" in look.reason
    assert look_at(replace(winning(), measures=poisoned), "5").action is Action.HOLD


def test_reported_oddities_do_not_stop_a_sound_canary() -> None:
    data = replace(winning(), duplicate_outcomes=3, unknown_outcomes=2, outcomes_before_exposure=1, late_outcomes=4)
    look = look_at(data)
    assert look.action is Action.ASK_APPROVAL
    reported = {check.name: check.observed for check in look.health}
    assert (reported["duplicate_outcomes"], reported["late_outcomes"]) == (3.0, 4 / 40_000)


def test_segments_without_a_margin_are_shown_and_never_decide() -> None:
    harmed = {"cost": measure(stratum(arm(5000, 10.0, 8.0), arm(5000, 14.0, 8.0)))}
    look = look_at(replace(winning(), segments={"origin=JFK": harmed}))
    assert look.action is Action.ASK_APPROVAL
    assert [result.state for result in look.segments["origin=JFK"]] == [MeasureState.WORSE, MeasureState.NO_DATA]


def test_a_look_survives_canonical_json() -> None:
    poisoned = {
        **winning().measures,
        "error_rate": measure(stratum(events(9000, 0), ArmStatistics.of_mean(9000, math.nan, math.nan))),
    }
    segment = {"cost": measure(stratum(arm(50, 10.0), arm(50, 10.0)))}
    harmed = {**winning().measures, "cost": measure(stratum(arm(5000, 10.0, 8.0), arm(5000, 12.0, 8.0)))}
    for data in (
        winning(),
        replace(winning(), measures=harmed, first_traffic_at=ARMED, last_matured_at=ARMED + 2 * DAY),
        replace(winning(), measures=poisoned, segments={"origin=JFK": segment}, cross_arm_units=7),
        CanaryData(stages=(), measures={}, problem="a file is truncated"),
    ):
        look = look_at(data)
        value = look.to_json()
        assert canonical_json(value)
        assert Look.from_json(value) == look
