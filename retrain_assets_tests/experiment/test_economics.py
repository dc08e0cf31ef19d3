"""What an effect is worth: effect x volume x value, less its costs, with limits; a winner may not be worth its cost."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from retrain_assets.contract import Economics
from retrain_assets.experiment import Action, Cause, NetValue, Worth, net_value
from retrain_assets_tests.experiment.builders import plan_of, winning
from retrain_assets_tests.experiment.stories import calm, harmed, look_at

TERMS = Economics(
    value_per_unit=0.5,
    horizon=timedelta(days=30),
    training_cost_per_hour=20.0,
    serving_cost_per_1k=2.0,
    review_cost=300.0,
    min_net_value=0.0,
)


def plan(**changes):
    return replace(plan_of(), economics=TERMS.model_copy(update=changes), units_a_day=1000.0)


def test_the_value_is_the_improvement_times_units_and_value_less_every_cost() -> None:
    """Cost falls by 1.0 a unit: 30,000 units x 0.5 = 15,000 gross, less 4 h x 20, 30 x 2 and 300."""
    look = look_at(plan(), winning(), training_hours=4.0)
    value = look.net_value
    assert value is not None
    assert value.gross == pytest.approx(15_000)
    assert (value.training_cost, value.serving_cost, value.review_cost) == (80.0, 60.0, 300.0)
    assert value.estimate == pytest.approx(15_000 - 440)
    cost = look.results[0]
    assert value.lower == pytest.approx(-cost.upper * 15_000 - 440), "the lower limit of a fall is the upper one of the change"
    assert value.upper == pytest.approx(-cost.lower * 15_000 - 440)
    assert value.lower < value.estimate < value.upper
    assert value.worth is Worth.WORTH_IT
    assert look.action is Action.ASK_APPROVAL
    assert "+14,560 EUR" in look.reason


def test_a_winner_that_is_not_worth_its_cost_is_rejected_and_says_so() -> None:
    look = look_at(plan(min_net_value=50_000), winning())
    assert (look.action, look.cause) == (Action.REJECT, Cause.NOT_WORTH_IT)
    assert look.reason.startswith("not worth it")
    assert "50,000 EUR" in look.reason


def test_an_unclear_value_is_said_and_does_not_block() -> None:
    look = look_at(plan(min_net_value=14_560), winning())
    assert look.net_value.worth is Worth.UNCLEAR
    assert look.action is Action.ASK_APPROVAL
    assert "unclear" in look.reason


def test_a_loser_is_worth_less_than_nothing_and_only_a_winner_is_rejected_for_it() -> None:
    assert look_at(plan(), harmed()).net_value.worth is Worth.NOT_WORTH_IT
    assert look_at(plan(), harmed()).cause is Cause.HARM
    poor = look_at(plan(min_net_value=1e9), calm())
    assert poor.net_value.worth is Worth.NOT_WORTH_IT
    assert poor.action is Action.HOLD, "what it is worth is settled when everything else is shown"


def test_a_rise_is_worth_its_value_where_more_is_better() -> None:
    rising = replace(plan(), measures=(replace(plan_of().measures[0], direction="increase"), plan_of().measures[1]))
    value = look_at(rising, harmed()).net_value
    assert value.gross == pytest.approx(2.0 * 15_000)
    assert value.lower < value.estimate < value.upper


def test_training_time_that_is_not_recorded_is_said() -> None:
    for hours in (None, math.nan, -3.0):
        value = look_at(plan(), winning(), training_hours=hours).net_value
        assert value.training_cost == 0
        assert "training is not in it" in value.message
    assert "training" not in look_at(plan(training_cost_per_hour=0.0), winning()).net_value.message


def test_without_a_limit_of_the_measure_there_is_no_value_and_nothing_is_asked() -> None:
    assert net_value((), plan()) is None
    assert look_at(plan_of(), winning()).net_value is None
    named = plan(measure="revenue")
    look = look_at(named, winning())
    assert look.net_value is None
    assert look.action is Action.HOLD
    assert "net value" in look.reason


def test_a_value_survives_json_and_no_stored_number_is_infinite() -> None:
    value = look_at(plan(), winning()).net_value
    assert NetValue.from_json(value.to_json()) == value
    assert net_value(look_at(plan_of(), winning()).results, replace(plan(value_per_unit=1e308), units_a_day=1e308)) is None
