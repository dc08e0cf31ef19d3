"""States of a measure, one rule at a time, and what bad numbers become."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from retrain_assets.contract import canonical_json
from retrain_assets.experiment import (
    ArmStatistics,
    MeasureResult,
    MeasureSpec,
    MeasureState,
    MeasureStatistics,
    Plan,
    PlannedBoundary,
    StratumStatistics,
    judge,
)
from retrain_assets_tests.experiment.builders import COST, ERROR, arm, events, measure, of_units, plan_of, stratum

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
    """The champion's mean cannot be told from 0, so there is no relative change to show; plain harm still is."""
    result = state_of(COST, stratum(arm(N, 0.01, 8.0), arm(N, 2.0, 8.0)))
    assert (result.state, result.relative_estimate, result.relative_upper) == (MeasureState.WORSE, None, None)


FAR = {
    "errors where there were none": ("decrease", stratum(events(1000, 0), events(1000, 300))),
    "hardly any successes left, of hardly any": ("increase", stratum(events(1000, 40), events(1000, 2))),
    "a loss where nothing was earned": ("increase", stratum(arm(5000, 0.01, 1.0), arm(5000, -5.0, 1.0))),
    "a cost where there was none": ("decrease", stratum(arm(5000, -0.01, 1.0), arm(5000, 5.0, 1.0))),
}


@pytest.mark.parametrize("case", FAR)
def test_a_guardrail_in_per_cent_is_not_blind_where_the_champions_mean_is_about_0(case: str) -> None:
    """Harm that is far beyond the margin for any mean the champion may have is shown, and not waited out."""
    direction, both = FAR[case]
    result = state_of(MeasureSpec("rate", "guardrail", direction, max_regression=0.2), both)
    assert result.state is MeasureState.WORSE, result.message
    nothing = state_of(MeasureSpec("rate", "guardrail", direction, max_regression=0.2), replace(both, challenger=both.champion))
    assert nothing.state is MeasureState.INCONCLUSIVE, nothing.message


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (replace(ERROR, margin=0.05, max_regression=None), "change +0.01 ["),
        (replace(ERROR, margin=None, max_regression=0.9), "change +10.0% ["),
        (replace(COST, direction="increase", min_gain=0.001, min_effect=0.0), "change +0.01 ["),
        (replace(COST, direction="increase", min_effect=0.001), "change +10.0% ["),
    ],
    ids=["absolute margin", "relative margin", "absolute gain", "relative effect"],
)
def test_a_change_is_told_in_the_kind_the_measure_is_held_to(spec: MeasureSpec, words: str) -> None:
    """A margin of 0.05 beside a change of 10 % is read as a breach, and as kept beside the 0.01 that it is."""
    strata = stratum(arm(N, 0.1, 0.3), arm(N, 0.11, 0.3))
    assert words in state_of(spec, strata).message
    taken = judge(spec, measure(strata), replace(plan_of(spec), looks=(timedelta(days=7),)), planned=PlannedBoundary(1, 2.0))
    limit = taken.message.partition("at the planned look ")[2]
    assert limit.split(":")[0].endswith("%") == ("%" in words)


def test_an_empty_arm_is_named_once() -> None:
    nobody = of_mean(0, 0.0, 0.0)
    assert "neither arm has a matured unit" in state_of(COST, stratum(nobody, nobody)).message
    assert "the challenger has no matured unit" in state_of(COST, stratum(arm(N, 10.0), nobody)).message


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


def state_at(spec: MeasureSpec, *strata: StratumStatistics, plan: Plan | None = None, **levels: Any) -> MeasureResult:
    return judge(spec, measure(*strata), plan or plan_of(spec), **levels)


LOOKS = replace(plan_of(), looks=(timedelta(days=7), timedelta(days=14)))
AT_MARGIN = MeasureSpec("m", "guardrail", "decrease", margin=0.5)


def test_between_planned_looks_only_harm_is_judged() -> None:
    won, lost = stratum(arm(N, 10.0, 8.0), arm(N, 8.0, 8.0)), stratum(arm(N, 10.0, 8.0), arm(N, 12.0, 8.0))
    for spec in (COST, AT_MARGIN):
        assert state_at(spec, won, plan=LOOKS).state is MeasureState.INCONCLUSIVE
        assert "planned looks" in state_at(spec, won, plan=LOOKS).message
        assert state_at(spec, lost, plan=LOOKS).state is MeasureState.WORSE
    assert state_at(COST, won, plan=LOOKS, planned=PlannedBoundary(1, 2.2)).state is MeasureState.BETTER
    assert state_at(AT_MARGIN, won, plan=LOOKS, planned=PlannedBoundary(1, 2.2)).state is MeasureState.NON_INFERIOR
    assert state_at(AT_MARGIN, lost, plan=LOOKS, planned=PlannedBoundary(1, 2.2)).state is MeasureState.WORSE


def test_the_planned_limit_is_z_standard_errors_from_the_estimate_on_the_good_side() -> None:
    one = stratum(arm(N, 10.0, 8.0), arm(N, 9.8, 8.0))
    error = 8.0 * math.sqrt(2 / N)
    down = state_at(COST, one, plan=LOOKS, planned=PlannedBoundary(2, 2.0))
    assert down.planned_limit == pytest.approx(-0.2 + 2.0 * error)
    up = state_at(replace(COST, direction="increase"), one, plan=LOOKS, planned=PlannedBoundary(2, 2.0))
    assert up.planned_limit == pytest.approx(-0.2 - 2.0 * error)
    assert down.planned_relative is not None
    assert up.planned_relative is not None
    assert up.planned_relative < -0.02 < down.planned_relative
    assert (down.lower, down.upper) == (up.lower, up.upper)
    assert down.upper is not None
    assert down.planned_limit < down.upper


def test_the_planned_limit_decides_where_the_sequence_does_not_yet() -> None:
    """z = 2 is nearer to the estimate than a limit that holds at all looks; what it must exceed is the same."""
    one = stratum(arm(N, 10.0, 8.0), arm(N, 9.75, 8.0))
    spec = replace(COST, min_effect=0.0)
    assert state_at(spec, one).state is MeasureState.INCONCLUSIVE
    assert state_at(spec, one, plan=LOOKS, planned=PlannedBoundary(2, 2.0)).state is MeasureState.BETTER
    assert state_at(spec, one, plan=LOOKS, planned=PlannedBoundary(2, 3.5)).state is MeasureState.INCONCLUSIVE


@pytest.mark.parametrize("z", [math.inf, math.nan])
def test_a_planned_look_that_spends_nothing_shows_nothing(z: float) -> None:
    result = state_at(COST, stratum(arm(N, 10.0, 8.0), arm(N, 5.0, 8.0)), plan=LOOKS, planned=PlannedBoundary(1, z))
    assert (result.state, result.planned_limit, result.planned_relative) == (MeasureState.INCONCLUSIVE, None, None)
    quiet = state_at(ERROR, stratum(events(N, 0), events(N, 0)), plan=LOOKS, planned=PlannedBoundary(1, z))
    assert (quiet.state, quiet.planned_limit) == (MeasureState.INCONCLUSIVE, None)


def test_few_events_at_a_planned_look_keep_their_exact_bounds() -> None:
    quiet = stratum(events(2000, 0), events(2000, 0))
    result = state_at(ERROR, quiet, plan=LOOKS, planned=PlannedBoundary(1, 2.0))
    assert (result.state, result.method) == (MeasureState.NON_INFERIOR, "exact")
    assert result.planned_limit == result.upper


def test_harm_has_an_error_level_of_its_own() -> None:
    """The limit that shows harm is wider at alpha / 20; the one on the good side stays where it was."""
    for direction, change in (("decrease", 0.4), ("increase", -0.4)):
        spec = MeasureSpec("m", "guardrail", direction, margin=0.1)
        harmed = stratum(arm(N, 10.0, 8.0), arm(N, 10.0 + change, 8.0))
        plain, strict = state_at(spec, harmed), state_at(spec, harmed, harm_alpha=0.025 / 20)
        assert (plain.state, strict.state) == (MeasureState.WORSE, MeasureState.INCONCLUSIVE)
        good, bad = ("upper", "lower") if direction == "decrease" else ("lower", "upper")
        assert getattr(strict, good) == getattr(plain, good)
        assert abs(getattr(strict, bad)) < abs(getattr(plain, bad))
        both = state_at(spec, harmed, alpha=0.025 / 20)
        assert getattr(both, bad) == pytest.approx(getattr(strict, bad))
        assert abs(getattr(both, good)) > abs(getattr(plain, good))
    share = stratum(events(2000, 0), events(2000, 15))
    assert state_at(ERROR, share, harm_alpha=1e-4).upper == state_at(ERROR, share).upper
    assert state_at(ERROR, share, harm_alpha=1e-4).lower < state_at(ERROR, share).lower


def test_an_absolute_gain_can_be_asked_for() -> None:
    strata = stratum(arm(N, 10.0, 8.0), arm(N, 9.0, 8.0))
    spec = MeasureSpec("cost", "success", "decrease", min_gain=0.5)
    assert state_at(spec, strata).state is MeasureState.BETTER
    assert state_at(replace(spec, min_gain=0.95), strata).state is MeasureState.INCONCLUSIVE
    around_zero = stratum(arm(N, 0.01, 8.0), arm(N, -2.0, 8.0))
    assert state_at(spec, around_zero).state is MeasureState.BETTER
    assert state_at(replace(spec, max_harm=0.1), around_zero).state is MeasureState.BETTER


def test_a_mean_is_judged_by_its_sequence_and_says_so() -> None:
    assert state_at(COST, stratum(arm(N, 10.0, 8.0), arm(N, 10.0, 8.0))).method == "asymptotic"
    assert state_at(ERROR, stratum(events(N, 0), events(N, 0))).method == "exact"


def ratio(n: int, top: float, bottom: float, deviation: float = 1.0) -> ArmStatistics:
    """n units whose numerator and denominator have these means, the same deviation, and no correlation."""
    squares = [n * mean * mean + (n - 1) * deviation**2 for mean in (top, bottom)]
    return ArmStatistics(n, (n * top, n * bottom), (squares[0], n * top * bottom, squares[1]), outside=1, first_n=n)


def ratio_of(*strata: StratumStatistics) -> MeasureResult:
    spec = MeasureSpec("m", "guardrail", "decrease", margin=0.1)
    return judge(spec, MeasureStatistics(("value", "per"), strata), plan_of(spec))


def test_a_ratio_is_the_ratio_of_the_sums() -> None:
    result = ratio_of(stratum(ratio(N, 2.0, 4.0), ratio(N, 2.2, 4.0)))
    assert (result.champion_mean, result.challenger_mean) == (pytest.approx(0.5), pytest.approx(0.55))
    assert (result.state, result.method) == (MeasureState.NON_INFERIOR, "asymptotic")


@pytest.mark.parametrize("bottom", [0.0, -3.0, 0.001])
def test_a_ratio_whose_denominator_may_be_zero_shows_nothing_and_names_the_cell(bottom: float) -> None:
    result = ratio_of(stratum(ratio(500, 2.0, 4.0), ratio(500, 2.0, bottom)))
    assert (result.state, result.lower) == (MeasureState.INCONCLUSIVE, None)
    assert "denominator of the challenger in stage 50" in result.message


def test_a_stage_too_small_for_a_ratio_is_left_out_whatever_its_values() -> None:
    large = stratum(ratio(500, 2.0, 4.0), ratio(500, 2.2, 4.0), revision=5)
    for bottom in (0.0, 4.0):
        small = stratum(ratio(29, 2.0, 4.0), ratio(29, 2.0, bottom), revision=4, stage="5")
        assert ratio_of(small, large).estimate == ratio_of(large).estimate
    assert "30 matured units" in ratio_of(stratum(ratio(29, 2.0, 4.0), ratio(29, 2.0, 4.0))).message


def test_a_share_as_a_ratio_gets_no_exact_bounds() -> None:
    one = ArmStatistics(500, (3.0, 500.0), (3.0, 3.0, 500.0), first_n=500, first_sum=3.0)
    assert ratio_of(stratum(one, one)).method == "asymptotic"


def test_values_that_covariates_predict_without_any_rest_show_nothing() -> None:
    """A measure that is itself known before exposure has no effect and no variance: not better, not [0, 0]."""
    draw = np.random.default_rng(6)
    x = draw.normal(10, 2, 400)
    statistics = of_units(
        np.arange(400), np.full(400, 4), draw.random(400) < 0.5, np.column_stack([3 * x + 1, x]), columns=("value", "before")
    )
    for spec in (replace(COST, min_effect=0.0), AT_MARGIN):
        result = judge(spec, statistics, plan_of(spec))
        assert (result.state, result.lower) == (MeasureState.INCONCLUSIVE, None)
        assert "no measure of chance" in result.message


def test_what_covariates_saved_is_told() -> None:
    draw = np.random.default_rng(6)
    x = draw.normal(10, 2, 400)
    rows = np.column_stack([x + draw.normal(0, 1, 400), x])
    arms = draw.random(400) < 0.5
    adjusted = judge(COST, of_units(np.arange(400), np.full(400, 4), arms, rows, columns=("value", "before")), plan_of())
    plain = judge(COST, of_units(np.arange(400), np.full(400, 4), arms, rows[:, :1]), plan_of())
    assert adjusted.variance_saved == pytest.approx(0.8, abs=0.05)
    assert plain.variance_saved is None
    assert None not in (adjusted.lower, adjusted.upper, plain.lower, plain.upper)
    assert (adjusted.upper - adjusted.lower) < 0.6 * (plain.upper - plain.lower)


def test_a_result_survives_json() -> None:
    for planned in (None, PlannedBoundary(1, 2.0)):
        result = state_at(COST, stratum(arm(N, 10.0, 8.0), arm(N, 9.0, 8.0)), plan=LOOKS, planned=planned)
        assert MeasureResult.from_json(json.loads(canonical_json(result.to_json()))) == result
