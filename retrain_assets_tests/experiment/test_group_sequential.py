from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import multivariate_normal

from retrain_assets.experiment.estimation.group_sequential import Spending, boundaries, crossing_probabilities, spent

NAMES = {"obf": Spending.OBRIEN_FLEMING, "pocock": Spending.POCOCK, "linear": Spending.LINEAR}
Oracles = Callable[[str], list[dict[str, Any]]]


def test_boundaries_and_spending_agree_with_the_reference(oracles: Oracles) -> None:
    cases = oracles("group_sequential")
    assert len(cases) > 100
    for case in cases:
        found = boundaries(case["information_fractions"], case["cumulative_alpha_spent"])
        assert found == pytest.approx(case["z"], abs=1e-9), case["id"]
        if case["spending"] in NAMES:
            used = spent(NAMES[case["spending"]], case["information_fractions"], case["alpha"])
            assert used == pytest.approx(case["cumulative_alpha_spent"], rel=1e-12, abs=1e-300), case["id"]
        crossed = crossing_probabilities(case["information_fractions"], found)
        assert list(accumulate(crossed)) == pytest.approx(case["cumulative_alpha_spent"], abs=1e-7), case["id"]


def test_published_boundaries_come_out() -> None:
    """O'Brien-Fleming-like, five equal looks, one-sided 0.025 (Reboussin, DeMets, Kim, Lan 2000)."""
    fractions = [0.2, 0.4, 0.6, 0.8, 1.0]
    found = boundaries(fractions, spent(Spending.OBRIEN_FLEMING, fractions, 0.025))
    assert found == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=5e-4)


@pytest.mark.parametrize("drift", [0.0, 0.8, 2.4])
def test_crossing_agrees_with_the_integral_of_another_library(drift: float) -> None:
    information, z = [0.7, 1.0, 2.9], [2.6, 2.3, 2.1]
    levels = np.asarray(information)
    covariance = np.sqrt(np.minimum.outer(levels, levels) / np.maximum.outer(levels, levels))
    mean = drift * np.sqrt(levels)
    below = [multivariate_normal.cdf(z[:k], mean[:k], covariance[:k, :k], abseps=1e-9, maxpts=2_000_000) for k in (1, 2, 3)]
    expected = [before - after for before, after in zip([1.0, *below], below, strict=False)]
    assert crossing_probabilities(information, z, drift) == pytest.approx(expected, abs=2e-6)


def test_crossing_agrees_with_simulated_paths() -> None:
    information = np.cumsum(np.geomspace(1, 30, 12))
    z = np.linspace(3.4, 2.0, 12)
    steps = np.diff(information, prepend=0.0)
    draw = np.random.default_rng(11)
    scores = np.cumsum(0.15 * steps + np.sqrt(steps) * draw.standard_normal((60_000, 12)), axis=1)
    over = scores / np.sqrt(information) > z
    first = np.where(over.any(axis=1), over.argmax(axis=1), 12)
    shares = np.bincount(first, minlength=13)[:12] / len(first)
    assert crossing_probabilities(information.tolist(), z.tolist(), 0.15) == pytest.approx(
        shares, abs=5 * 0.5 / math.sqrt(60_000)
    )


@pytest.mark.parametrize("unit", [1e-7, 1.0, 3e5])
def test_the_unit_of_information_and_what_lies_ahead_do_not_matter(unit: float) -> None:
    used = spent(Spending.OBRIEN_FLEMING, [0.25, 0.5, 1.0], 0.025)
    whole = boundaries([1, 3, 4], used)
    assert boundaries([unit, 3 * unit, 4 * unit], used) == pytest.approx(whole, abs=1e-9)
    assert boundaries([unit, 3 * unit], used[:2]) == pytest.approx(whole[:2], abs=1e-12)
    assert boundaries([1, 3, 400], used)[2] > whole[2], "information far beyond the plan makes the last look one of its own"


def test_a_look_without_new_information_still_keeps_the_level() -> None:
    """Three looks at the same data are one look at the whole level."""
    used = spent(Spending.OBRIEN_FLEMING, [1 / 3, 2 / 3, 1.0], 0.025)
    assert boundaries([1000, 1000, 1000], used)[2] == pytest.approx(1.959964, abs=2e-3)
    assert boundaries([1000, 1000, 1000], used)[2] >= 1.959963


def test_information_that_shrank_is_as_far_away_as_if_it_had_grown() -> None:
    used = spent(Spending.POCOCK, [0.5, 1.0], 0.025)
    assert boundaries([1000, 900], used) == pytest.approx(boundaries([900, 1000], used), abs=1e-12)


def test_a_look_that_spends_nothing_cannot_cross() -> None:
    early = spent(Spending.OBRIEN_FLEMING, [1e-9, 1.0], 0.025)
    assert early[0] == 0
    assert boundaries([1e-9, 1.0], early) == pytest.approx([math.inf, 1.959964], abs=1e-6)
    late = boundaries([1, 2, 3], (0.01, 0.025, 0.025))
    assert late[2] == math.inf
    assert sum(crossing_probabilities([1, 2, 3], late)) == pytest.approx(0.025, abs=1e-7)


@pytest.mark.parametrize("spending", list(Spending))
def test_the_last_look_and_any_after_it_have_spent_exactly_alpha(spending: Spending) -> None:
    assert spent(spending, [0.0, 1.0, 1.7], 0.025) == (0.0, 0.025, 0.025)
    halves = spent(spending, [0.1, 0.5, 0.9], 0.025)
    assert 0 < halves[0] < halves[1] < halves[2] < 0.025


def test_twenty_looks_at_uneven_information_keep_the_level() -> None:
    draw = np.random.default_rng(4)
    information = np.cumsum(draw.exponential(1, 20) ** 3 + 1e-3)
    used = spent(Spending.OBRIEN_FLEMING, np.linspace(0.05, 1, 20).tolist(), 0.025)
    z = boundaries(information.tolist(), used)
    assert all(one > 0 for one in z)
    steps = np.diff(information, prepend=0.0)
    scores = np.cumsum(np.sqrt(steps) * draw.standard_normal((100_000, 20)), axis=1)
    crossed = (scores / np.sqrt(information) > z).any(axis=1).mean()
    assert crossed == pytest.approx(0.025, abs=5 * math.sqrt(0.025 * 0.975 / 100_000))


def test_a_boundary_of_one_look_is_the_normal_quantile() -> None:
    (z,) = boundaries([42.0], [0.01])
    assert ndtr(-z) == pytest.approx(0.01, rel=1e-12)
    assert boundaries([], []) == ()


@pytest.mark.parametrize(
    ("information", "used", "said"),
    [
        ([1, 2], [0.01], "one of each a look"),
        ([0, 2], [0.01, 0.02], "above 0"),
        ([1, math.nan], [0.01, 0.02], "finite"),
        ([1, math.inf], [0.01, 0.02], "finite"),
        ([1, 2], [0.02, 0.01], "not descend"),
        ([1, 2], [0.02, math.nan], "not descend"),
        ([1, 2], [0.5, 1.0], r"\[0, 1\)"),
        ([1, 2], [-0.1, 0.1], "not descend"),
    ],
)
def test_looks_that_cannot_be_are_refused(information: list[float], used: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        boundaries(information, used)


@pytest.mark.parametrize(
    ("fractions", "alpha"), [([0.5, 0.4], 0.025), ([-0.1], 0.025), ([math.nan], 0.025), ([1.0], 0.0), ([1.0], 0.5)]
)
def test_a_spending_that_cannot_be_is_refused(fractions: list[float], alpha: float) -> None:
    with pytest.raises(ValueError, match="must"):
        spent(Spending.LINEAR, fractions, alpha)


def test_a_drift_or_boundary_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        crossing_probabilities([1.0], [math.nan])
    with pytest.raises(ValueError, match="finite"):
        crossing_probabilities([1.0], [2.0], math.inf)
