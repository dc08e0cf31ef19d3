"""Looks planned in advance: promotion is judged at them only, with their own limits; harm at every look all the same."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from retrain_assets.experiment import Action, CanaryData, Cause, MeasureState, PlannedLook
from retrain_assets.experiment.decision.planned_looks import boundary, matured_information, next_planned, take
from retrain_assets.experiment.estimation.group_sequential import Spending, boundaries, spent
from retrain_assets_tests.experiment.builders import ARMED, COST, ERROR, arm, counts, measure, plan_of, stratum, winning
from retrain_assets_tests.experiment.stories import DAY, calm, harmed, look_at, unreadable, watch, with_measures

TRAFFIC = ARMED + DAY
PLAN = replace(plan_of(), looks=(5 * DAY, 10 * DAY, 15 * DAY))
"""Looks are planned 5, 10 and 15 days after the first traffic, on days 6, 11 and 16."""


def since(data: CanaryData) -> CanaryData:
    return replace(data, first_traffic_at=TRAFFIC)


def states(look) -> list[str]:
    return [one.state.value for one in look.results]


def test_a_win_is_judged_at_a_planned_look_and_not_before() -> None:
    early, planned = watch(PLAN, [(5.9, since(winning())), (6, since(winning()))])
    assert states(early) == ["inconclusive", "inconclusive"]
    assert (early.action, early.planned, early.next_planned, early.again_at) == (
        Action.HOLD,
        (),
        TRAFFIC + 5 * DAY,
        TRAFFIC + 5 * DAY,
    )
    assert states(planned) == ["better", "non_inferior"]
    assert planned.action is Action.ASK_APPROVAL
    assert planned.planned == (PlannedLook(1, ARMED + 6 * DAY, 10_000.0),)
    assert planned.next_planned == planned.again_at == TRAFFIC + 10 * DAY


def test_between_planned_looks_the_reason_says_once_that_no_harm_is_shown_and_every_measure_with_its_change() -> None:
    early = look_at(PLAN, since(winning()), days=5.9)
    assert early.reason.startswith("no harm is shown, and more is judged at the planned looks only: cost 10 → 9, change ")
    assert early.reason.count("no harm") == 1
    assert "; error_rate 0 → 0, change +0 [" in early.reason


def test_the_limit_of_a_planned_look_is_that_of_its_spending() -> None:
    """One mean: d + z sqrt(V) with z = 3.71 at a third of the time (O'Brien-Fleming-type spending of 0.025)."""
    n = 20_000
    cost = look_at(PLAN, since(winning(n)), days=6).results[0]
    error = math.sqrt(2 * 8.0**2 / n)
    z = boundaries([10_000], spent(PLAN.spending, [1 / 3], 0.025))[0]
    assert z == pytest.approx(3.7103, abs=1e-3)
    assert cost.planned_limit == pytest.approx(-1.0 + z * error, rel=1e-9)


def test_what_a_planned_look_showed_stands_until_the_next_one() -> None:
    """Between planned looks the state neither falls with a bad day nor needs new evidence; the next planned look judges anew."""
    later = since(with_measures(winning(), cost=measure(stratum(arm(20_000, 10.0, 8.0), arm(20_000, 9.85, 8.0)))))
    looks = watch(PLAN, [(6, since(winning())), (7, later), (8, later), (11, later)])
    assert [states(look)[0] for look in looks] == ["better", "better", "better", "inconclusive"]
    assert [look.action for look in looks] == [Action.ASK_APPROVAL] * 3 + [Action.HOLD]
    assert "at the last planned look" in looks[1].results[0].message
    assert [len(look.planned) for look in looks] == [1, 1, 1, 2]


@pytest.mark.parametrize("mean", [9.95, 10.15])
def test_what_a_planned_look_showed_ends_when_the_estimate_no_longer_reaches_it(mean: float) -> None:
    """Corrected records, or an effect that is gone: nobody is asked to promote what is seen to be short of the 1 % by now."""
    gone = since(with_measures(winning(), cost=measure(stratum(arm(21_000, 10.0, 8.0), arm(21_000, mean, 8.0)))))
    looks = watch(PLAN, [(6, since(winning())), (7, gone), (8, since(winning()))])
    assert [look.action for look in looks] == [Action.ASK_APPROVAL, Action.HOLD, Action.ASK_APPROVAL]
    assert "no longer what is seen" in looks[1].reason


def test_what_was_shown_outlasts_a_look_that_could_not_be_read() -> None:
    looks = watch(PLAN, [(6, since(winning())), (7, unreadable()), (8, since(winning()))])
    assert [look.action for look in looks] == [Action.ASK_APPROVAL, Action.HOLD, Action.ASK_APPROVAL]
    assert states(looks[1]) == ["no_data", "no_data"]


def test_harm_between_planned_looks_ends_what_was_shown() -> None:
    plan = replace(PLAN, harm_looks=2)
    looks = watch(plan, [(6, since(winning())), (7, since(harmed())), (8, since(calm()))])
    assert [look.action for look in looks] == [Action.ASK_APPROVAL, Action.HOLD, Action.HOLD]
    assert states(looks[2])[0] == "inconclusive"
    assert look_at(PLAN, since(harmed()), days=2).action is Action.ROLL_BACK, "harm waits for no plan"


def test_a_planned_look_waits_for_records_that_can_be_judged() -> None:
    looks = watch(PLAN, [(6, unreadable()), (6.5, since(replace(winning(), future_rows=3))), (7, since(winning()))])
    assert [len(look.planned) for look in looks] == [0, 0, 1]
    assert looks[2].action is Action.ASK_APPROVAL


def test_a_planned_look_waits_until_every_measure_can_be_computed() -> None:
    """Else the last one would be spent on a look at which a column was missing, and the next would reject."""
    without = replace(winning(), measures={"error_rate": winning().measures["error_rate"]})
    looks = watch(PLAN, [(16, since(without)), (16.5, since(winning()))])
    assert [(look.action, len(look.planned)) for look in looks] == [(Action.HOLD, 0), (Action.ASK_APPROVAL, 1)]
    assert looks[0].results[1].state is MeasureState.INCONCLUSIVE, "nothing is shown at a look that is not planned"


def test_when_the_next_planned_look_is_due_is_known_although_records_cannot_be_read() -> None:
    looks = watch(PLAN, [(3, since(winning())), (4, unreadable())])
    assert looks[1].next_planned == looks[0].next_planned == TRAFFIC + 5 * DAY


def test_planned_looks_that_were_missed_count_once_with_what_all_of_them_may_spend() -> None:
    looks = watch(PLAN, [(12, since(winning())), (12.1, since(winning()))])
    assert [one.number for one in looks[0].planned] == [2]
    assert looks[1].planned == looks[0].planned
    assert looks[1].next_planned == TRAFFIC + 15 * DAY
    assert boundary(PLAN, looks[0].planned, 0.025) == boundaries([1.0], spent(PLAN.spending, [2 / 3], 0.025))[0]


def test_what_the_last_planned_look_did_not_show_is_rejected() -> None:
    looks = watch(PLAN, [(6, since(calm())), (11, since(calm())), (16, since(calm()))])
    assert [look.action for look in looks] == [Action.HOLD, Action.HOLD, Action.REJECT]
    assert looks[2].cause is Cause.INCONCLUSIVE
    assert "last planned look" in looks[2].reason
    assert looks[2].next_planned is None


def test_a_win_at_the_last_planned_look_still_waits_for_full_weeks() -> None:
    patient = replace(PLAN, full_weeks=3)
    data = replace(since(winning()), last_matured_at=TRAFFIC + 15 * DAY)
    look = look_at(patient, data, days=16)
    assert look.action is Action.HOLD
    assert "15.0 of 21 days" in look.reason
    full = replace(data, last_matured_at=TRAFFIC + 21 * DAY)
    assert look_at(patient, full, days=22.5, before=look).action is Action.ASK_APPROVAL


def test_nothing_is_planned_before_traffic_comes() -> None:
    look = look_at(PLAN, replace(winning(), first_traffic_at=None), days=9)
    assert (look.planned, look.next_planned) == ((), None)
    nobody = (counts(100, 0),)
    assert take(PLAN, (), nobody, first_traffic_at=TRAFFIC, now=ARMED + 9 * DAY) is None
    assert matured_information(nobody) == 0
    assert next_planned(PLAN, (), first_traffic_at=None) is None


def test_the_same_units_in_every_look_do_not_make_its_boundary_too_low() -> None:
    """Daily users: their number stands still, while the means of their requests move as much as those of new users would."""
    plan = replace(PLAN, looks=tuple(7 * k * DAY for k in (1, 2, 3, 4)), spending=Spending.POCOCK)
    taken = tuple(PlannedLook(k, ARMED + 7 * k * DAY, 250.0) for k in (1, 2, 3, 4))
    z = [boundary(plan, taken[:k], 0.025) for k in (1, 2, 3, 4)]
    steps = np.random.default_rng(2).normal(size=(100_000, 4))
    scores = steps.cumsum(axis=1) / np.sqrt([1, 2, 3, 4])
    assert (scores > z).any(axis=1).mean() == pytest.approx(0.025, abs=0.0015)


def test_planned_looks_promote_a_challenger_without_effect_no_more_often_than_the_level() -> None:
    """Four looks at a mean without effect, 4,000 canaries: at most alpha and, as it is spent in full, not far below."""
    plan = replace(plan_of(COST, ERROR, alpha=0.1), looks=tuple(k * DAY for k in (1, 2, 3, 4)))
    generator = np.random.default_rng(20)
    per_look = 500
    taken = tuple(PlannedLook(k, ARMED + k * DAY, per_look * k / 2) for k in (1, 2, 3, 4))
    z = [boundary(plan, taken[: k + 1], plan.alpha) for k in range(4)]
    difference = generator.normal(size=(20_000, 4)).cumsum(axis=1) / np.sqrt(np.arange(1, 5))
    false = (difference > z).any(axis=1).mean()
    assert 0.09 < false < 0.11


@pytest.mark.parametrize("days", [0.5, 6, 30])
def test_success_measures_share_the_level_of_a_planned_look_too(days: float) -> None:
    revenue = replace(COST, name="revenue")
    plan = replace(PLAN, measures=(COST, revenue, ERROR), max_duration=timedelta(days=60))
    data = since(with_measures(winning(), revenue=winning().measures["cost"]))
    alone, both = look_at(PLAN, data, days=days).results[0], look_at(plan, data, days=days).results[0]
    if days < 6:
        assert alone.planned_limit is both.planned_limit is None
    else:
        assert both.planned_limit > alone.planned_limit
        assert both.state is MeasureState.BETTER
