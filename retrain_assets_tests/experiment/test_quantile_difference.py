"""Limits of the difference of two quantiles: right on average, at every look, and absent where nothing can be said."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

from retrain_assets.experiment.estimation.confidence_sequence import one_sided_radius, tuning
from retrain_assets.experiment.estimation.quantile_difference import QuantileDifference, quantile_difference
from retrain_assets.experiment.estimation.quantiles import GREATEST, RequestHistogram, bin_of
from retrain_assets.experiment.estimation.statistics import ArmStatistics, Overlap, Stratum, StratumStatistics

ALPHA = 0.025
PATHS = 250

Columns = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


def fixed(_: float) -> tuple[float, float]:
    return 1.96, 1.96


def sequence(planned_units: float) -> Callable[[float], tuple[float, float]]:
    rho = tuning(planned_units, 2 * ALPHA)
    return lambda clock: (one_sided_radius(clock, clock, rho, ALPHA),) * 2


def arm(rng: np.random.Generator, units: int, level: float = 1.0, *, alike: float = 0.8) -> Columns:
    """Skewed latencies around 55 ms times ``level``; a unit has about three requests, which resemble each other."""
    unit = np.repeat(np.arange(units), rng.geometric(0.3, units))
    return unit, level * np.exp(4 + rng.normal(0, alike, units)[unit] + rng.normal(0, 0.5, len(unit)))


def histogram(columns: Columns, *, clustered: bool = True) -> RequestHistogram:
    unit, values = columns
    return RequestHistogram.of(unit if clustered else np.arange(len(unit)), bin_of(values))


def stratum(champion: RequestHistogram, challenger: RequestHistogram, revision: int = 3) -> StratumStatistics:
    arms = [ArmStatistics(one.units, (0.0,), (0.0,), requests=one) for one in (champion, challenger)]
    return StratumStatistics(Stratum(revision, "50"), *arms)


def compared(
    strata: list[StratumStatistics], quantile: float, multiplier: Callable[[float], tuple[float, float]] = fixed
) -> QuantileDifference:
    found = quantile_difference(strata, quantile, multiplier, reference_share=0.5)
    assert isinstance(found, QuantileDifference), found
    return found


@pytest.mark.parametrize("quantile", [0.05, 0.5, 0.95, 0.99])
def test_the_quantiles_are_those_of_the_requests_within_a_bin(quantile: float) -> None:
    rng = np.random.default_rng(1)
    champion, challenger = arm(rng, 3_000), arm(rng, 2_000, 1.3)
    found = compared([stratum(histogram(champion), histogram(challenger))], quantile)
    assert found.champion == pytest.approx(np.quantile(champion[1], quantile), rel=0.01)
    assert found.challenger == pytest.approx(np.quantile(challenger[1], quantile), rel=0.01)
    assert found.estimate == found.challenger - found.champion
    assert found.relative_estimate == pytest.approx(found.challenger / found.champion - 1)
    assert (found.n_champion, found.n_challenger) == (3_000, 2_000)


def test_the_clock_of_one_stage_at_its_planned_share_is_its_number_of_units() -> None:
    rng = np.random.default_rng(2)
    one = histogram(arm(rng, 2_000))
    assert compared([stratum(one, one)], 0.9).clock == pytest.approx(4_000)


def by_hand(columns: Columns, quantile: float, k: float) -> tuple[float, float, float]:
    """Quantile and limits from the single requests: the share below the quantile with its cluster-robust standard error."""
    unit, values = columns
    at = np.quantile(values, quantile)
    size, below = np.bincount(unit), np.bincount(unit, values <= at)
    residual = below - below.sum() / size.sum() * size
    error = math.sqrt((residual**2).sum() * len(size) / (len(size) - 1)) / size.sum()
    lower, upper = np.quantile(values, [quantile - k * error, quantile + k * error])
    return float(at), float(lower), float(upper)


@pytest.mark.parametrize("alike", [0.0, 1.0])
@pytest.mark.parametrize("quantile", [0.5, 0.95])
def test_limits_are_those_of_the_single_requests_but_for_the_width_of_the_bins(quantile: float, alike: float) -> None:
    rng = np.random.default_rng(3)
    champion, challenger = arm(rng, 300, alike=alike), arm(rng, 300, 1.1, alike=alike)
    found = compared([stratum(histogram(champion), histogram(challenger))], quantile)
    q_c, l_c, u_c = by_hand(champion, quantile, 1.96)
    q_t, l_t, u_t = by_hand(challenger, quantile, 1.96)
    bin_width = 0.011 * math.hypot(q_c, q_t)
    lower, upper = q_t - q_c - math.hypot(q_t - l_t, u_c - q_c), q_t - q_c + math.hypot(u_t - q_t, q_c - l_c)
    assert lower - 2 * bin_width <= found.lower <= lower + bin_width
    assert upper - bin_width <= found.upper <= upper + 2 * bin_width
    least, greatest = 1 + found.relative_lower, 1 + found.relative_upper
    assert abs(q_t - least * q_c - math.hypot(q_t - l_t, least * (u_c - q_c))) < 2.5 * bin_width
    assert abs(q_t - greatest * q_c + math.hypot(u_t - q_t, greatest * (q_c - l_c))) < 2.5 * bin_width


def misses(quantile: float, units: int, *, clustered: bool) -> float:
    """Share of comparisons without an effect in which a limit at 1.96 standard errors excludes 0, both sides."""
    rng = np.random.default_rng(4)
    missed = 0
    for _ in range(PATHS):
        champion, challenger = (histogram(arm(rng, units), clustered=clustered) for _ in range(2))
        found = compared([stratum(champion, challenger)], quantile)
        missed += not found.lower <= 0 <= found.upper
    return missed / PATHS


@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.99])
def test_limits_cover_at_their_level_when_requests_of_a_unit_resemble_each_other(quantile: float) -> None:
    assert misses(quantile, 1_500, clustered=True) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / PATHS)


def test_requests_taken_as_independent_would_not_cover() -> None:
    assert misses(0.5, 1_500, clustered=False) > 0.15


def looks(rng: np.random.Generator) -> Iterator[list[StratumStatistics]]:
    """A ramp without effect, 10 % then 50 %, four looks in each; latencies rise by a fifth from the first to the second."""
    done: list[StratumStatistics] = []
    for revision, (share, level) in enumerate(((0.1, 1.0), (0.5, 1.2)), start=2):
        champion = challenger = RequestHistogram.empty()
        for _ in range(4):
            challenger += histogram(arm(rng, round(500 * share), level))
            champion += histogram(arm(rng, round(500 * (1 - share)), level))
            yield [*done, stratum(champion, challenger, revision)]
        done = [stratum(champion, challenger, revision)]


@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.99])
def test_limits_of_the_sequence_hold_at_every_look_of_a_ramp_and_fixed_ones_do_not(quantile: float) -> None:
    rng = np.random.default_rng(5)
    multiplier = sequence(2_000)
    missed, missed_fixed = [0, 0], 0
    for _ in range(100):
        strata = list(looks(rng))
        found = [quantile_difference(one, quantile, multiplier, reference_share=0.5) for one in strata]
        seen = [one for one in found if isinstance(one, QuantileDifference)]
        missed[0] += any(one.lower > 0 or one.relative_lower > 0 for one in seen)
        missed[1] += any(one.upper < 0 or one.relative_upper < 0 for one in seen)
        naive = [quantile_difference(one, quantile, fixed, reference_share=0.5) for one in strata]
        missed_fixed += any(isinstance(one, QuantileDifference) and not one.lower <= 0 <= one.upper for one in naive)
    assert max(missed) <= 100 * ALPHA
    assert quantile == 0.99 or missed_fixed > 100 * 2 * ALPHA


def test_arms_are_averaged_over_the_same_mix_of_stages_so_a_drifting_baseline_is_no_effect() -> None:
    """Pooled, the challenger would look slower: most of its units came in the slow stage."""
    rng = np.random.default_rng(6)
    calm, slow = arm(rng, 9_500), arm(rng, 5_000, 2.0)
    early = histogram(calm), histogram(arm(rng, 500))
    late = histogram(slow), histogram(arm(rng, 5_000, 2.0))
    found = compared([stratum(*early, 2), stratum(*late, 3)], 0.95)
    assert found.relative_lower < 0 < found.relative_upper
    sizes = [len(calm[1]), len(slow[1])]
    values, weights = np.append(calm[1], slow[1]), np.repeat([475 / sizes[0], 2_500 / sizes[1]], sizes)
    order = np.argsort(values)
    mixed = np.interp(0.95, np.cumsum(weights[order]) / weights.sum(), values[order])
    assert found.champion == pytest.approx(mixed, rel=0.01)
    pooled = compared([stratum(early[0] + late[0], early[1] + late[1])], 0.95)
    assert pooled.relative_lower > 0


def test_a_tail_that_few_units_reach_has_no_limits_but_a_message_with_the_units_it_needs() -> None:
    rng = np.random.default_rng(7)
    few = RequestHistogram.of(np.arange(200), bin_of(arm(rng, 200)[1][:200]))
    found = quantile_difference([stratum(few, few)], 0.99, sequence(10_000), reference_share=0.5)
    assert isinstance(found, str)
    assert "the challenger's p99 has no upper limit from 200 units with 200 requests; it needs about" in found


def test_the_units_named_as_needed_are_enough() -> None:
    rng = np.random.default_rng(8)
    values = arm(rng, 4_000)[1]
    few = RequestHistogram.of(np.arange(200), bin_of(values[:200]))
    message = quantile_difference([stratum(few, few)], 0.99, sequence(10_000), reference_share=0.5)
    assert isinstance(message, str)
    needed = int(message.rsplit("about ", 1)[1].split()[0])
    enough = RequestHistogram.of(np.arange(needed), bin_of(values[:needed]))
    assert compared([stratum(enough, enough)], 0.99, sequence(10_000)).missing is None


def test_a_small_challenger_that_is_far_slower_is_shown_although_its_upper_limit_is_missing() -> None:
    rng = np.random.default_rng(9)
    champion, challenger = histogram(arm(rng, 5_000)), histogram(arm(rng, 120, 8.0))
    found = compared([stratum(champion, challenger)], 0.99)
    assert found.upper == found.relative_upper == math.inf
    assert found.relative_lower > 0.5
    assert found.missing is not None
    assert "challenger's p99 has no upper limit" in found.missing


def test_relative_limits_exclude_no_change_exactly_when_the_absolute_ones_do() -> None:
    rng = np.random.default_rng(10)
    signs = set()
    for level in np.linspace(0.8, 1.25, 24):
        found = compared([stratum(histogram(arm(rng, 800)), histogram(arm(rng, 800, level)))], 0.9)
        assert math.copysign(1, found.lower) == math.copysign(1, found.relative_lower)
        assert math.copysign(1, found.upper) == math.copysign(1, found.relative_upper)
        signs.add((found.lower > 0, found.upper < 0))
    assert len(signs) == 3


def test_each_limit_keeps_its_own_number_of_standard_errors() -> None:
    rng = np.random.default_rng(14)
    strata = [stratum(histogram(arm(rng, 900)), histogram(arm(rng, 900)))]
    narrow, wide = compared(strata, 0.9), compared(strata, 0.9, lambda _: (3.0, 3.0))
    mixed = compared(strata, 0.9, lambda _: (1.96, 3.0))
    assert (mixed.lower, mixed.relative_lower) == (narrow.lower, narrow.relative_lower)
    assert (mixed.upper, mixed.relative_upper) == (wide.upper, wide.relative_upper)
    assert wide.lower < narrow.lower


def test_a_quantile_among_values_too_large_to_tell_apart_has_no_limit() -> None:
    rng = np.random.default_rng(11)
    beyond = histogram(arm(rng, 500, GREATEST))
    answer = quantile_difference([stratum(histogram(arm(rng, 500)), beyond)], 0.5, fixed, reference_share=0.5)
    assert answer == "the challenger's p50 is not between 0.001 and 1e+07, where values are told apart"
    mixed = RequestHistogram.of(np.arange(500), bin_of(np.append(np.full(470, 40.0), np.full(30, GREATEST * 2))))
    found = quantile_difference([stratum(mixed, mixed)], 0.93, fixed, reference_share=0.5)
    assert isinstance(found, str)
    assert "too many values lie above 1e+07" in found


def test_values_that_are_all_equal_give_limits_as_wide_as_their_bin() -> None:
    equal = RequestHistogram.of(np.arange(500), bin_of(np.full(500, 40.0)))
    found = compared([stratum(equal, equal)], 0.9)
    assert found.estimate == 0
    assert found.lower == -found.upper
    assert 0.3 < found.upper < 0.4


def test_units_that_stay_for_several_stages_widen_the_limits_and_never_beyond_perfect_dependence() -> None:
    rng = np.random.default_rng(12)
    one = histogram(arm(rng, 2_000))
    strata = [stratum(one, one, 2), stratum(one, one, 3)]

    def width(share: float) -> float:
        stay = [
            Overlap((2, side), (3, side), round(2_000 * share), (0.0,), (0.0,), (0.0,)) for side in ("champion", "challenger")
        ]
        found = quantile_difference(strata, 0.9, fixed, reference_share=0.5, overlaps=stay)
        assert isinstance(found, QuantileDifference)
        return found.upper - found.lower

    alone = compared([stratum(one, one)], 0.9)
    assert width(0.0) < width(0.5) < width(1.0) == pytest.approx(alone.upper - alone.lower)


def test_units_that_return_are_no_more_units() -> None:
    """Ten units with many requests in three stages are ten, and thirty are needed."""
    rng = np.random.default_rng(12)
    strata = [stratum(histogram(arm(rng, 10)), histogram(arm(rng, 10)), revision) for revision in (2, 3, 4)]
    stay = [
        Overlap((first, side), (second, side), 10, (0.0,), (0.0,), (0.0,))
        for side in ("champion", "challenger")
        for first, second in ((2, 3), (2, 4), (3, 4))
    ]
    found = quantile_difference(strata, 0.5, fixed, reference_share=0.5, overlaps=stay)
    assert found == "an interval needs 30 matured units in each arm (champion 10, challenger 10)"
    assert isinstance(quantile_difference(strata, 0.5, fixed, reference_share=0.5), QuantileDifference)


def test_arms_nobody_can_compare_say_why() -> None:
    rng = np.random.default_rng(13)
    many, few, none = histogram(arm(rng, 500)), histogram(arm(rng, 12)), RequestHistogram.empty()
    for champion, challenger, reason in (
        (many, none, "no stage has two matured units in each arm"),
        (many, few, "an interval needs 30 matured units in each arm (champion 500, challenger 12)"),
        (many, few - many, "the histogram of requests has negative counts: units were taken away that were not in it"),
    ):
        assert quantile_difference([stratum(champion, challenger)], 0.5, fixed, reference_share=0.5) == reason
    with pytest.raises(ValueError, match="must lie in"):
        quantile_difference([stratum(many, many)], 1.0, fixed, reference_share=0.5)
