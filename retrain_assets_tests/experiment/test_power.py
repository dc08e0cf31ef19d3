"""Chances of looks against simulated experiments, and units and days that follow from them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from retrain_assets.experiment.estimation.confidence_sequence import one_sided_radius, tuning
from retrain_assets.experiment.estimation.group_sequential import Spending
from retrain_assets.experiment.planning.course import Course, Stretch
from retrain_assets.experiment.planning.power import CHANCE, Looks, anytime_looks, drift_of, information_needed, planned_looks

RAMP = Course((Stretch("5", 0.05, 1, 4), Stretch("25", 0.25, 4, 7), Stretch("50", 0.5, 7, math.inf)), 400.0, 1.0)
ANYTIME = anytime_looks(RAMP, alpha=0.025, planned_units=6000, earliest=9, latest=28)
PLANNED = planned_looks(RAMP, alpha=0.025, spending=Spending.OBRIEN_FLEMING, after=[7, 14, 21, 27], latest=28)


def simulated(looks: Looks, effect: float, deviation: float, runs: int, seed: int) -> np.ndarray:
    """Share of simulated ramps in which by each look at least one has shown the effect, from day-wise sums of both arms."""
    draw = np.random.default_rng(seed)
    sums = {(stage.stage, arm): np.zeros(runs) for stage in RAMP.stretches for arm in (0, 1)}
    units = dict.fromkeys(sums, 0.0)
    shown, found, before = np.zeros(runs, dtype=bool), [], 0.0
    for day, z in zip(looks.days[: looks.count], looks.z, strict=False):
        for stage in RAMP.stretches:
            for arm, share in enumerate((1 - stage.share, stage.share)):
                since = max(0.0, min(before - 1, stage.ends) - stage.begins)
                until = max(0.0, min(day - 1, stage.ends) - stage.begins)
                n = RAMP.units_a_day * share * (until - since)
                sums[stage.stage, arm] += n * effect * arm + deviation * math.sqrt(n) * draw.standard_normal(runs)
                units[stage.stage, arm] += n
        weights = {
            one.stage: units[one.stage, 0] * units[one.stage, 1] / (units[one.stage, 0] + units[one.stage, 1])
            for one in RAMP.stretches
            if units[one.stage, 1]
        }
        total = sum(weights.values())
        estimate = sum(w * (sums[s, 1] / units[s, 1] - sums[s, 0] / units[s, 0]) for s, w in weights.items()) / total
        shown |= estimate > z * deviation / math.sqrt(total)
        found.append(shown.mean())
        before = day
    return np.array(found)


@pytest.mark.parametrize("looks", [ANYTIME, PLANNED], ids=["any look", "planned looks"])
@pytest.mark.parametrize("effect", [0.0, 0.05, 0.09])
def test_chances_are_those_of_simulated_ramps(looks: Looks, effect: float) -> None:
    expected = looks.chances(drift_of(effect, 1.0))[: looks.count]
    assert simulated(looks, effect, 1.0, 6000, 3) == pytest.approx(np.array(expected), abs=5 * 0.5 / math.sqrt(6000))


def test_looks_of_the_sequence_are_those_of_its_limits() -> None:
    day, information, z = ANYTIME.days[3], ANYTIME.information[3], ANYTIME.z[3]
    units = information / 0.25
    limit = one_sided_radius(units, 4.0, tuning(6000, 0.05), 0.025)
    assert z == pytest.approx(limit / math.sqrt(4.0 / units), rel=1e-12)
    assert information == pytest.approx(RAMP.information(day))


def test_information_of_a_ramp_is_what_its_stages_bring() -> None:
    """Three days at 5, three at 25 and one matured day at 50 per cent of 400 units a day."""
    assert RAMP.information(9) == pytest.approx(400 * (3 * 0.0475 + 3 * 0.1875 + 1 * 0.25))
    assert RAMP.arms(9) == pytest.approx((400 * (3 * 0.95 + 3 * 0.75 + 0.5), 400 * (3 * 0.05 + 3 * 0.25 + 0.5)))
    assert RAMP.information(1.9) == 0
    for information in (0.5, 30.0, 281.0, 5000.0):
        assert RAMP.information(RAMP.day_of(information)) == pytest.approx(information, rel=1e-3)


def test_without_an_effect_the_level_is_kept() -> None:
    assert ANYTIME.chances(0.0)[ANYTIME.count - 1] < 0.025
    assert PLANNED.chances(0.0)[-1] == pytest.approx(0.025, abs=1e-6)


def test_planned_looks_show_more_than_any_look_and_less_than_one_look() -> None:
    drift = 3.0 / math.sqrt(RAMP.information(28))
    alone = planned_looks(RAMP, alpha=0.025, spending=Spending.LINEAR, after=[27], latest=28).chances(drift)[-1]
    assert ANYTIME.chances(drift)[ANYTIME.count - 1] < PLANNED.chances(drift)[-1] < alone


def test_the_detectable_drift_has_just_the_chance() -> None:
    for looks in (ANYTIME, PLANNED):
        drift = looks.detectable_drift()
        assert drift is not None
        assert looks.chances(drift)[looks.count - 1] == pytest.approx(CHANCE, abs=1e-3)


def test_a_stretched_plan_at_the_information_needed_has_just_the_chance() -> None:
    drift = 0.04
    needed = information_needed(PLANNED, drift, alpha=0.025, planned_units=6000, share=0.5)
    assert needed is not None
    longer = [one * needed / PLANNED.information[-1] for one in PLANNED.information]
    stretched = Looks(PLANNED.days, tuple(longer), PLANNED.z, PLANNED.count, planned=True)
    assert stretched.chances(drift)[-1] == pytest.approx(CHANCE, abs=1e-3)


def test_the_information_needed_by_the_sequence_is_that_of_simulated_paths() -> None:
    drift = 0.06
    needed = information_needed(ANYTIME, drift, alpha=0.025, planned_units=6000, share=0.5)
    assert needed is not None
    grid = np.geomspace(needed / 200, needed, 120)
    z = [one_sided_radius(one / 0.25, one / 0.25, tuning(6000, 0.05), 0.025) for one in grid]
    steps = np.diff(grid, prepend=0.0)
    draw = np.random.default_rng(8)
    scores = np.cumsum(drift * steps + np.sqrt(steps) * draw.standard_normal((8000, 120)), axis=1)
    assert (scores / np.sqrt(grid) > z).any(axis=1).mean() == pytest.approx(CHANCE, abs=0.03)


def test_an_effect_that_is_none_needs_more_than_there_is() -> None:
    for looks in (ANYTIME, PLANNED):
        assert information_needed(looks, 0.0, alpha=0.025, planned_units=6000, share=0.5) is None
        assert information_needed(looks, -1.0, alpha=0.025, planned_units=6000, share=0.5) is None


def test_looks_before_anything_has_matured_and_after_the_end_are_not_taken() -> None:
    looks = planned_looks(RAMP, alpha=0.025, spending=Spending.POCOCK, after=[0.5, 10, 40], latest=28)
    assert looks.days == (11.0,)
    late = anytime_looks(RAMP, alpha=0.025, planned_units=6000, earliest=30, latest=28)
    assert late.count == 0
    assert late.detectable_drift() is None
    assert late.chances(1.0)[0] > 0.99, "later looks still tell what it would take"
