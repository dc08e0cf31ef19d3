"""The offline evaluation of a pack: which limit broke, by how much and on which rows, with the costs and the change beside it."""

from __future__ import annotations

import html
import re

import pytest

from retrain_assets.contract import Gate
from retrain_assets.gates import offline_gate
from retrain_assets.reports.evaluation import evaluation_of
from retrain_assets.reports.evaluation_plots import backtest_plot, reliability_plot
from retrain_assets.reports.pictures import evaluation_pictures
from retrain_assets_tests.reports.conftest import packed, paged
from retrain_assets_tests.reports.sample import MODEL, Sample
from retrain_assets_tests.reports.sample_evidence import CONTRACT, evaluation


@pytest.fixture
def stopped(fresh: Sample) -> Sample:
    fresh.bootstrap()
    fresh.stopped_by_calibration()
    return fresh


def test_a_retrain_stopped_by_calibration_tells_limits_and_slices_at_first_sight(stopped: Sample) -> None:
    pack = packed(stopped, "2013-09-01")
    assert pack["answer"]["word"] == "Stopped at gate offline"
    assert "too high on average" in pack["answer"]["why"]
    found = pack["evaluation"]["calibration"]
    assert {row["limit_of"]: row["outcome"] for row in found["limits"]}["bias"] == "fail"
    section = text(paged(stopped, "2013-09-01").split('<section id="evaluation"')[1].split("</section>")[0])
    for words in ("Slope 1.22", "Limits of calibration", "✕ fail", "Decision threshold", "differ from the champion's", "bundle"):
        assert words in section
    assert "<details open><summary>Calibration in slices" in paged(stopped, "2013-09-01")


def test_a_sound_retrain_keeps_its_slices_folded(lived: Sample) -> None:
    page = paged(lived, "2013-07-01")
    assert "<details><summary>Calibration in slices" in page
    assert "<details><summary>Decisions that differ, by slice" in page


def test_costs_and_flips_are_in_the_pack_where_no_check_of_theirs_is_declared() -> None:
    values = CONTRACT.to_json()
    values["gates"]["offline"] |= {"calibration": None, "stability": None}
    verdicts = offline_gate(evaluation(), type(CONTRACT).model_validate(values))
    gate = {"gate": Gate.OFFLINE.value, "checks": [verdict.to_json() for verdict in verdicts]}
    found = evaluation_of([gate])
    assert found is not None
    assert found["calibration"] is None
    assert found["decision"]["rows"][0]["candidate"] == pytest.approx(evaluation().decision.cost)
    assert found["stability"]["outcome"] is None
    assert found["stability"]["flips"][0]["rows_of"] == "all rows"


def test_a_first_champion_shows_costs_and_no_change(lived: Sample) -> None:
    found = packed(lived, "2013-04-01")["evaluation"]
    assert found["stability"] is None
    assert found["decision"]["rows"][0]["champion"] is None


def test_every_back_test_the_limits_and_the_hold_out_are_drawn(lived: Sample) -> None:
    plot = str(backtest_plot(packed(lived, "2013-07-01")["evaluation"]["backtests"]))
    assert plot.count('class="mark"') == 4
    assert plot.count('class="mark hollow"') == 1
    assert "at least 0.55" in plot
    assert backtest_plot({"rows": [{"start": "2013-04-22", "end": "2013-05-06", "value": None}], "metric": "roc_auc"}) is None
    one = {"rows": [{"start": "2013-04-22T00:00:00+00:00", "end": "2013-05-06T00:00:00+00:00", "value": 0.0}], "metric": "r2"}
    assert str(backtest_plot(one)).count('class="mark"') == 1


def test_bins_have_their_intervals_and_a_pack_of_before_has_none(lived: Sample) -> None:
    calibration = packed(lived, "2013-07-01")["evaluation"]["calibration"]
    assert str(reliability_plot(calibration)).count('class="whisker"') == 10
    plain = {
        **calibration,
        "bins": [{k: part[k] for k in ("rows", "mean_score", "positive_share")} for part in calibration["bins"]],
    }
    assert str(reliability_plot(plain)).count('class="whisker"') == 0


def test_an_evaluation_recorded_before_these_tables_still_has_a_page() -> None:
    bins = [{"rows": 10, "mean_score": 0.2, "positive_share": 0.3}]
    backtests = [{"start": "2013-04-22T00:00:00+00:00", "end": "2013-05-06T00:00:00+00:00", "rows": 9, "value": 0.6}]
    old = [
        {"check": "calibrated", "outcome": "pass", "observed": 0.1, "threshold": 0.2, "evidence": {"ece": 0.1, "bins": bins}},
        {"check": "backtests_hold", "outcome": "pass", "observed": 0.6, "threshold": 0.5, "evidence": {"backtests": backtests}},
    ]
    found = evaluation_of([{"gate": Gate.OFFLINE.value, "checks": old}])
    assert found is not None
    assert (found["decision"], found["stability"], found["budgets"]) == (None, None, [])
    assert found["calibration"]["limits"] == []
    assert found["backtests"]["mean"] is None


def test_the_pictures_of_the_dagster_page_are_three(lived: Sample) -> None:
    shown = evaluation_pictures(lived.home, MODEL, "2013-07-01")
    assert shown.count("data:image/svg+xml") == 3
    assert "Back-tests over time" in shown


def text(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())
