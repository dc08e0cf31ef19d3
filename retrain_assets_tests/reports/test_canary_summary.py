"""A look in words: the action and its reason first, each state and distance as it is, and never a number that is none."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from retrain_assets.experiment import Look, MeasureState
from retrain_assets.experiment.look import Action, Cause
from retrain_assets.reports.canary import next_stage, summary_of
from retrain_assets.reports.measure_line import amount, limit_of, must_of
from retrain_assets_tests.reports import sample_looks
from retrain_assets_tests.reports.sample_looks import (
    EXPERIMENT,
    PLAN,
    RAMP,
    START,
    broken_look,
    harmful_look,
    result,
    rich_look,
    waiting_look,
)

EVERY = (rich_look, harmful_look, broken_look, waiting_look)


def summary(look: Look, **experiment: Any) -> dict[str, Any]:
    return summary_of(look.to_json(), {**EXPERIMENT, **experiment}, RAMP)


@pytest.mark.parametrize(
    ("look", "word", "tone", "why"),
    [
        (rich_look(), "Ask for approval", "good", "every success measure is better and every guardrail is shown non-inferior"),
        (rich_look(action=Action.STEP, stage="5", reason="enough units"), "Step up to 25 %", "good", "enough units"),
        (
            harmful_look(),
            "Roll back",
            "bad",
            "harm is shown on cost per flight +11.8 % [+2.4 %, +21.3 %] and missed late rate +0.131 [+0.081, +0.181]",
        ),
        (
            harmful_look(action=Action.HOLD, cause=None, harm_looks=1),
            "Confirming harm, look 1 of 2",
            "bad",
            "harm is shown on cost per flight +11.8 % [+2.4 %, +21.3 %] and missed late rate +0.131 [+0.081, +0.181]",
        ),
        (
            broken_look(),
            "Hold, cannot be judged",
            "warn",
            "the experiment is not sound: sample ratio and missing outcomes",
        ),
        (
            waiting_look(),
            "Hold",
            "open",
            "not shown yet: cost per flight (4.2 points short), missed late rate (0.019 short) and 1 more",
        ),
        (
            waiting_look(action=Action.REJECT, cause=Cause.INCONCLUSIVE),
            "Reject",
            "bad",
            "not everything was shown in time: "
            "not shown yet: cost per flight (4.2 points short), missed late rate (0.019 short) and 1 more",
        ),
        (
            rich_look(action=Action.REJECT, cause=Cause.NOT_WORTH_IT, reason="worth less than asked for"),
            "Reject",
            "bad",
            "it is not worth its cost: worth less than asked for",
        ),
    ],
    ids=["approval", "step", "roll back", "confirming", "broken", "waiting", "inconclusive", "not worth it"],
)
def test_the_first_line_says_what_the_look_calls_for_and_why(look: Look, word: str, tone: str, why: str) -> None:
    call = summary(look)["call"]
    assert (call["word"], call["tone"], call["why"]) == (word, tone, why)
    assert call["reason"] == look.reason


def test_harm_in_a_segment_alone_names_the_segment() -> None:
    missed = replace(rich_look().segments["origin=JFK"][1], state=MeasureState.WORSE)
    segments = {"origin=JFK": (missed,)}
    look = rich_look(segments=segments, judged_segments=("origin=JFK",), action=Action.ROLL_BACK, cause=Cause.HARM)
    assert summary(look)["call"]["why"] == "harm is shown on missed late rate in origin=JFK +0.008 [−0.062, +0.078]"


def test_one_failing_check_is_the_reason_in_its_own_words() -> None:
    look = broken_look()
    alone = replace(look, health=look.health[1:])
    assert summary(alone)["call"]["why"] == f"the experiment is not sound: {look.health[1].message}"


@pytest.mark.parametrize("make", EVERY)
def test_numbers_are_the_looks_and_nothing_reads_nan_or_inf(make: Any) -> None:
    look = make()
    found = summary(look)
    for line, one in zip(found["measures"], look.results, strict=True):
        relative = line["relative"]
        assert line["estimate"] == (one.relative_estimate if relative else one.estimate)
        assert (line["champion"], line["n_challenger"], line["state"]) == (one.champion_mean, one.n_challenger, one.state)
    text = json.dumps(found, allow_nan=False, ensure_ascii=False)
    assert not any(f" {word}" in text or f"+{word}" in text for word in ("nan", "NaN", "inf ", "inf,", "None"))


def test_every_state_has_words_of_its_own() -> None:
    looks = [summary(make()) for make in EVERY]
    said = {line["state"]: line["words"] for look in looks for line in look["measures"]}
    assert said == {
        "better": "shown better",
        "non_inferior": "shown not worse",
        "worse": "harm shown",
        "inconclusive": "not shown yet",
        "no_data": "no data",
        "error": "cannot be computed",
    }
    assert set(said) == {state.value for state in MeasureState}


def test_a_line_says_what_must_be_shown_and_how_far_that_is() -> None:
    cost, missed, _, latency = summary(waiting_look())["measures"]
    assert (cost["must"], missed["must"], latency["must"]) == ("fall by more than 1 %", "not rise by 0.05", "not rise by 20 %")
    assert cost["distance"] == "4.2 points short; about 5.5 times the units if the change stays"
    assert missed["units_factor"] == pytest.approx((0.058 / 0.039) ** 2)
    assert latency["distance"] == "22 points short; the estimate itself does not reach it"
    assert latency["units_factor"] is None


def test_what_is_shown_has_room_to_spare_by_the_limit_it_was_judged_by() -> None:
    """The planned look's limit where there is one, else the anytime-valid one; harm says how much at least."""
    cost, missed, errors, _ = summary(rich_look())["measures"]
    assert cost["distance"] == "2.8 points to spare at the planned look"
    assert missed["distance"] == "0.031 to spare at the planned look"
    assert errors["distance"] == f"{amount(0.01 - 0.0022, relative=False)} to spare"
    cost, missed, *_ = summary(harmful_look())["measures"]
    assert cost["distance"] == "at least 2.4 % worse"
    assert missed["distance"] == "at least 0.081 worse, 0.05 is tolerated"


def test_an_interval_beyond_the_limit_between_planned_looks_waits_for_the_look() -> None:
    open_ = result("cost_per_flight", MeasureState.INCONCLUSIVE, 7.61, -0.62, 0.3)
    (line, *_) = summary(rich_look(results=(open_, *rich_look().results[1:])))["measures"]
    assert line["distance"].endswith("to spare, to be judged at a planned look")


def test_measures_of_the_service_stand_beside_those_of_the_business() -> None:
    found = summary(harmful_look())
    assert [line["technical"] for line in found["measures"]] == [False, False, True, True]
    assert found["sides"]["sentence"] == "healthy technically, worse commercially"
    lost = result("latency_p95", MeasureState.WORSE, 41.0, 12.0, 2.0)
    slow = rich_look(results=(*rich_look().results[:3], lost))
    assert summary(slow)["sides"]["sentence"].startswith("unhealthy technically, better")


def test_of_health_only_what_fails_is_named() -> None:
    assert summary(rich_look())["health"]["line"] == "7 checks hold"
    health = summary(broken_look())["health"]
    assert health["line"] == "2 of 5 checks do not hold"
    assert [check["name"] for check in health["failing"]] == ["sample_ratio", "missing_outcomes"]
    assert [check["ok"] for check in health["checks"]] == [False, False, True, True, True]
    assert summary(rich_look(health=()))["health"]["line"] == "no check was made"


def test_planned_looks_have_their_dates_and_boundaries() -> None:
    planned = summary(rich_look())["planned"]
    assert [one["state"] for one in planned["looks"]] == ["taken", "taken", "next", "ahead"]
    assert planned["looks"][2]["due"] == (START + timedelta(days=13)).isoformat()
    limits = [one["boundary"] for one in planned["looks"]]
    assert limits == sorted(limits, reverse=True)
    assert limits[0] == pytest.approx(4.333, abs=1e-3)  # -ndtri(2 ndtr(ndtri(0.0125) / sqrt(1/4)) )
    assert summary(rich_look())["next"] == [
        f"planned look 3 of 4 at 2013-07-14 06:00 UTC, held to {limits[2]:.2f} standard errors"
    ]


def test_a_look_that_was_missed_has_no_boundary_and_the_later_one_spends_for_both() -> None:
    second = rich_look().planned[1]
    planned = summary(rich_look(planned=(second,)))["planned"]
    assert [one["state"] for one in planned["looks"]] == ["missed", "taken", "next", "ahead"]
    assert planned["looks"][0]["boundary"] is None
    assert planned["looks"][1]["boundary"] < summary(rich_look())["planned"]["looks"][1]["boundary"]


def test_several_success_measures_divide_the_error_level() -> None:
    two = {"cost_per_flight": EXPERIMENT["success"]["cost_per_flight"], "other": {"direction": "increase"}}
    planned = summary(rich_look(), success=two)["planned"]
    assert planned["divided"]
    assert all(one["boundary_to_win"] > one["boundary"] for one in planned["looks"])
    assert not summary(rich_look())["planned"]["divided"]


def test_a_contract_without_planned_looks_says_that_any_look_may_decide() -> None:
    found = summary(rich_look(planned=(), next_planned=None), looks=None)
    assert found["planned"] is None
    assert found["next"] == ["at the usual rhythm; any look may decide"]
    assert summary(harmful_look())["next"] == ["none, this look ends the experiment"]
    again = START + timedelta(days=9, hours=1)
    confirming = harmful_look(action=Action.HOLD, cause=None, harm_looks=1, again_at=again)
    assert summary(confirming)["next"][0] == "harm is confirmed or not at 2013-07-10 07:00 UTC"


def test_net_value_says_whether_it_is_worth_it_with_its_limits() -> None:
    worth = summary(rich_look())["worth"]
    assert (worth["words"], worth["change"]) == ("worth it", "+16,330 EUR [+5,260, +27,400]")
    assert summary(waiting_look())["worth"]["words"] == "unclear whether it is worth it"
    assert summary(rich_look(net_value=None))["worth"] is None


def test_segments_put_high_value_first_and_shrink_in_the_measures_own_scale() -> None:
    cost = summary(rich_look())["segments"][0]
    rows = {row["segment"]: row for row in cost["rows"]}
    assert [row["segment"] for row in cost["rows"]] == ["origin=JFK", "origin=EWR", "origin=LGA", "origin=missing"]
    assert rows["origin=JFK"]["high_value"]
    assert rows["origin=EWR"]["shrunk"] == pytest.approx((0.6 * -0.9 - 0.25) / 7.61)
    assert rows["origin=EWR"]["estimate"] == pytest.approx(-0.9 / 7.61)
    judged = summary(rich_look(judged_segments=("origin=JFK",)))["segments"][1]
    assert (judged["segment_margin"], [row["judged"] for row in judged["rows"]]) == (0.08, [True, False, False, False])


def test_a_look_recorded_before_all_this_can_still_be_read() -> None:
    """Old looks lack planned looks, warnings, net value, methods; old contracts lack economics and planned looks."""
    document = rich_look().to_json()
    kept = ("at", "stage", "revision", "results", "health", "segments", "action", "reason", "stages")
    old: dict[str, Any] = {key: document[key] for key in kept}
    newer = ("method", "planned_limit", "planned_relative", "variance_saved", "shrunk_estimate")
    fresh = ("min_gain", "segment_margin", "quantile")
    for one in [*old["results"], *(one for results in old["segments"].values() for one in results)]:
        for key in newer:
            one.pop(key)
        for key in fresh:
            one["spec"].pop(key)
    experiment = {key: EXPERIMENT[key] for key in ("ramp", "outcomes", "success", "guardrails", "alpha")}
    found = summary_of(old, experiment, RAMP)
    assert found["call"]["word"] == "Ask for approval"
    assert (found["planned"], found["worth"], found["warnings"]) == (None, None, [])
    assert all(line["method"] == "—" for line in found["measures"])


def test_the_stage_after_the_last_is_the_promotion() -> None:
    assert [next_stage(stage, RAMP) for stage in ("shadow", "50", "100", "7")] == ["5", "100", None, None]


def test_a_gain_in_the_measures_unit_is_held_to_as_such() -> None:
    spec = replace(PLAN.measures[0], min_effect=0.0, min_gain=0.4)
    assert (limit_of(spec), must_of(spec)) == (-0.4, "fall by more than 0.4")
    assert must_of(replace(spec, min_gain=0.0)) == "fall"
    assert must_of(replace(spec, direction="increase")) == "rise by more than 0.4"


def test_every_hand_made_look_of_the_sample_is_shown_here() -> None:
    made = {name for name in vars(sample_looks) if name.endswith("_look") and name not in ("series_look",)}
    assert made == {make.__name__ for make in EVERY}
