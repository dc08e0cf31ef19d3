"""Rows of one unit that are alike: what all rows show of it holds in a slice and a group that has too few units to show it."""

from __future__ import annotations

import numpy as np
import pytest

from retrain_assets.gates.offline.beyond_chance import alikeness, design_effect
from retrain_assets.gates.offline.fairness_intervals import difference_between
from retrain_assets.gates.offline.slice_calibration import slice_calibration
from retrain_assets.gates.offline.slice_members import SliceMembers
from retrain_assets_tests.gates.groups import group_rates

Array = np.ndarray


def alike(draw: np.random.Generator, units: Array) -> Array:
    """A uniform number a row; with one chance in two that of its unit."""
    return np.where(draw.random(len(units)) < 0.6, draw.random(units.max() + 1)[units], draw.random(len(units)))


def test_slices_of_eight_units_with_a_bias_at_the_limit_are_blocked_as_rarely_as_stated() -> None:
    draw, blocked = np.random.default_rng(11), 0
    units = np.arange(20 * 200) // 25
    members = [SliceMembers("region", str(k), np.arange(k * 200, (k + 1) * 200), True) for k in range(20)]
    for _ in range(60):
        scores = draw.beta(1, 4, len(units))
        late = (alike(draw, units) < scores * (1 - 0.1 / scores.mean())).astype(float)
        found = slice_calibration(late, scores, members, units=units, limit=0.1)
        blocked += any((part.adjusted_p_value or 0.0) <= 0.05 and abs(part.bias) > 0.1 for part in found)
    assert blocked <= 6  # with the effect of each slice's own eight units: 56


def test_thirty_groups_of_25_units_treated_alike_rarely_show_a_difference() -> None:
    draw, shown = np.random.default_rng(5), 0
    groups, units = np.repeat([f"g{k:02}" for k in range(30)], 250), np.arange(30 * 250) // 10
    for _ in range(40):
        chance = alike(draw, units)
        rates = group_rates((chance < 0.4).astype(float), np.where(chance < 0.5, 0.7, 0.2), groups, 0.5, units)
        difference = difference_between(rates, "fpr", 0.95)
        assert difference is not None
        shown += difference.at_least > 0
    assert shown <= 5  # with the effect of each group's own units: 18


def test_alikeness_is_the_correlation_within_units() -> None:
    draw = np.random.default_rng(3)
    units = np.sort(draw.integers(0, 2000, 20_000))
    units = np.unique(units, return_inverse=True)[1]
    residuals = draw.normal(0, 0.6**0.5, units.max() + 1)[units] + draw.normal(0, 0.4**0.5, len(units))
    assert alikeness(residuals, units) == pytest.approx(0.6, abs=0.05)
    assert alikeness(draw.normal(0, 1, len(units)), units) < 0.02
    assert (alikeness(residuals, None), alikeness(residuals, np.arange(len(units)))) == (0.0, 0.0)
    assert alikeness(np.ones(6), np.array([0, 0, 0, 1, 1, 1])) == 1.0


def test_the_design_effect_of_a_part_is_at_least_what_all_rows_show() -> None:
    part = np.array([0.0, 1.0] * 10)
    assert design_effect(part, np.repeat(np.arange(4), 5), 0.5) == pytest.approx(1 + 0.5 * 4)
    assert design_effect(part, np.arange(20), 0.5) == 1.0
    assert design_effect(part, None, 0.5) == 1.0
