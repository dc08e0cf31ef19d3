"""The ramp and its plots: stages with ends and units, the limit of each measure, intervals drawn where they are."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from retrain_assets.reports.evaluation_plots import reliability_plot, slice_plot
from retrain_assets.reports.interval_plot import interval_plot
from retrain_assets.reports.svg import Scale, round_ticks, time_ticks
from retrain_assets_tests.reports.conftest import packed
from retrain_assets_tests.reports.sample import Sample

START = datetime(2013, 7, 1, tzinfo=UTC)


def test_stages_follow_each_other_and_carry_units(lived: Sample) -> None:
    stages = packed(lived, "2013-07-01")["ramp"]["stages"]
    assert [one["stage"] for one in stages] == ["shadow", "5", "25", "50", "100"]
    assert [one["share"] for one in stages] == [0.0, 0.05, 0.25, 0.5, 1.0]
    assert all(before["end"] == after["start"] for before, after in pairwise(stages))
    assert stages[-1]["end"] is None
    assert stages[1]["units"]["challenger"]["matured"] >= 80


def test_a_rolled_back_ramp_ends_where_it_was_rolled_back(lived: Sample) -> None:
    pack = packed(lived, "2013-11-01")
    assert pack["ramp"]["stages"][-1]["ended_by"] == "rolled_back"
    assert pack["ramp"]["stages"][-1]["end"] == pack["answer"]["at"]


def test_limits_have_the_sign_of_the_change_that_breaks_the_rule(lived: Sample) -> None:
    measures = {one["name"]: one for one in packed(lived, "2013-07-01")["ramp"]["measures"]}
    assert measures["cost_per_flight"]["limit"] == pytest.approx(-0.01)
    assert measures["missed_late_rate"]["limit"] == pytest.approx(0.05)
    assert measures["slow_rate"]["limit"] == pytest.approx(0.3)
    assert [measures[name]["relative"] for name in ("cost_per_flight", "missed_late_rate", "slow_rate")] == [True, False, True]


def test_every_look_is_there_with_its_evidence(lived: Sample) -> None:
    ramp = packed(lived, "2013-07-01")["ramp"]
    for look in ramp["looks"]:
        assert lived.evidence.get(look["evidence"])["at"] == look["at"]
    assert ramp["last_look"]["action"] == "ask_approval"
    assert set(ramp["last_look"]["segments"]) == {"origin=EWR", "origin=JFK", "origin=LGA"}


def test_the_interval_plot_draws_the_last_interval_to_scale() -> None:
    """Zero and the limit are lines; the last whisker's length over their distance is that of the numbers."""
    drawn = str(interval_plot(ramp_of([(0.30, 0.02, 0.58), (0.2, 0.1, 0.3)]), MEASURE))
    zero, limit = line_of(drawn, "zero"), line_of(drawn, "limit")
    whisker = [
        float(value)
        for value in re.search(r'<line x1="[\d.]+" y1="([\d.]+)" x2="[\d.]+" y2="([\d.]+)" class="whisker"', drawn).groups()
    ]  # type: ignore[union-attr]
    scale = (zero - limit) / 0.05
    assert whisker[0] == pytest.approx(zero - 0.1 * scale, abs=0.3)
    assert whisker[1] == pytest.approx(zero - 0.3 * scale, abs=0.3)
    assert drawn.count('class="mark') == 2


def test_one_look_is_a_whisker_without_a_band() -> None:
    drawn = str(interval_plot(ramp_of([(0.2, 0.1, 0.3)]), MEASURE))
    assert "<polygon" not in drawn
    assert 'class="whisker"' in drawn
    assert "over 1 look " in drawn


def test_looks_without_an_interval_are_a_gap_and_none_at_all_is_no_plot() -> None:
    drawn = str(interval_plot(ramp_of([(None, None, None), (0.2, 0.1, 0.3), (0.2, 0.15, 0.25)]), MEASURE))
    assert drawn.count('class="mark') == 2
    assert interval_plot(ramp_of([(None, None, None)]), MEASURE) is None


def test_a_look_with_failing_health_is_hollow() -> None:
    assert 'class="mark invalid"' in str(interval_plot(ramp_of([(0.2, 0.1, 0.3), (0.2, 0.1, 0.3)], valid=False), MEASURE))


def test_the_plot_says_which_side_is_better_and_what_the_last_look_found() -> None:
    lower = str(interval_plot(ramp_of([(0.2, 0.1, 0.3)]), MEASURE))
    higher = str(interval_plot(ramp_of([(0.2, 0.1, 0.3)]), {**MEASURE, "direction": "increase", "limit": -0.05}))
    assert "worse ↑" in lower
    assert "better ↑" in higher
    assert "At the last look +0.2 [+0.1, +0.3]" in lower


def test_reliability_and_slices_are_drawn_from_their_rows() -> None:
    bins = [{"rows": 10, "mean_score": 0.1, "positive_share": 0.12}, {"rows": 40, "mean_score": 0.3, "positive_share": 0.2}]
    drawn = str(reliability_plot({"bins": bins, "ece": 0.05, "bias": 0.01}))
    assert drawn.count('class="mark"') == 2
    assert "predicts 30.0% where 20.0% happened" in drawn
    row = {"slice": "origin=<JFK>", "judged": True, "worse_by": 0.02, "worse_by_at_least": 0.01, "worse_by_at_most": 0.05}
    slices = str(slice_plot({"margin": 0.03, "rows": [row, {**row, "judged": False, "slice": "small"}]}))
    assert "origin=&lt;JFK&gt;" in slices
    assert slices.count("mark hollow") == 1
    assert slice_plot({"margin": 0.03, "rows": [{**row, "worse_by": None}]}) is None


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), (-0.3, 0.1, [-0.3, -0.2, -0.1, 0.0, 0.1]), (2.0, 2.0, [2.0])],
)
def test_ticks_are_round_and_inside(low: float, high: float, ticks: list[float]) -> None:
    assert round_ticks(low, high) == pytest.approx(ticks)


def test_time_ticks_are_days_or_hours_as_the_period_asks() -> None:
    assert [label for _, label in time_ticks(START, START + timedelta(days=4))] == ["1 Jul", "2 Jul", "3 Jul", "4 Jul", "5 Jul"]
    assert [label for _, label in time_ticks(START, START + timedelta(hours=4))][:3] == ["00:00", "01:00", "02:00"]


def test_a_scale_keeps_what_lies_outside_at_its_end() -> None:
    scale = Scale(0.0, 10.0, 100.0, 0.0)
    assert (scale(2.0), scale.kept(20.0), scale.kept(-5.0)) == (80.0, 0.0, 100.0)


MEASURE = {"name": "missed_late_rate", "role": "guardrail", "direction": "decrease", "relative": False, "limit": 0.05}


def ramp_of(values: list[tuple[float | None, float | None, float | None]], *, valid: bool = True) -> dict:
    looks = [
        {
            "at": (START + timedelta(days=k + 1)).isoformat(),
            "valid": valid,
            "results": {"missed_late_rate": dict(zip(("estimate", "lower", "upper"), one, strict=True))},
        }
        for k, one in enumerate(values)
    ]
    return {"looks": looks, "stages": [{"stage": "5", "start": START.isoformat(), "end": None}]}


def line_of(drawn: str, style: str) -> float:
    found = re.search(rf'<line x1="[\d.]+" y1="([\d.]+)" x2="[\d.]+" y2="\1" class="{style}"', drawn)
    assert found is not None, style
    return float(found.group(1))
