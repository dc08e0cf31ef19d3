"""Bounds for shares with few events: closed-form checks, coverage under peeking, and why they are needed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from retrain_assets.experiment import (
    ArmStatistics,
    Stratum,
    StratumStatistics,
    Tuning,
    expected_events_bounds,
    interval_of,
    mean_bounds,
    share_bounds,
)
from retrain_assets.experiment.estimation import rare_events
from retrain_assets.experiment.estimation.rare_events import few_events
from retrain_assets_tests.experiment.builders import events, measure, stratum

LOOKS = np.unique(np.geomspace(40, 20_000, 40).astype(int))


@pytest.mark.parametrize("count", [0, 1, 3, 20, 400])
def test_bounds_are_where_the_mixture_reaches_one_over_alpha(count: int) -> None:
    """The closed form against a numerical integral of the mixture over theta ~ Gamma(1/2, 1/2)."""
    for bound in expected_events_bounds(count, 0.01):
        if bound:
            root = np.linspace(1e-9, 12 * math.sqrt((count + 1) / (bound + 0.5)) + 3, 400_001)
            theta = root**2  # theta = root^2 takes the singularity of the density at 0 away
            log_density = -0.5 * np.log(2 * np.pi * theta) - theta / 2
            integrand = np.exp(count * np.log(theta) - (theta - 1) * bound + log_density) * 2 * root
            assert np.trapezoid(integrand, root) == pytest.approx(100, rel=1e-3)


def test_no_event_bounds_the_rate_by_a_constant_over_n() -> None:
    assert expected_events_bounds(0, 0.025)[0] == 0.0
    upper = mean_bounds(0, 1000, 0.025)[1]
    assert 0.004 < upper < 0.008
    assert mean_bounds(1000, 1000, 0.025) == pytest.approx((1 - upper, 1.0))


def test_the_champion_is_standardised_to_the_challengers_mix() -> None:
    """Rates drift from 0 to 10 % between stages; pooled, the challenger would look far worse."""
    strata = [
        stratum(events(9500, 0), events(500, 0), revision=2, stage="5"),
        stratum(events(500, 50), events(250, 25), revision=3, stage="50"),
    ]
    bounds = share_bounds(strata, 0.01)
    assert bounds is not None
    assert bounds.champion_mean == pytest.approx(bounds.challenger_mean) == pytest.approx(1 / 30)
    assert (strata[0].champion + strata[1].champion).mean == pytest.approx(0.005)


def test_every_further_stratum_gets_a_smaller_part_of_the_error() -> None:
    strata = [stratum(events(900, 9), events(100, 1), revision=revision) for revision in (2, 3, 4)]
    bounds = share_bounds(strata, 0.02)
    assert bounds is not None
    expected = [mean_bounds(9, 900, 0.01 / (k * (k + 1))) for k in (1, 2, 3)]
    assert bounds.champion_lower == pytest.approx(sum(low for low, _ in expected) / 3)
    assert bounds.champion_upper == pytest.approx(sum(high for _, high in expected) / 3)
    assert (bounds.challenger_lower, bounds.challenger_upper) == pytest.approx(mean_bounds(3, 300, 0.01))


def test_bounds_do_not_depend_on_the_order_of_the_strata() -> None:
    strata = [
        stratum(events(9000, 9), events(1000, 1), revision=2, stage="5"),
        stratum(events(300, 2), events(300, 3), revision=3),
    ]
    bounds = share_bounds(strata, 0.02)
    assert bounds is not None
    assert bounds == share_bounds(strata[::-1], 0.02)
    first, second = mean_bounds(9, 9000, 0.01 / 2)[1], mean_bounds(2, 300, 0.01 / 6)[1]
    assert bounds.champion_upper == pytest.approx((1000 * first + 300 * second) / 1300)


def test_bounds_rest_on_units_that_are_there_for_the_first_time() -> None:
    """Of 1000 and 600 units in the second stage 200 and 100 are new; the others were counted in the first one."""
    first = stratum(events(1000, 4), events(500, 2), revision=2, stage="5")
    back = stratum(_returning(1000, 9, 200, 1), _returning(600, 8, 100, 3), revision=3)
    new = stratum(events(200, 1), events(100, 3), revision=3)
    bounds = share_bounds([first, back], 0.02)
    assert bounds == share_bounds([first, new], 0.02)
    assert bounds is not None
    assert (bounds.n_champion, bounds.n_challenger) == (1200, 600)
    assert share_bounds([stratum(_returning(9, 1, 0, 0), events(9, 1))], 0.02) is None


def _returning(n: int, count: int, first: int, first_count: float) -> ArmStatistics:
    return replace(events(n, count), first_n=first, first_sum=float(first_count))


def test_events_of_one_unit_that_returns_are_not_many_events() -> None:
    """Thirty events in three stages, ten in each at most: perhaps ten units, so still few."""
    strata = [stratum(_returning(900, 10, 0, 0), _returning(900, 10, 0, 0), revision=revision) for revision in (3, 4, 5)]
    first = stratum(events(900, 10), events(900, 10), revision=2, stage="5")
    assert few_events(measure(first, *strata))
    assert not few_events(measure(first, stratum(_returning(900, 20, 0, 0), _returning(900, 20, 0, 0), revision=3)))


def test_what_rounding_leaves_of_a_sum_of_events_is_none() -> None:
    for rest, exact in ((-1e-17, 0), (100.0000000001, 100)):
        arms = [replace(events(100, exact), first_sum=rest), events(100, 3)]
        assert share_bounds([stratum(*arms)], 0.02) == share_bounds([stratum(events(100, exact), events(100, 3))], 0.02)


@pytest.mark.parametrize(("p_champion", "p_challenger", "share"), [(0.001, 0.011, 0.25), (0.01, 0.02, 0.05), (0.02, 0.02, 0.05)])
def test_peeking_at_rare_events_stays_within_alpha(p_champion: float, p_challenger: float, share: float) -> None:
    assert _miscoverage(p_champion, p_challenger, share) <= 0.025


def test_without_exact_bounds_rare_events_break_the_error_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rare_events, "FEW_EVENTS", 0)
    assert _miscoverage(0.001, 0.011, 0.25) > 0.04


def _miscoverage(p_champion: float, p_challenger: float, share: float, paths: int = 250) -> float:
    """Fraction of paths on which the upper limit was below the true difference at some look."""
    rng = np.random.default_rng(11)
    steps = np.diff(np.r_[0, LOOKS])
    n_challenger = np.cumsum(rng.binomial(steps, share, (paths, len(steps))), axis=1)
    n_champion = LOOKS - n_challenger
    bad = [
        np.cumsum(rng.binomial(np.diff(n, axis=1, prepend=0), p), axis=1)
        for n, p in ((n_champion, p_champion), (n_challenger, p_challenger))
    ]
    tuning, missed = Tuning(0.025, 10_000, 0.5), 0
    for path in range(paths):
        for look in range(0, len(LOOKS)):
            arms = [
                ArmStatistics.of_mean(int(n[path, look]), float(k[path, look]), float(k[path, look]))
                for n, k in zip((n_champion, n_challenger), bad, strict=True)
            ]
            interval = interval_of(measure(StratumStatistics(Stratum(3, "50"), *arms)), tuning)
            if not isinstance(interval, str) and interval.upper < p_challenger - p_champion:
                missed += 1
                break
    return missed / paths


@pytest.mark.parametrize(("count", "alpha"), [(-1, 0.05), (math.nan, 0.05), (1, 0.0), (1, 1.0)])
def test_arguments_without_meaning_are_refused(count: float, alpha: float) -> None:
    with pytest.raises(ValueError, match="must"):
        expected_events_bounds(count, alpha)


def test_a_measure_of_zeros_only_gets_bounds_where_the_contract_bounds_it() -> None:
    """Revenue of which nobody has brought any yet is no share: its first purchase may be of any size."""
    nothing = measure(
        StratumStatistics(Stratum(3, "50"), ArmStatistics.of_mean(900, 0.0, 0.0), ArmStatistics.of_mean(900, 0.0, 0.0))
    )
    tuning = Tuning(0.025, 10_000, 0.5)
    unbounded = interval_of(nothing, tuning, is_share=False)
    assert isinstance(unbounded, str)
    assert "winsorise: {at_least: 0, at_most: 1}" in unbounded
    bounded = interval_of(nothing, tuning)
    assert not isinstance(bounded, str)
    assert bounded.method == "exact"
    seen = measure(
        StratumStatistics(Stratum(3, "50"), ArmStatistics.of_mean(900, 1.0, 1.0), ArmStatistics.of_mean(900, 0.0, 0.0))
    )
    assert not isinstance(interval_of(seen, tuning, is_share=False), str)
