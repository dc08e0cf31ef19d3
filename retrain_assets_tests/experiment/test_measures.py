"""States of a measure, one rule at a time, and what bad numbers become."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from retrain_assets.experiment import ArmStatistics, MeasureResult, MeasureSpec, MeasureState, StratumStatistics, judge
from retrain_assets_tests.experiment.builders import COST, ERROR, arm, events, measure, plan_of, stratum

N = 20_000
of_mean = ArmStatistics.of_mean


def state_of(spec: MeasureSpec, *strata: StratumStatistics) -> MeasureResult:
    return judge(spec, measure(*strata), plan_of(spec))


@pytest.mark.parametrize(
    ("challenger", "state"),
    [
        (9.0, MeasureState.BETTER),
        (10.0, MeasureState.INCONCLUSIVE),
        (11.0, MeasureState.WORSE),
        (9.95, MeasureState.INCONCLUSIVE),
    ],
)
def test_a_success_measure_wins_loses_or_stays_open(challenger: float, state: MeasureState) -> None:
    result = state_of(COST, stratum(arm(N, 10.0, 8.0), arm(N, challenger, 8.0)))
    assert result.state is state
    mirrored = state_of(replace(COST, direction="increase"), stratum(arm(N, 10.0, 8.0), arm(N, 20.0 - challenger, 8.0)))
    assert mirrored.state is state


def test_better_needs_the_limit_not_the_estimate_beyond_the_smallest_effect() -> None:
    strata = stratum(arm(N, 10.0, 8.0), arm(N, 9.5, 8.0))
    assert state_of(replace(COST, min_effect=0.0), strata).state is MeasureState.BETTER
    result = state_of(replace(COST, min_effect=0.04), strata)
    assert result.state is MeasureState.INCONCLUSIVE
    assert result.relative_estimate == pytest.approx(-0.05)
    assert result.relative_upper is not None
    assert result.relative_upper < 0


def test_tolerated_harm_delays_the_roll_back() -> None:
    strata = stratum(arm(N, 10.0, 8.0), arm(N, 10.5, 8.0))
    assert state_of(COST, strata).state is MeasureState.WORSE
    assert state_of(replace(COST, max_harm=0.1), strata).state is MeasureState.INCONCLUSIVE


@pytest.mark.parametrize(
    ("spec", "challenger", "state"),
    [
        (MeasureSpec("m", "guardrail", "decrease", margin=0.5), 10.0, MeasureState.NON_INFERIOR),
        (MeasureSpec("m", "guardrail", "decrease", margin=0.5), 11.0, MeasureState.WORSE),
        (MeasureSpec("m", "guardrail", "decrease", margin=0.5), 10.5, MeasureState.INCONCLUSIVE),
        (MeasureSpec("m", "guardrail", "increase", margin=0.5), 9.0, MeasureState.WORSE),
        (MeasureSpec("m", "guardrail", "increase", margin=0.5), 10.0, MeasureState.NON_INFERIOR),
        (MeasureSpec("m", "guardrail", "decrease", max_regression=0.05), 10.0, MeasureState.NON_INFERIOR),
        (MeasureSpec("m", "guardrail", "decrease", max_regression=0.05), 11.0, MeasureState.WORSE),
        (MeasureSpec("m", "guardrail", "increase", max_regression=0.05), 9.0, MeasureState.WORSE),
    ],
)
def test_a_guardrail_is_kept_broken_or_open(spec: MeasureSpec, challenger: float, state: MeasureState) -> None:
    assert state_of(spec, stratum(arm(N, 10.0, 8.0), arm(N, challenger, 8.0))).state is state


def test_no_errors_at_all_become_non_inferior_once_units_suffice() -> None:
    states = {n: state_of(ERROR, stratum(events(n, 0), events(n, 0))).state for n in (30, 500, 2000)}
    assert states == {30: MeasureState.INCONCLUSIVE, 500: MeasureState.INCONCLUSIVE, 2000: MeasureState.NON_INFERIOR}


def test_an_error_burst_among_few_units_is_worse() -> None:
    result = state_of(ERROR, stratum(events(2000, 0), events(100, 15), stage="5"))
    assert result.state is MeasureState.WORSE
    assert result.lower is not None
    assert result.lower > 0.01


def test_shares_near_one_are_bounded_too() -> None:
    answered = MeasureSpec("answered", "guardrail", "increase", margin=0.01)
    assert state_of(answered, stratum(events(3000, 3000), events(3000, 3000))).state is MeasureState.NON_INFERIOR


def test_a_relative_margin_on_a_mean_of_zero_shows_nothing() -> None:
    spec = MeasureSpec("error_rate", "guardrail", "decrease", max_regression=0.2)
    result = state_of(spec, stratum(events(5000, 0), events(5000, 0)))
    assert result.state is MeasureState.INCONCLUSIVE
    assert "absolute margin" in result.message
    noisy = state_of(spec, stratum(arm(5000, 0.001, 8.0), arm(5000, 0.001, 8.0)))
    assert (noisy.state, noisy.relative_upper) == (MeasureState.INCONCLUSIVE, None)


@pytest.mark.parametrize(
    ("champion", "challenger", "state", "words"),
    [
        (
            of_mean(100, math.nan, 5.0),
            arm(100, 1.0),
            MeasureState.ERROR,
            "champion, revision 4 (stage 50): the sum",
        ),
        (arm(100, 1.0), of_mean(100, math.inf, math.inf), MeasureState.ERROR, "challenger, revision 4 (stage 50): the sum"),
        (arm(100, 1.0), of_mean(100, 100.0, math.nan), MeasureState.ERROR, "NaN or infinite"),
        (arm(100, 1.0), of_mean(100, 100.0, 1.0), MeasureState.ERROR, "sum of squares"),
        (arm(100, 1.0), of_mean(-1, 1.0, 1.0), MeasureState.ERROR, "negative number of units"),
        (arm(100, 1.0), of_mean(0, 1.0, 1.0), MeasureState.ERROR, "sum without units"),
        (arm(100, 1.0), replace(arm(99, 1.0), not_finite=1), MeasureState.ERROR, "1 unit has a value that is NaN"),
        (arm(100, 1.0), ArmStatistics(100, (1.0, 1.0), (1.0, 1.0, 1.0)), MeasureState.ERROR, "aggregate the experiment anew"),
        (arm(100, 1.0), ArmStatistics.empty(), MeasureState.NO_DATA, "the challenger has no matured unit"),
        (ArmStatistics.empty(), arm(100, 1.0), MeasureState.NO_DATA, "the champion has no matured unit"),
        (arm(100, 1.0), arm(5, -9.0), MeasureState.INCONCLUSIVE, "30 matured units"),
        (arm(500, 7.0, 0.0), arm(500, 7.0, 0.0), MeasureState.INCONCLUSIVE, "all values of the champion are equal"),
        (arm(500, 7.0, 2.0), arm(500, 3.0, 0.0), MeasureState.INCONCLUSIVE, "all values of the challenger are equal"),
    ],
)
@pytest.mark.parametrize("spec", [COST, MeasureSpec("cost", "guardrail", "decrease", margin=5.0)])
def test_bad_numbers_have_a_state_and_a_sentence_and_never_a_good_state(
    champion: ArmStatistics, challenger: ArmStatistics, state: MeasureState, words: str, spec: MeasureSpec
) -> None:
    result = state_of(spec, stratum(champion, challenger))
    assert result.state is state
    assert words in result.message
    assert (result.lower, result.upper) == (None, None)


def test_equal_values_are_equal_despite_rounding() -> None:
    total = math.fsum([0.1] * 1000) * (1 + 1e-15)
    tenths = of_mean(1000, total, 1000 * 0.1 * 0.1)
    assert tenths.variance == 0.0
    result = state_of(COST, stratum(replace(tenths, outside=1), replace(tenths, outside=1)))
    assert "all values of the champion are equal" in result.message


def test_harm_is_seen_even_where_a_relative_change_is_not_defined() -> None:
    """The champion's mean cannot be told from 0, so no improvement of 1 % can be shown; plain harm still can."""
    result = state_of(COST, stratum(arm(N, 0.01, 8.0), arm(N, 2.0, 8.0)))
    assert (result.state, result.relative_lower) == (MeasureState.WORSE, None)


def test_without_strata_there_is_no_data_and_shadow_is_no_experiment() -> None:
    assert state_of(COST).state is MeasureState.NO_DATA
    shadow = stratum(arm(N, 10.0, 8.0), arm(N, 5.0, 8.0), stage="shadow")
    assert state_of(COST, shadow).state is MeasureState.NO_DATA


def test_a_guardrail_without_a_margin_is_an_error() -> None:
    spec = MeasureSpec("m", "guardrail", "decrease")
    assert state_of(spec, stratum(arm(N, 10.0), arm(N, 10.0))).state is MeasureState.ERROR


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("shift", [0.5, 0.95, 1.01, 1.03, 1.2])
def test_relative_and_absolute_limits_agree_on_which_side_of_zero_they_are(shift: float, sign: float) -> None:
    """A reader who sees [-0.3 %, +18 %] beside "harm is shown" stops believing either."""
    strata = (stratum(arm(2500, sign * 8.2, 11.0), arm(2500, sign * (8.2 + shift), 12.0)),)
    result = state_of(COST, *strata)
    assert None not in (result.lower, result.upper, result.relative_lower, result.relative_upper)
    assert (result.lower > 0, result.upper < 0) == (result.relative_lower > 0, result.relative_upper < 0)
    assert result.relative_lower < result.relative_estimate < result.relative_upper


def test_relative_limits_widen_upwards_where_the_champions_mean_is_uncertain() -> None:
    """Fieller's limits are not symmetric: a small denominator can make the change much larger, not much smaller."""
    result = state_of(COST, stratum(arm(400, 10.0, 25.0), arm(400, 10.0, 25.0)))
    assert result.relative_upper - result.relative_estimate > result.relative_estimate - result.relative_lower
