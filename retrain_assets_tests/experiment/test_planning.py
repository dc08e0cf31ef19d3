"""The outlook of a contract: ramp, looks, measures together, and what is said to be in the way."""

from __future__ import annotations

import math
from typing import Any

import pytest

from retrain_assets.contract import Contract
from retrain_assets.experiment.planning.outlook import Outlook, outlook
from retrain_assets.experiment.planning.ramp import course_of, stage_plans
from retrain_assets.experiment.planning.spreads import Spread
from retrain_assets.replay.demo import contract_of_flights

EXPERIMENT: dict[str, Any] = {
    "ramp": ["shadow", 5, 25, 50, 100],
    "outcomes": ["cost_per_flight", "missed_late_rate", "false_warning_rate"],
    "segments": ["origin"],
    "success": {"cost_per_flight": {"direction": "decrease"}},
    "guardrails": {
        "missed_late_rate": {"direction": "decrease", "margin": 0.12},
        "false_warning_rate": {"direction": "decrease", "margin": 0.35},
        "error_rate": {"column": "error", "direction": "decrease", "margin": 0.01},
        "slow_rate": {"column": "latency_ms", "above": 250, "direction": "decrease", "margin": 0.02},
    },
    "outcome_window": "1d",
    "min_stage": {"units": 60, "duration": "1d"},
    "min_duration": "14d",
    "max_duration": "28d",
    "expected_units_per_day": 900,
    "planned_units": 6000,
}
OTHER_TERMS = {**contract_of_flights().to_json(), "economics": None}
SPREADS = {
    "cost_per_flight": Spread(6.0, 100.0, 5000),
    "missed_late_rate": Spread(0.2, 0.16, 5000, is_share=True),
    "false_warning_rate": Spread(0.1, 0.09, 5000, is_share=True),
    "error_rate": Spread(0.0, 0.0, 5000, is_share=True),
    "slow_rate": Spread(0.001, 0.001, 5000, is_share=True),
}


def changed(*, expires_after: str = "30d", **experiment: Any) -> Contract:
    """A contract of an experiment of 28 days with other terms."""
    toggle = {**OTHER_TERMS["toggle"], "expires_after": expires_after, "remove_after": "400d"}
    return Contract.model_validate({**OTHER_TERMS, "toggle": toggle, "experiment": {**EXPERIMENT, **experiment}})


PLAIN = changed()


def fields(found: Outlook) -> list[str]:
    return [one.field for one in found.obstacles]


def test_a_contract_that_can_conclude_has_nothing_in_its_way() -> None:
    found = outlook(PLAIN, 900, SPREADS)
    assert not found.obstacles
    assert not found.unknown
    assert (found.earliest, found.latest) == (14, 28)
    assert found.inconclusive is not None


def test_a_measure_nobody_knows_the_spread_of_is_neither_refused_nor_passed_over() -> None:
    found = outlook(PLAIN, 900, {**SPREADS, "slow_rate": "no latency was logged"})
    assert found.unknown == {"slow_rate": "no latency was logged"}
    assert not found.obstacles
    del (known := dict(SPREADS))["error_rate"]
    assert outlook(PLAIN, 900, known).unknown == {"error_rate": "its variance is not known"}


def test_the_day_named_for_a_margin_is_enough_and_half_of_what_is_missing_is_not() -> None:
    guardrails = {**EXPERIMENT["guardrails"], "missed_late_rate": {"direction": "decrease", "margin": 0.012}}
    short = outlook(changed(guardrails=guardrails), 900, SPREADS)
    assert fields(short) == ["guardrails.missed_late_rate"]
    (row,) = (one for one in short.prospects if one.spec.name == "missed_late_rate")
    assert row.days is not None
    days = math.ceil(row.days)
    assert f"{days} days at 900 a day" in short.obstacles[0].what
    enough = changed(expires_after="300d", guardrails=guardrails, max_duration=f"{days}d")
    assert not outlook(enough, 900, SPREADS).obstacles
    halfway = changed(expires_after="300d", guardrails=guardrails, max_duration=f"{(days + 28) // 2}d")
    assert outlook(halfway, 900, SPREADS).obstacles


def test_success_is_in_the_way_only_where_the_contract_says_what_must_be_shown() -> None:
    assert not outlook(PLAIN, 900, SPREADS).obstacles
    declared = changed(success={"cost_per_flight": {"direction": "decrease", "min_effect": "2%"}})
    found = outlook(declared, 900, SPREADS)
    assert fields(found) == ["success.cost_per_flight"]
    assert "min_effect 2 % with a true improvement of 0.24 (4 %)" in found.obstacles[0].what
    assert fields(outlook(PLAIN, 900, SPREADS, {"cost_per_flight": 0.01})) == ["success.cost_per_flight"]


def test_one_success_measure_that_can_be_shown_is_enough() -> None:
    two = changed(
        success={
            "cost_per_flight": {"direction": "decrease", "min_effect": "2%"},
            "warned": {"column": "false_warning_rate", "direction": "decrease", "min_gain": 0.02},
        }
    )
    found = outlook(two, 900, {**SPREADS, "warned": Spread(0.1, 0.09, 5000, is_share=True)})
    assert not found.obstacles
    one = changed(success={"warned": {"column": "false_warning_rate", "direction": "decrease", "min_gain": 0.02}})
    alone = outlook(one, 900, {**SPREADS, "warned": Spread(0.1, 0.09, 5000, is_share=True)})
    by_name = {one.spec.name: one for one in found.prospects}
    (single,) = (one for one in alone.prospects if one.spec.name == "warned")
    assert by_name["warned"].at_the_end <= single.at_the_end, "each of two success measures has half of alpha"
    assert by_name["warned"].detectable is not None
    assert single.detectable is not None
    assert by_name["warned"].detectable > single.detectable


def test_less_traffic_makes_the_ramp_longer_until_it_no_longer_fits() -> None:
    assert [one.duration.total_seconds() for one in stage_plans(PLAIN, 90)] > [
        one.duration.total_seconds() for one in stage_plans(PLAIN, 900)
    ]
    assert fields(outlook(PLAIN, 40, {})) == ["min_stage.units"]


def test_full_weeks_and_the_shortest_duration_delay_the_first_look_that_may_conclude() -> None:
    assert outlook(changed(min_duration="0d"), 900, SPREADS).earliest < 7
    weeks = outlook(changed(min_duration="0d", full_weeks=3), 900, SPREADS)
    assert weeks.earliest == pytest.approx(weeks.course.stretches[0].begins + 21 + 1)


def test_an_extension_counts_as_time_there_is() -> None:
    terms = changed(expires_after="70d", extend_to="60d")
    extended = outlook(terms, 900, SPREADS)
    assert extended.latest == 60
    assert extended.prospects[0].chance > outlook(PLAIN, 900, SPREADS).prospects[0].chance
    short = outlook(terms, 900, SPREADS, {"cost_per_flight": 0.01})
    assert "extend_to is 60d" in short.obstacles[0].what


def test_segments_too_small_to_be_judged_are_left_out_and_the_hardest_is_named() -> None:
    guarded = {**EXPERIMENT["guardrails"], "missed_late_rate": {"direction": "decrease", "margin": 0.12, "segment_margin": 0.03}}
    shares = {"origin=EWR": 0.5, "origin=JFK": 0.4, "origin=LGA": 0.08, "origin=missing": 0.02}
    found = outlook(changed(guardrails=guarded), 900, SPREADS, None, shares)
    assert sorted(one.segment or "" for one in found.segments) == ["origin=EWR", "origin=JFK", "origin=LGA"]
    chances = {one.segment: one.chance for one in found.segments}
    assert chances["origin=LGA"] < chances["origin=JFK"] <= chances["origin=EWR"]
    assert fields(found) == ["guardrails.missed_late_rate"]
    assert found.obstacles[0].what.startswith("segment_margin 0.03 in origin=LGA needs ")
    assert found.obstacles[0].remedy.startswith("widen segment_margin to ")


def test_the_course_of_a_ramp_follows_its_stages() -> None:
    stages = stage_plans(PLAIN, 900)
    course = course_of(PLAIN, stages, 900)
    assert [one.stage for one in course.stretches] == ["5", "25", "50"]
    assert course.stretches[0].begins == stages[0].duration.total_seconds() / 86400
    assert course.stretches[-1].ends == math.inf
    assert [one.ends for one in course.stretches[:-1]] == [one.begins for one in course.stretches[1:]]


def test_more_time_for_planned_looks_means_later_looks_too() -> None:
    guardrails = {**EXPERIMENT["guardrails"], "missed_late_rate": {"direction": "decrease", "margin": 0.01}}
    (obstacle,) = outlook(changed(guardrails=guardrails, looks={"after": ["14d", "27d"]}), 900, SPREADS).obstacles
    assert "lengthen max_duration and looks.after to " in obstacle.remedy
