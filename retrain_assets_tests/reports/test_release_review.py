"""What a review says of a retrain and its history, and what it does not dare to say."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from retrain_assets.contract import Refused, RetrainError, digest_of
from retrain_assets.experiment import HealthCheck
from retrain_assets.ledger import EventKind
from retrain_assets.reports.release_review import Trace, gain_plot, review_of
from retrain_assets.reports.release_review.earlier import threshold_between
from retrain_assets.reports.release_review.tables import review_tables
from retrain_assets_tests.release.world import MODEL, RUTH, World
from retrain_assets_tests.reports.past import CONTRACT, Made, lived

KEPT = tuple(
    Made(f"2013-0{month}-01", auc=auc, gain=gain, effect=effect)
    for month, auc, gain, effect in ((5, 0.74, 0.01, 0.02), (6, 0.76, 0.02, 0.04), (7, 0.75, 0.03, 0.06), (8, 0.77, 0.04, 0.08))
)
HARMED = Made("2013-09-01", auc=0.65, gain=-0.02, effect=-0.2, harmed=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Four retrains that were kept, and one that hurt and had the lowest AUC of all."""
    return lived(tmp_path_factory.mktemp("past"), [*KEPT, HARMED])


def reviewed(world: World, key: str = HARMED.key, **more: Any) -> dict[str, Any]:
    return review_of(world.ledger.events(model=MODEL), world.evidence, MODEL, key, **more)


def test_a_limit_that_separates_what_hurt_from_all_that_were_kept_is_suggested_with_its_diff(world: World) -> None:
    found = reviewed(world)
    paths = [one["path"] for one in found["suggestions"]["changes"]]
    assert "gates.offline.metrics.roc_auc.min" in [*paths, *(one["path"] for one in found["suggestions"]["considered"])]
    assert len(paths) == 2
    (first, *_) = found["suggestions"]["changes"]
    assert "stopped this one; let pass " in first["would_have"]
    assert "0 of " in first["would_have"]
    diff = found["suggestions"]["diff"]
    assert diff.startswith("--- a/flight_delay.yaml\n+++ b/flight_delay.yaml\n@@ ")
    assert len(re.findall(r"^\+[^+]", diff, flags=re.MULTILINE)) == 2


def test_a_suggested_limit_lies_between_what_hurt_and_the_worst_that_was_kept(world: World) -> None:
    limits = {one["path"]: one for one in reviewed(world)["earlier"]["limits"]}
    auc = limits["gates.offline.metrics.roc_auc.min"]
    assert (auc["value"], auc["worst_kept"], auc["now"], auc["kept"]) == (0.65, 0.72, 0.6, 5)
    assert auc["limit"] == 0.685
    assert [one["stopped"] for one in auc["stopped"]] == [False] * 5
    assert auc["left_out"] == {"wrongly_stopped": 0, "kept": 5, "caught": 0, "harmed": 1}
    assert "gates.offline.calibration.max_ece" not in limits, "it was calibrated as well as the others"


def test_a_limit_that_the_others_would_have_drawn_too_high_for_one_that_was_kept_is_not_suggested(tmp_path: Path) -> None:
    """0.72 served well; without it the limit would lie half-way between 0.71, which hurt, and 0.9."""
    good = [replace(KEPT[number], auc=0.9) for number in range(3)]
    worse = replace(HARMED, key="2013-08-20", auc=0.5)
    found = reviewed(lived(tmp_path, [*good, worse, replace(HARMED, auc=0.71)]))
    (auc,) = [one for one in found["earlier"]["limits"] if one["path"] == "gates.offline.metrics.roc_auc.min"]
    assert auc["left_out"] == {"wrongly_stopped": 1, "kept": 4, "caught": 1, "harmed": 2}
    (reason,) = [one["why_not"] for one in found["suggestions"]["considered"] if one["path"] == auc["path"]]
    assert reason == "chosen without them, it would have stopped 1 of 4 that were kept"


def test_the_number_of_limits_that_chance_alone_would_find_is_said(world: World) -> None:
    earlier = reviewed(world)["earlier"]
    assert earlier["by_chance"] == pytest.approx(sum(1 / (kept + 1) for kept in [5] * 9 + [4]), abs=0.3)
    assert f"{earlier['by_chance']:.1f} would do so by chance" in earlier["sentence"]


def test_two_kept_retrains_support_no_suggestion_and_what_would_have_helped_is_named(tmp_path: Path) -> None:
    found = reviewed(lived(tmp_path, [KEPT[0], HARMED]))
    assert found["suggestions"]["changes"] == []
    assert found["suggestions"]["diff"] == ""
    assert "2 kept retrains with this number, 3 are needed to tell it from chance" in {
        one["why_not"] for one in found["suggestions"]["considered"]
    }
    assert "Nothing is suggested" in found["suggestions"]["sentence"]


def test_a_limit_the_contract_has_by_now_is_not_suggested_again(world: World) -> None:
    document = CONTRACT.to_json()
    document["gates"]["offline"]["metrics"]["roc_auc"]["min"] = 0.7
    found = reviewed(world, contract=type(CONTRACT).model_validate(document))
    reasons = {one["path"]: one["why_not"] for one in found["suggestions"]["considered"]}
    assert reasons["gates.offline.metrics.roc_auc.min"] == "the contract is as strict already (0.7)"


def test_what_hurt_without_being_worse_by_any_number_is_said_to_have_needed_traffic(tmp_path: Path) -> None:
    found = reviewed(lived(tmp_path, [KEPT[0], replace(HARMED, auc=0.9, gain=0.2, ece=0.01)]))
    assert found["earlier"]["limits"] == []
    assert "What stopped it had to be seen on traffic." in found["earlier"]["sentence"]


def test_the_worst_metric_slice_and_back_test_are_named(world: World) -> None:
    worst = {one["what"]: one for one in reviewed(world)["earlier"]["worst"]}
    assert worst["metric that gained least"]["value"] == -0.02
    assert worst["worst slice, worse by"]["which"] == "origin=JFK", "a slice that was too small to judge is no finding"
    assert worst["worst back-test, roc_auc"]["value"] == pytest.approx(0.6)


def test_offline_gain_and_online_effect_are_compared_over_all_retrains_so_far(world: World) -> None:
    found = reviewed(world)["prediction"]
    assert [row["retrain"] for row in found["rows"]] == [*(one.key for one in KEPT), HARMED.key]
    assert [row["online"]["cost_per_flight"]["estimate"] for row in found["rows"]] == pytest.approx(
        [0.02, 0.04, 0.06, 0.08, -0.2]
    )
    first = found["rows"][0]["online"]["cost_per_flight"]
    assert (first["lower"], first["upper"]) == pytest.approx((0.02 - 0.0375, 0.02 + 0.0375)), "a lower cost is an improvement"
    (compared,) = found["compared"]
    assert (compared["points"], compared["same_sign"], compared["spearman"]["value"]) == (5, 5, 1.0)
    assert compared["spearman"]["lower"] > 0
    assert "a larger gain did go with a larger effect" in found["sentence"]


def test_a_retrain_is_reviewed_with_what_was_known_at_its_end(world: World) -> None:
    """Its review does not change because others came later."""
    early = reviewed(world, KEPT[1].key)
    assert early["retrains"] == 3
    assert [row["retrain"] for row in early["prediction"]["rows"]] == [KEPT[0].key, KEPT[1].key]
    assert "2 retrains of this model have both" in early["prediction"]["sentence"]
    assert early["earlier"] is early["recovery"] is None


def test_the_same_history_gives_the_same_review(world: World) -> None:
    assert digest_of(reviewed(world)) == digest_of(reviewed(world))


def test_the_way_back_is_told_from_the_first_sign_to_the_last_answer(world: World) -> None:
    (event,) = world.ledger.events(model=MODEL, kinds=[EventKind.ROLLED_BACK])
    trace = Trace(event.recorded_at + timedelta(seconds=0.25), event.at + timedelta(seconds=40), 12)
    recovery = reviewed(world, trace=trace)["recovery"]
    assert [one["what"] for one in recovery["steps"]] == [
        "an estimate was past its limit first",
        "harm was shown first",
        "the rollback was recorded",
    ]
    assert recovery["seconds_shown_to_recorded"] == 6 * 3600
    assert recovery["seconds_recorded_to_flags"] == pytest.approx(0.25)
    assert (recovery["answers_after"], recovery["seconds_recorded_to_last_answer"]) == (12, 40)
    assert "12 requests were still answered by it, the last 40 seconds later" in recovery["sentence"]


def test_a_rollback_after_promotion_has_no_look_that_showed_harm_and_is_harm_all_the_same(tmp_path: Path) -> None:
    found = reviewed(lived(tmp_path, [replace(KEPT[0], later=20)]), KEPT[0].key)
    assert (found["fate"], found["why"]) == ("harmed", "rolled back after its promotion")
    assert "No look had shown harm" in found["recovery"]["sentence"]
    assert found["earlier"]["kept"] == 1


def test_a_design_that_held_says_so_and_one_that_did_not_says_why(tmp_path: Path) -> None:
    split = HealthCheck("sample_ratio", False, "all stages: the split does not fit the intended shares", 0.0001, 0.005)
    world = lived(tmp_path, [KEPT[0], replace(KEPT[1], units_a_day=2000.0, health=(split,))])
    assert reviewed(world, KEPT[0].key)["design"]["sentence"] == "The design of the cohort held."
    broken = reviewed(world, KEPT[1].key)["design"]
    assert broken["units_a_day"]["ratio"] == pytest.approx(0.4, rel=0.05)
    assert [one.partition(" ")[0] for one in broken["broken"]] == ["2,000", "all"]
    assert not broken["holds"]


def test_units_a_day_far_from_those_planned_are_suggested_once_a_week_of_traffic_says_so(tmp_path: Path) -> None:
    world = lived(tmp_path, [replace(KEPT[0], units_a_day=2030.0), replace(KEPT[1], units_a_day=2030.0, days=10)])
    assert reviewed(world, KEPT[0].key)["suggestions"]["changes"] == [], "six days of traffic are not enough"
    found = reviewed(world, KEPT[1].key)["suggestions"]
    assert [(one["path"], one["now"], one["to"]) for one in found["changes"]] == [
        ("experiment.expected_units_per_day", 5000, 2000)
    ]
    assert "+  expected_units_per_day: 2000\n" in found["diff"]


def test_units_in_both_arms_may_move_a_share_by_their_share_and_count_when_that_is_much_of_its_margin(tmp_path: Path) -> None:
    """The margin of the error rate is 0.01."""
    crossed = HealthCheck("cross_arm_units", False, "units were seen in both arms", 0.004, 0.001)
    crossover = reviewed(lived(tmp_path, [replace(KEPT[0], health=(crossed,))]), KEPT[0].key)["design"]["crossover"]
    (moved,) = [one for one in crossover["measures"] if one["measure"] == "error_rate"]
    assert (moved["at_most"], moved["matters"]) == (0.004, True)


def test_a_retrain_that_met_no_traffic_is_reviewed_without_a_design(world: World) -> None:
    found = reviewed(world, "2013-04-01")
    assert found["design"] is None
    assert found["finding"] == "2013-04-01: first champion, and kept."


def test_an_open_retrain_and_one_that_never_was_are_refused(tmp_path: Path) -> None:
    world = World(tmp_path, contract=CONTRACT)
    world.ramp()
    with pytest.raises(Refused, match="reviewed when it has ended"):
        reviewed(world, "2013-07-01")
    with pytest.raises(RetrainError, match="no retrain 2013-01-01"):
        reviewed(world, "2013-01-01")


def test_evidence_that_is_gone_is_left_out_and_not_guessed(tmp_path: Path) -> None:
    world = lived(tmp_path, [KEPT[0], HARMED])
    look = world.toggle(KEPT[0].key).last_look
    assert look is not None
    world.evidence.path(look.evidence).unlink()
    assert [row["retrain"] for row in reviewed(world)["prediction"]["rows"]] == [HARMED.key]


@pytest.mark.parametrize(
    ("harmed", "kept", "worse", "limit"),
    [
        (0.6, [0.7, 0.8], "lower", 0.65),
        (0.7, [0.7, 0.8], "lower", None),
        (0.75, [0.7, 0.8], "lower", None),
        (0.3, [0.1, 0.2], "higher", 0.25),
        (0.69999, [0.7], "lower", 0.7),
        (0.1234567, [0.1234568], "lower", 0.1234568),
    ],
)
def test_a_limit_is_round_stops_what_hurt_and_lets_the_worst_kept_pass(
    harmed: float, kept: list[float], worse: str, limit: float | None
) -> None:
    found = threshold_between(harmed, kept, worse)
    assert found == limit
    if found is not None and worse == "lower":
        assert harmed < found <= min(kept)


def test_the_plot_is_well_formed_and_says_in_words_what_it_shows(world: World) -> None:
    found = reviewed(world)["prediction"]
    drawn = gain_plot(found, "roc_auc", "cost_per_flight")
    assert drawn is not None
    root = ElementTree.fromstring(str(drawn))
    dots = [one for one in root.iter("circle") if one.get("class") == "mark"]
    assert len(dots) == 4 + 1, "four kept and the legend's"
    assert "2013-09-01 (rolled back for harm) −0.02 offline, −20.0 % online" in root.get("aria-label", "")
    assert gain_plot(found, "log_loss", "cost_per_flight") is None


def test_tables_say_the_same_in_words(world: World) -> None:
    tables = review_tables(reviewed(world))
    assert tables["does the gain predict the effect"][0]["same sign"] == "5 of 5"
    assert tables["suggested changes"][0]["to"]
    assert {row["what"] for row in tables["plan and what came"]} >= {"units a day", "days until a decision"}
    assert RUTH.name not in str(tables), "a review is about the model, not about people"
