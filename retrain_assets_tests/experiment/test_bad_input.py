"""Whatever comes in has a defined state and a message a release owner can act on: nothing raises, nothing promotes."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from retrain_assets.contract import canonical_json
from retrain_assets.experiment import (
    Action,
    ArmCounts,
    ArmStatistics,
    CanaryData,
    Cause,
    Look,
    MeasureSpec,
    MeasureState,
    MeasureStatistics,
)
from retrain_assets_tests.experiment.builders import ARMED, COST, ERROR, arm, counts, measure, plan_of, stratum, winning
from retrain_assets_tests.experiment.stories import DAY, calm, look_at, unreadable, watch, with_measures

LATENCY = MeasureSpec("latency_ms", "guardrail", "decrease", max_regression=0.2)
PLAN = replace(plan_of(COST, ERROR, LATENCY), missing_grace=3 * DAY)
N = 20_000


def sound() -> CanaryData:
    return with_measures(winning(), latency_ms=measure(stratum(arm(N, 40.0, 9.0), arm(N, 40.0, 9.0))))


def cost_of(champion: ArmStatistics, challenger: ArmStatistics) -> CanaryData:
    return with_measures(sound(), cost=measure(stratum(champion, challenger)))


def without(name: str) -> CanaryData:
    return replace(sound(), measures={key: value for key, value in sound().measures.items() if key != name})


BAD: dict[str, tuple[CanaryData, str]] = {
    "NaN in one unit": (cost_of(arm(N, 10.0, 8.0), replace(arm(N, 9.0, 8.0), not_finite=1)), "NaN, infinite or impossible"),
    "NaN in the sums": (cost_of(arm(N, 10.0, 8.0), ArmStatistics.of_mean(N, math.nan, math.nan)), "NaN"),
    "infinity": (cost_of(arm(N, 10.0, 8.0), ArmStatistics.of_mean(N, math.inf, math.inf)), "infinite"),
    "negative duration": (
        with_measures(sound(), latency_ms=measure(stratum(arm(N, 40.0), replace(arm(N, 40.0), not_finite=7)))),
        "latency_ms: challenger",
    ),
    "champion empty": (cost_of(ArmStatistics.empty(), arm(N, 9.0, 8.0)), "the challenger has no matured unit|champion"),
    "challenger empty": (cost_of(arm(N, 10.0, 8.0), ArmStatistics.empty()), "no matured unit with a value"),
    "an arm without units": (replace(sound(), stages=(counts(N, 0),)), "does not fit the intended shares"),
    "all values equal": (cost_of(arm(N, 10.0, 0.0), arm(N, 10.0, 0.0)), "equal"),
    "measure column missing everywhere": (without("cost"), "cost: neither arm has no matured unit|cost"),
    "measure column missing from most files": (
        replace(sound(), stages=(counts(N, N, with_outcome=0.3),)),
        "have no outcome",
    ),
    "measure missing in one arm's files": (
        replace(sound(), stages=(replace(counts(N, N), challenger=ArmCounts(N, N, N - 1500)),)),
        "the arms differ",
    ),
    "arms swapped in some files": (replace(sound(), cross_arm_units=2_000), "seen in both arms"),
    "units in both arms": (replace(sound(), cross_arm_units=100), "seen in both arms"),
    "no traffic in the stage": (
        replace(sound(), stages=(counts(N, N, revision=3, stage="25", share=0.5), counts(0, 0))),
        "no exposure was logged since the stage began",
    ),
    "nothing at all": (CanaryData(stages=(), measures={}), "no exposure was logged"),
    "outcomes before their exposure": (replace(sound(), outcomes_before_exposure=5_000), "before their exposure"),
    "outcomes long late": (replace(sound(), late_outcomes=30_000), "after the outcome window"),
    "requests logged again and again": (replace(sound(), duplicate_exposures=30_000), "repeat a request"),
    "a future date": (replace(sound(), future_rows=1), "dated in the future"),
    "a revision of another ledger": (replace(sound(), unknown_revisions=1), "revision the ledger does not know"),
    "a stage that begins in the future": (
        replace(sound(), stages=(replace(counts(N, N), started_at=ARMED + 99 * DAY),)),
        "out of order",
    ),
    "counts that cannot be": (replace(sound(), stages=(replace(counts(N, N), challenger=ArmCounts(5, 6, 7)),)), "cannot be"),
    "records nobody can read": (unreadable(), "part-7.parquet is truncated"),
    "sums no values have": (cost_of(arm(N, 10.0, 8.0), ArmStatistics.of_mean(N, 9.0 * N, 1.0)), "cost: challenger"),
    "columns that are not the measure's": (
        with_measures(sound(), cost=MeasureStatistics(("value", "per"), sound().measures["cost"].strata)),
        "cost",
    ),
    "a revision twice": (
        with_measures(sound(), cost=measure(*sound().measures["cost"].strata, *sound().measures["cost"].strata)),
        "twice",
    ),
}


def test_the_canary_these_are_made_from_is_sound() -> None:
    assert look_at(PLAN, sound()).action is Action.ASK_APPROVAL


@pytest.mark.parametrize("name", BAD)
def test_bad_input_holds_with_a_message_that_names_it(name: str) -> None:
    data, words = BAD[name]
    look = look_at(PLAN, data)
    assert look.action is Action.HOLD
    assert any(word in look.reason for word in words.split("|"))
    early = look_at(PLAN, data, stage="5")
    assert early.action is Action.HOLD or name == "all values equal", "no stage is left either"
    read = Look.from_json(json.loads(canonical_json(look.to_json())))
    assert replace(read, statistics={}) == replace(look, statistics={}), "sums that are not finite are read as NaN"


@pytest.mark.parametrize("name", [name for name in BAD if name != "all values equal"])
def test_bad_input_that_stays_falls_back_after_the_grace_period(name: str) -> None:
    """Three days from the first look that could not be judged, not from the arming; said in every look before."""
    data, _ = BAD[name]
    fine, first, last, over = watch(PLAN, [(5, calm_with_latency()), (6, data), (8.9, data), (9, data)])
    assert fine.unusable_since is None
    assert (first.action, last.action) == (Action.HOLD, Action.HOLD)
    assert first.unusable_since == over.unusable_since == ARMED + 6 * DAY
    assert "rolls back in 3.0 days" in first.reason
    assert first.again_at == ARMED + 9 * DAY
    assert (over.action, over.cause) == (Action.ROLL_BACK, Cause.MISSING_DATA)
    assert "2013-07-07" in over.reason


def calm_with_latency() -> CanaryData:
    return replace(calm(), measures={**calm().measures, "latency_ms": sound().measures["latency_ms"]})


def test_a_contract_that_falls_back_on_holding_holds_until_the_experiment_ends() -> None:
    patient = replace(PLAN, missing_fallback="hold")
    looks = watch(patient, [(6, unreadable()), (20, unreadable()), (28, unreadable())])
    assert [look.action for look in looks] == [Action.HOLD, Action.HOLD, Action.REJECT]
    assert "rolls back" not in looks[1].reason
    assert looks[1].again_at is None
    assert looks[2].cause is Cause.INCONCLUSIVE


def test_one_sound_look_ends_the_grace_period() -> None:
    looks = watch(PLAN, [(6, unreadable()), (8, calm_with_latency()), (9.5, unreadable()), (12, unreadable())])
    assert [look.action for look in looks] == [Action.HOLD] * 4
    assert looks[1].unusable_since is None
    assert looks[3].unusable_since == ARMED + 9.5 * DAY


def test_a_measure_without_data_is_unusable_only_once_units_have_matured() -> None:
    young = replace(
        without("cost"), stages=(replace(counts(N, N), champion=ArmCounts(N, 20, 20), challenger=ArmCounts(N, 20, 20)),)
    )
    assert look_at(PLAN, young).unusable_since is None
    assert look_at(PLAN, without("cost")).unusable_since is not None


def test_a_stage_that_just_began_may_be_empty() -> None:
    empty = replace(sound(), stages=(counts(N, N, revision=3, stage="5", share=0.5), counts(0, 0)))
    assert look_at(PLAN, empty, stage_started_at=ARMED + 4.5 * DAY).unusable_since is None
    assert look_at(PLAN, empty, stage_started_at=ARMED + 4 * DAY).unusable_since is not None


def test_records_that_cannot_be_read_forget_nothing() -> None:
    """What the look before knew of split, planned looks and harm is still there for the look after."""
    plan = replace(PLAN, looks=(2 * DAY, 20 * DAY))
    data = replace(sound(), first_traffic_at=ARMED)
    fine, unread, after = watch(plan, [(3, data), (4, unreadable()), (5, data)])
    assert fine.planned == unread.planned == after.planned
    assert after.action is Action.ASK_APPROVAL


@pytest.mark.parametrize("name", BAD)
def test_every_state_of_bad_input_is_a_defined_one(name: str) -> None:
    for result in look_at(PLAN, BAD[name][0]).results:
        assert result.state in MeasureState
        numbers = [value for value in result.to_json().values() if isinstance(value, float)]
        assert all(math.isfinite(value) for value in numbers)
