"""The boundary formulas against reference vectors and their own limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from retrain_assets.experiment import one_sided_radius, tuning, two_sided_radius

Oracles = Callable[[str], list[dict[str, Any]]]


def test_radii_and_tuning_equal_the_reference_vectors(oracles: Oracles) -> None:
    cases = oracles("asymptotic_cs")
    assert len(cases) > 100
    for case in cases:
        n, variance, alpha = case["n"], case["sigma2"], case["alpha"]
        if case["n_star"] is not None:
            assert tuning(case["n_star"], alpha) == pytest.approx(case["rho_two_sided"], rel=1e-10), case["id"]
            assert tuning(case["n_star"], 2 * alpha) == pytest.approx(case["rho_one_sided"], rel=1e-10), case["id"]
        two = two_sided_radius(n, variance, case["rho_two_sided"], alpha)
        one = one_sided_radius(n, variance, case["rho_one_sided"], alpha)
        assert two == pytest.approx(case["radius_two_sided"], rel=1e-10), case["id"]
        assert one == pytest.approx(case["radius_one_sided"], rel=1e-10), case["id"]
        assert one >= case["radius_one_sided_exact_mixture"] * (1 - 1e-9), case["id"]


def test_the_sequence_is_tightest_relative_to_a_fixed_interval_at_the_planned_size() -> None:
    rho = tuning(10_000, 0.05)
    excess = {n: two_sided_radius(n, 1.0, rho, 0.05) * math.sqrt(n) for n in (1_000, 10_000, 100_000)}
    assert excess[10_000] < min(excess[1_000], excess[100_000])


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, math.nan, -0.1])
def test_a_one_sided_level_outside_its_range_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        one_sided_radius(100, 1.0, 0.1, alpha)


@pytest.mark.parametrize(("n", "variance", "rho"), [(0, 1.0, 0.1), (10, math.nan, 0.1), (10, -1.0, 0.1), (math.inf, 1.0, 0.1)])
def test_arguments_without_meaning_are_refused(n: float, variance: float, rho: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        two_sided_radius(n, variance, rho, 0.05)
