"""What planning says a look shows, against the engine that looks: the same states with the same probability."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from retrain_assets.experiment.estimation.group_sequential import Spending
from retrain_assets.experiment.estimation.measures import MeasureState, PlannedBoundary, judge
from retrain_assets.experiment.estimation.statistics import ArmStatistics
from retrain_assets.experiment.plan import MeasureSpec
from retrain_assets.experiment.planning.course import Course, Stretch
from retrain_assets.experiment.planning.power import CHANCE, Looks, anytime_looks, planned_looks
from retrain_assets.experiment.planning.prospects import Prospect, inconclusive, prospect_of
from retrain_assets.experiment.planning.spreads import Spread

from .builders import events, measure, plan_of, stratum

RUNS = 1500
RAMP = Course((Stretch("10", 0.1, 0, 3), Stretch("50", 0.5, 3, math.inf)), 300.0, 1.0)
ANYTIME = anytime_looks(RAMP, alpha=0.025, planned_units=3000, earliest=6, latest=14)
PLANNED = planned_looks(RAMP, alpha=0.025, spending=Spending.OBRIEN_FLEMING, after=[7, 14], latest=14)
PLAN = replace(plan_of(), ramp=("10", "50"), planned_units=3000)

MEASURES = {
    "absolute margin": MeasureSpec("cost", "guardrail", "decrease", margin=0.55),
    "relative margin, less is better": MeasureSpec("cost", "guardrail", "decrease", max_regression=0.06),
    "relative margin, more is better": MeasureSpec("cost", "guardrail", "increase", max_regression=0.06),
    "relative effect": MeasureSpec("cost", "success", "decrease", min_effect=0.05),
    "absolute effect": MeasureSpec("cost", "success", "increase", min_gain=0.45),
}


def known(spec: MeasureSpec, spread: Spread, looks: Looks = ANYTIME, given: float | None = None) -> Prospect:
    found = prospect_of(spec, spread, PLAN, RAMP, looks, given)
    assert isinstance(found, Prospect)
    return found


def normal_arm(draw: np.random.Generator, n: float, mean: float, deviation: float) -> ArmStatistics:
    """An arm's sums, drawn as those of so many normal values."""
    units = round(n)
    drawn = mean + deviation * draw.standard_normal() / math.sqrt(units)
    within = deviation**2 * draw.chisquare(units - 1)
    return ArmStatistics.of_mean(units, units * drawn, within + units * drawn**2, outside=1)


def shown_by_the_engine(spec: MeasureSpec, spread: Spread, effect: float, z: float | None) -> float:
    """Share of simulated canaries in which the engine calls the measure good on day 14."""
    draw, shown = np.random.default_rng(7), 0
    sign = 1 if spec.direction == "increase" else -1
    terms = PLAN if z is None else replace(PLAN, looks=(PLAN.max_duration,))
    for _ in range(RUNS):
        strata = []
        for revision, (one, days) in enumerate(zip(RAMP.stretches, (3, 10), strict=True), start=1):
            n, baseline = 300 * days, spread.champion_mean
            arms = []
            for share, mean in ((1 - one.share, baseline), (one.share, baseline + sign * effect)):
                if spread.is_share:
                    arms.append(events(round(n * share), int(draw.binomial(round(n * share), mean))))
                else:
                    arms.append(normal_arm(draw, n * share, mean, math.sqrt(spread.variance)))
            strata.append(stratum(*arms, revision=revision, stage=one.stage))
        result = judge(spec, measure(*strata), terms, planned=None if z is None else PlannedBoundary(2, z))
        shown += result.state in (MeasureState.BETTER, MeasureState.NON_INFERIOR)
    return shown / RUNS


@pytest.mark.parametrize("looks", [ANYTIME, PLANNED], ids=["any look", "planned looks"])
@pytest.mark.parametrize("name", list(MEASURES))
def test_the_last_look_shows_as_often_as_the_engine_does(name: str, looks: Looks) -> None:
    spec, spread = MEASURES[name], Spread(10.0, 20.0, 4000)
    found = known(spec, spread, looks)
    seen = shown_by_the_engine(spec, spread, found.effect, looks.z[-1] if looks.planned else None)
    assert 0.2 < found.at_the_end < 0.98, "nothing is told by a case that is always or never shown"
    assert seen == pytest.approx(found.at_the_end, abs=5 * 0.5 / math.sqrt(RUNS))
    assert found.at_the_end <= found.chance


def test_a_wide_relative_margin_counts_the_champions_variance_as_the_engine_does() -> None:
    spec, spread = MeasureSpec("cost", "guardrail", "increase", max_regression=0.5), Spread(1.0, 24.0, 4000)
    found = known(spec, spread)
    assert found.at_the_end == pytest.approx(shown_by_the_engine(spec, spread, 0.0, None), abs=4 * 0.5 / math.sqrt(RUNS))


@pytest.mark.parametrize(("rate", "margin"), [(0.003, 0.015), (0.004, 0.0125), (0.0, 0.0085)])
def test_a_share_with_few_events_is_shown_as_often_as_the_engine_does_or_less(rate: float, margin: float) -> None:
    spec, spread = (
        MeasureSpec("error", "guardrail", "decrease", margin=margin),
        Spread(rate, rate * (1 - rate), 100_000, is_share=True),
    )
    found = known(spec, spread)
    assert found.exact
    seen = shown_by_the_engine(spec, spread, 0.0, None)
    assert found.at_the_end - 0.06 < seen < found.at_the_end + 0.2
    assert seen > 0.1


def test_the_smallest_margin_is_one_that_is_shown_with_the_chance() -> None:
    for spec, spread in (
        (MeasureSpec("cost", "guardrail", "decrease", margin=0.01), Spread(10.0, 20.0, 4000)),
        (MeasureSpec("error", "guardrail", "decrease", margin=0.001), Spread(0.003, 0.003, 4000, is_share=True)),
    ):
        margin = known(spec, spread).detectable
        assert margin is not None
        assert known(replace(spec, margin=margin * 1.001), spread).chance >= CHANCE - 1e-3
        assert known(replace(spec, margin=margin * 0.9), spread).chance < CHANCE


def test_the_smallest_effect_is_one_that_is_shown_with_the_chance() -> None:
    spec, spread = MeasureSpec("cost", "success", "decrease", min_effect=0.02), Spread(10.0, 20.0, 4000)
    smallest = known(spec, spread).detectable
    assert smallest is not None
    assert known(spec, spread, given=smallest / 10.0).chance == pytest.approx(CHANCE, abs=0.01)


def test_a_wider_stage_alone_needs_fewer_units_and_days() -> None:
    tenth, half = known(MEASURES["absolute margin"], Spread(10.0, 20.0, 4000)).alone
    assert (tenth.stage, half.stage) == ("10", "50")
    assert tenth.units / half.units == pytest.approx(0.25 / 0.09, rel=1e-3)
    assert tenth.days > half.days


def test_more_time_than_there_is_is_told_as_a_day() -> None:
    found = known(MeasureSpec("cost", "guardrail", "decrease", margin=0.3), Spread(10.0, 20.0, 4000))
    assert found.chance < CHANCE
    assert found.days is not None
    assert found.units is not None
    assert found.days > 14
    assert found.units == pytest.approx(RAMP.units(found.days), abs=1)
    never = known(MeasureSpec("cost", "guardrail", "decrease", margin=1e-4), Spread(10.0, 20.0, 4000))
    assert (never.units, never.days) == (None, None)


def test_what_is_taken_to_be_true_is_said() -> None:
    spread = Spread(-10.0, 20.0, 4000)
    success = MeasureSpec("cost", "success", "decrease")
    assert (known(success, spread).effect, known(success, spread).truth) == (0.5, "assumed")
    assert known(replace(success, min_gain=2.0), spread).effect == 4.0
    assert known(replace(success, min_effect=0.1), spread).effect == pytest.approx(2.0)
    assert (known(success, spread, given=0.3).effect, known(success, spread, given=0.3).truth) == (3.0, "given")
    assert known(MEASURES["absolute margin"], spread).effect == 0
    assert known(MEASURES["absolute margin"], spread).truth_is_declared
    assert not known(success, spread).truth_is_declared


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (MeasureSpec("cost", "guardrail", "decrease", max_regression=0.1), "write an absolute one"),
        (MeasureSpec("cost", "success", "decrease"), "no effect can be assumed"),
    ],
)
def test_a_champion_at_zero_leaves_relative_terms_undefined(spec: MeasureSpec, said: str) -> None:
    found = prospect_of(spec, Spread(0.0, 4.0, 500), PLAN, RAMP, ANYTIME)
    assert isinstance(found, str)
    assert said in found


def test_the_bounds_of_ending_inconclusive_hold_whatever_the_dependence() -> None:
    spread = Spread(10.0, 20.0, 4000)
    guardrails = [known(replace(MEASURES["absolute margin"], name=name), spread) for name in ("a", "b")]
    success = [known(replace(MEASURES["relative effect"], name=name), spread) for name in ("c", "d")]
    bounds = inconclusive([*guardrails, *success])
    assert bounds is not None
    assert 0 <= bounds.at_least < bounds.independent < bounds.at_most <= 1
    only = inconclusive(guardrails)
    assert only is not None
    assert only.at_least == pytest.approx(1 - guardrails[0].chance)
    assert only.independent == pytest.approx(1 - guardrails[0].chance ** 2)
    assert only.at_most == pytest.approx(2 * (1 - guardrails[0].at_the_end))
    either = inconclusive(success)
    assert either is not None
    assert either.independent == pytest.approx((1 - success[0].chance) ** 2), "one success measure is enough"
    assert inconclusive([]) is None
