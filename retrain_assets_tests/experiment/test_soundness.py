"""Sums that no real values have are named with arm and stage; what rounding leaves behind is not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from retrain_assets.experiment import ArmStatistics, MeasureState, MeasureStatistics, Overlap, interval_of, judge
from retrain_assets.experiment.estimation.soundness import problem_of
from retrain_assets_tests.experiment.builders import COST, arm, events, measure, of_units, plan_of, stratum

SOUND = stratum(arm(100, 1.0), arm(100, 1.0))
SHARED = Overlap((4, "champion"), (5, "champion"), 10, (10.0,), (10.0,), (11.0,))
BOTH = (SOUND, stratum(arm(100, 1.0), arm(100, 1.0), revision=5))


def test_real_values_have_no_problem() -> None:
    draw = np.random.default_rng(2)
    for scale, shift in ((1.0, 0.0), (1e-9, 1e9), (1e12, -3.0), (0.0, 7.0), (0.0, 0.0)):
        values = shift + scale * draw.normal(size=(90, 3))
        statistics = of_units(
            np.repeat(np.arange(45), 2), np.tile([2, 3], 45), draw.random(90) < 0.4, values, columns=("value", "x", "y")
        )
        assert problem_of(statistics) is None
        assert problem_of(of_units(np.arange(90), np.full(90, 2), draw.random(90) < 0.4, values[:, :1])) is None
    assert problem_of(measure()) is None
    assert problem_of(measure(stratum(events(0, 0), events(5, 5)))) is None


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (measure(SOUND, SOUND), "revision 4 (stage 50) is there twice"),
        (measure(stratum(replace(arm(9, 1.0), not_finite=2), arm(9, 1.0))), "champion, revision 4 (stage 50): 2 units have"),
        (measure(stratum(arm(9, 1.0), replace(arm(9, 1.0), first_n=10))), "challenger, revision 4 (stage 50): 10 first units"),
        (measure(stratum(arm(9, 1.0), replace(arm(9, 1.0), first_sum=math.nan))), "NaN or infinite"),
        (measure(stratum(arm(9, 1.0), ArmStatistics(9, (), ()))), "sums of 0 columns where the measure has 1"),
        (MeasureStatistics(("value", "x"), (SOUND,)), "sums of 1 columns where the measure has 2"),
        (MeasureStatistics(("value", "x"), (stratum(*[ArmStatistics(5, (1.0, 9.0), (1.0, 1.0, 1.0))] * 2),)), "sum of squares"),
        (MeasureStatistics(("value", "x"), (stratum(*[ArmStatistics(5, (1.0, 1.0), (1.0, math.nan, 1.0))] * 2),)), "NaN"),
        (MeasureStatistics(strata=BOTH, overlaps=(replace(SHARED, second=(6, "champion")),)), "not two strata"),
        (MeasureStatistics(strata=BOTH, overlaps=(replace(SHARED, second=(4, "challenger")),)), "not two strata"),
        (MeasureStatistics(strata=BOTH, overlaps=(replace(SHARED, n=101),)), "101 shared units of 100 and 100"),
        (MeasureStatistics(strata=BOTH, overlaps=(replace(SHARED, products=(math.nan,)),)), "NaN or infinite"),
        (MeasureStatistics(strata=BOTH, overlaps=(replace(SHARED, products=(1.0, 2.0)),)), "other columns"),
        (MeasureStatistics(strata=BOTH, overlaps=(replace(SHARED, products=(-250.0,)),)), "sums larger than the squares"),
        (MeasureStatistics(strata=BOTH, overlaps=(replace(SHARED, second_sums=(1e300,)),)), "sums larger than the squares"),
        (measure(stratum(arm(90, 1e-160, 1e-160), arm(90, 1e-160, 1e-160))), "give the measure another unit"),
        (measure(stratum(arm(90, 1.0), arm(90, 1e120, 1e120))), "give the measure another unit"),
    ],
)
def test_what_no_values_can_give_is_an_error_with_its_place(broken: MeasureStatistics, words: str) -> None:
    problem = problem_of(broken)
    assert problem is not None
    assert words in problem
    result = judge(COST, broken, plan_of())
    assert (result.state, result.lower) == (MeasureState.ERROR, None)
    assert words in result.message


def test_shared_sums_that_fit_no_values_give_no_interval() -> None:
    odd = MeasureStatistics(strata=BOTH, overlaps=(replace(SHARED, second_sums=(-1e300,)),))
    assert "not those of any values" in str(interval_of(odd, plan_of().tuning))


def test_taking_units_away_again_leaves_sums_that_are_sound() -> None:
    """What is left after late corrections is rounding: no negative square, no sum without units, no unit that is not there."""
    draw = np.random.default_rng(3)
    values = draw.normal(1e4, 3e3, 1000)
    pieces = [ArmStatistics.of_mean(1, float(value), float(value * value)) for value in values]
    total = ArmStatistics.empty()
    for piece in pieces:
        total += piece
    for piece in reversed(pieces):
        total -= piece
    assert total.n == 0
    assert total.sums != (0.0,)
    statistics = measure(stratum(total, total, revision=2), stratum(arm(1000, 1e4, 3e3), arm(1000, 1e4, 3e3)))
    assert problem_of(statistics) is None
    assert judge(COST, statistics, plan_of()).state is MeasureState.INCONCLUSIVE


def test_a_stage_with_nobody_and_the_shadow_stage_are_ignored_with_what_they_share() -> None:
    spec = COST
    nobody = stratum(ArmStatistics.empty(), ArmStatistics.empty(), revision=2, stage="5")
    shadow = stratum(arm(100, math.nan), arm(100, 1.0), revision=1, stage="shadow")
    seen = replace(SHARED, first=(1, "champion"), second=(4, "champion"))
    with_ = MeasureStatistics(strata=(shadow, nobody, SOUND), overlaps=(seen,))
    assert judge(spec, with_, plan_of()) == judge(spec, measure(SOUND), plan_of())


def test_a_stage_in_which_every_value_is_broken_is_no_stage_without_traffic() -> None:
    broken = stratum(replace(ArmStatistics.empty(), not_finite=5), ArmStatistics.empty(), revision=5)
    assert judge(COST, measure(SOUND, broken), plan_of()).state is MeasureState.ERROR


def test_statistics_of_disjoint_units_add_and_subtract() -> None:
    draw = np.random.default_rng(5)
    rows = draw.normal(size=(20, 2))
    units, nobody = np.arange(20), np.zeros(20, dtype=bool)
    whole, part, rest = (
        of_units(units[some], units[some] * 0, nobody[some], rows[some], columns=("value", "x")).strata[0].champion
        for some in (slice(None), slice(8), slice(8, None))
    )
    together = part + rest
    assert (together.n, together.outside, together.first_n) == (whole.n, whole.outside, whole.first_n)
    assert together.products == pytest.approx(whole.products)
    assert (whole - part).sums == pytest.approx(rest.sums)
    assert whole - ArmStatistics.empty(2) == whole
    assert whole.variance == pytest.approx(rows[:, 0].var(ddof=1))
