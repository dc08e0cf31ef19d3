"""Harm rolls back when looks in a row show it; one bad batch of records does not, and neither hides what others saw."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from retrain_assets.experiment import Action, CanaryData, Cause, MeasureSpec
from retrain_assets_tests.experiment.builders import ARMED, counts, events, measure, plan_of, stratum, winning
from retrain_assets_tests.experiment.stories import DAY, HOUR, calm, harmed, look_at, unreadable, watch, with_measures

TWICE = replace(plan_of(), harm_looks=2, confirm_after=HOUR)


def actions(looks) -> list[Action]:
    return [look.action for look in looks]


def test_the_second_look_that_shows_harm_rolls_back() -> None:
    first, second = watch(TWICE, [(2, harmed()), (2.05, harmed(5100))])
    assert (first.action, first.cause, first.harm_looks) == (Action.HOLD, None, 1)
    assert "1 of 2 looks" in first.reason
    assert "cost" in first.reason
    assert first.again_at == first.at + HOUR
    assert (second.action, second.cause, second.harm_looks) == (Action.ROLL_BACK, Cause.HARM, 2)
    assert "2 looks in a row" in second.reason
    assert second.again_at is None


def test_one_bad_batch_of_records_does_not_roll_back() -> None:
    """The records were corrected before the confirming look: what the first look saw is forgotten, and the count starts anew."""
    looks = watch(TWICE, [(2, harmed()), (2.1, calm()), (3, harmed()), (3.1, winning())])
    assert actions(looks) == [Action.HOLD, Action.HOLD, Action.HOLD, Action.ASK_APPROVAL]
    assert [look.harm_looks for look in looks] == [1, 0, 1, 0]
    assert looks[1].harm_at is None


def test_the_same_records_read_twice_within_the_hour_are_one_look_at_harm() -> None:
    """However often somebody looks by hand meanwhile: the hour counts from the look that counted."""
    looks = watch(TWICE, [(2, harmed()), (2 + 1 / 48, harmed()), (2 + 1 / 25, harmed()), (2 + 1 / 24, harmed())])
    assert actions(looks) == [Action.HOLD, Action.HOLD, Action.HOLD, Action.ROLL_BACK]
    assert [look.harm_looks for look in looks] == [1, 1, 1, 2]


def test_a_look_that_cannot_be_read_neither_confirms_harm_nor_clears_it() -> None:
    looks = watch(TWICE, [(2, harmed()), (2.1, unreadable()), (2.2, harmed())])
    assert actions(looks) == [Action.HOLD, Action.HOLD, Action.ROLL_BACK]
    assert [look.harm_looks for look in looks] == [1, 1, 2]
    assert "truncated" in looks[1].reason


def test_an_invalid_look_without_harm_does_not_clear_what_was_seen() -> None:
    """Half of the challenger's units are missing: that they show no harm says nothing."""
    broken = replace(calm(), stages=(counts(5000, 2500),))
    looks = watch(TWICE, [(2, harmed()), (2.1, broken)])
    assert looks[1].harm_looks == 1
    assert looks[1].action is Action.HOLD


def test_harm_counts_at_an_invalid_look_too_as_rolling_back_is_always_safe() -> None:
    broken = replace(harmed(), stages=(counts(5000, 2500),))
    looks = watch(TWICE, [(2, broken), (2.1, broken)])
    assert actions(looks) == [Action.HOLD, Action.ROLL_BACK]
    assert looks[1].cause is Cause.HARM


@pytest.mark.parametrize("stage", ["5", "50"])
def test_no_stage_is_left_and_nothing_asked_while_harm_waits_for_its_confirmation(stage: str) -> None:
    assert look_at(TWICE, harmed(), stage=stage).action is Action.HOLD


def test_a_contract_of_one_look_rolls_back_at_once() -> None:
    assert look_at(plan_of(), harmed()).action is Action.ROLL_BACK
    assert look_at(plan_of(), harmed(), days=40).action is Action.ROLL_BACK


def test_different_measures_may_show_the_harm_of_looks_in_a_row() -> None:
    failing = with_measures(winning(5000), error_rate=measure(stratum(events(5000, 20), events(5000, 400))))
    assert watch(TWICE, [(2, harmed()), (3, failing)])[1].action is Action.ROLL_BACK


def test_counts_that_cannot_be_show_no_harm() -> None:
    impossible = replace(harmed(), stages=(replace(counts(9, 9), challenger_share=7.0),))
    looks = watch(TWICE, [(2, impossible), (3, impossible)])
    assert [look.harm_looks for look in looks] == [0, 0]
    assert all(look.reason.startswith("the experiment is invalid") for look in looks)


SEGMENTED = MeasureSpec("error_rate", "guardrail", "decrease", margin=0.01, segment_margin=0.02)


def segmented(**challenger_errors: int) -> CanaryData:
    """A winning canary in segments of 5,000 units an arm, 50 errors in each champion's, these in the challenger's."""
    return replace(
        winning(),
        segments={
            name: {"error_rate": measure(stratum(events(5000, 50), events(5000, number)))}
            for name, number in challenger_errors.items()
        },
        segment_stages={name: (counts(5000, 5000),) for name in challenger_errors},
    )


def test_harm_in_one_judged_segment_rolls_back() -> None:
    plan = replace(TWICE, measures=(plan_of().measures[0], SEGMENTED))
    looks = watch(plan, [(2, segmented(JFK=50, EWR=400)), (3, segmented(JFK=50, EWR=400))])
    assert actions(looks) == [Action.HOLD, Action.ROLL_BACK]
    assert "EWR: error_rate" in looks[1].reason
    assert "JFK" not in looks[1].reason


def test_many_segments_do_not_roll_back_by_chance() -> None:
    """Harm that is just shown in one segment alone is not shown when it is one of forty that were looked at."""
    plan = replace(plan_of(plan_of().measures[0], SEGMENTED), segment_min_share=0.01)
    alone = look_at(plan, segmented(EWR=212))
    assert alone.action is Action.ROLL_BACK
    among = look_at(plan, segmented(EWR=212, **{f"s{k}": 50 for k in range(39)}))
    assert among.action is Action.HOLD
    assert "EWR" in among.reason


def test_a_win_waits_for_every_judged_segment_and_not_for_small_ones() -> None:
    plan = replace(plan_of(plan_of().measures[0], SEGMENTED), segment_min_share=0.1)
    assert look_at(plan, segmented(JFK=50, EWR=50)).action is Action.ASK_APPROVAL
    open_ = look_at(plan, segmented(JFK=50, EWR=150))
    assert open_.action is Action.HOLD
    assert "EWR" in open_.reason
    small = segmented(JFK=50, EWR=150)
    small = replace(small, segment_stages={**small.segment_stages, "EWR": (counts(500, 500),)})
    look = look_at(plan, small)
    assert look.action is Action.ASK_APPROVAL
    assert look.judged_segments == ("JFK",)
    assert "EWR" in look.segments


def test_looks_of_a_clock_that_ran_ahead_do_not_put_off_what_follows_harm_or_missing_records() -> None:
    """A machine whose clock was two years ahead recorded the first look; the grace and the confirmation count from now on."""
    harm = watch(TWICE, [(750, harmed()), (3, harmed()), (3.2, harmed())])
    assert [look.action for look in harm] == [Action.HOLD, Action.HOLD, Action.ROLL_BACK]
    missing = watch(TWICE, [(10, unreadable()), (3, unreadable()), (5.9, unreadable()), (6, unreadable())])
    assert [look.action for look in missing] == [Action.HOLD, Action.HOLD, Action.HOLD, Action.ROLL_BACK]


def test_the_clock_going_back_confirms_nothing() -> None:
    first = look_at(TWICE, harmed(), days=3)
    assert look_at(TWICE, harmed(), days=2.5, before=first).harm_looks == 1
    assert first.harm_at == ARMED + 3 * DAY
    at_once = replace(TWICE, confirm_after=timedelta(0))
    assert look_at(at_once, harmed(), days=3, before=first).harm_looks == 1, "the very look again"
    assert look_at(at_once, harmed(), days=3.001, before=first).action is Action.ROLL_BACK
