"""The test of a column holds its level for few rows and sparse cells, and sees what changed."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2_contingency, false_discovery_control, fisher_exact

from retrain_assets.drift import adjusted_p_values, chance_of_difference, homogeneity, sketch_frame
from retrain_assets.drift.chance import pooled_cells


def columns(reference: list, current: list):
    before = sketch_frame(pl.DataFrame({"x": reference}), columns=["x"])
    return before.columns["x"], sketch_frame(pl.DataFrame({"x": current}), columns=["x"], edges=before).columns["x"]


def test_for_many_rows_it_is_pearsons_test() -> None:
    draw = np.random.default_rng(2)
    for shift in (0.0, 0.002, 0.004):
        before = draw.multinomial(1_000_000, np.full(20, 0.05))
        after = draw.multinomial(300_000, np.full(20, 0.05) + np.linspace(-shift, shift, 20))
        expected = chi2_contingency([before, after], correction=False).pvalue
        assert np.log(chance_of_difference(before, after)) == pytest.approx(np.log(expected), rel=0.02, abs=0.02)


def test_for_two_cells_and_few_rows_it_lies_near_the_exact_test() -> None:
    for table in ([[4000, 6], [190, 10]], [[300, 700], [20, 20]], [[20000, 0], [997, 3]], [[50, 50], [9, 1]]):
        exact = fisher_exact(table).pvalue
        assert 0.2 * exact < chance_of_difference(*table) < 2 * exact


@pytest.mark.parametrize(
    ("shares", "rows"),
    [
        pytest.param(np.full(10, 0.1), 50, id="ten bins with five rows each"),
        pytest.param(np.full(5, 0.2), 50, id="five bins"),
        pytest.param(np.r_[np.full(9, 0.05), 0.55], 100, id="a level with half of the rows"),
        pytest.param(np.r_[np.full(2, 0.005), 0.99], 1000, id="two rare levels"),
        pytest.param(np.r_[np.full(2, 0.001), 0.998], 1000, id="two levels with one row each"),
    ],
)
def test_it_holds_its_level_far_in_the_tail_where_pearsons_test_does_not(shares, rows) -> None:
    draw, level, draws = np.random.default_rng(8), 2e-3, 8_000
    tables = zip(draw.multinomial(20_000, shares, draws), draw.multinomial(rows, shares, draws), strict=True)
    false = sum(chance_of_difference(before, after) <= level for before, after in tables)
    assert false <= draws * level + 3 * np.sqrt(draws * level)


def test_cells_are_pooled_by_how_many_rows_both_samples_have_there() -> None:
    before, after = columns(list(np.arange(2000.0)), list(np.arange(0.0, 2000.0, 40.0)))
    pooled = pooled_cells(before, after)
    assert all(np.sum(pooled, axis=0)[:-1] >= 5 * 2050 / 50)
    assert len(pooled[0]) == 9
    assert (pooled[0].sum(), pooled[1].sum()) == (2000, 50)
    assert [list(cells) for cells in pooled_cells(*columns([3.0] * 50, [3.0] * 40))] == [[50], [40]]
    levels = ["JFK"] * 1000 + ["LGA"] * 900 + [f"N{place}" for place in range(40)]
    before, after = columns(levels, levels[::20])
    assert [list(cells) for cells in pooled_cells(before, after)] == [[1000, 900, 40], [50, 45, 2]]


@pytest.mark.parametrize(("reference_rows", "rows"), [(2000, 200), (2000, 2000), (20_000, 10_000)])
def test_levels_that_were_listed_by_luck_are_no_change(reference_rows, rows) -> None:
    """Two hundred equally frequent levels, fifty of them listed: in the reference those had 25 % more rows than their share."""
    draw, false = np.random.default_rng(rows), 0
    for _ in range(30):
        before, after = columns(*([f"N{level}" for level in draw.integers(0, 200, size)] for size in (reference_rows, rows)))
        assert before.other > 0
        false += homogeneity(before, after).p_value <= 0.01
    assert false <= 2


@pytest.mark.parametrize(
    "current",
    [
        pytest.param([f"N{level % 10 + 190}" for level in range(1000)], id="only ten of the levels"),
        pytest.param(["N199"] * 1000, id="one that is not listed"),
        pytest.param(["N0"] * 1000, id="one that is listed"),
        pytest.param([f"new {level}" for level in range(1000)], id="none of the levels"),
        pytest.param([f"N{level % 200}" for level in range(960)] + ["N0"] * 40, id="one has nine times its rows"),
        pytest.param([None] * 20 + [f"N{level % 200}" for level in range(980)], id="values went missing"),
    ],
)
def test_a_change_among_many_levels_is_seen_although_few_are_listed(current) -> None:
    before = [f"N{level}" for level in range(200) for _ in range(150 if level < 25 else 101 if level < 50 else 100)]
    before, after = columns(before, current)
    assert before.other > 0
    assert homogeneity(before, after).p_value < 1e-6


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        pytest.param([1.0] * 20_000, [1.0] * 990 + [2.0] * 10, id="a constant that varies in ten rows"),
        pytest.param(list(np.arange(20_000.0)), [None] * 10 + list(np.linspace(0, 19_999, 990)), id="ten values went missing"),
        pytest.param(["a", "b"] * 10_000, ["a", "b"] * 495 + [f"new {i}" for i in range(10)], id="ten new levels"),
        pytest.param(["a", "b", "c", "d"] * 5_000, ["a", "b", "c"] * 33, id="a level vanished from a hundred rows"),
        pytest.param(list(np.arange(20_000.0)), list(np.arange(12_000.0, 12_050)), id="fifty rows in one place"),
    ],
)
def test_a_small_but_sure_change_is_beyond_chance(reference, current) -> None:
    found = homogeneity(*columns(reference, current))
    assert found.p_value < 1e-4
    assert found.corrected_psi > 0.01


def test_what_chance_brings_is_taken_off_the_index() -> None:
    draw = np.random.default_rng(9)
    plain, corrected = [], []
    for _ in range(50):
        pair = columns(list(draw.normal(size=20_000)), list(draw.normal(size=200)))
        found = homogeneity(*pair)
        corrected.append(found.corrected_psi)
        plain.append(found.corrected_psi > 0)
    assert np.mean(corrected) < 0.03
    assert 0.2 < np.mean(plain) < 0.8


@pytest.mark.parametrize(
    ("reference", "current", "p_value"),
    [
        pytest.param([1.0], [2.0], None, id="one row each"),
        pytest.param([3.0] * 50, [3.0] * 40, 1.0, id="constant"),
        pytest.param([None] * 50, [None] * 40, 1.0, id="all missing"),
        pytest.param([1.0] * 50, [None] * 40, 0.0, id="went missing"),
    ],
)
def test_edge_cases_have_a_chance_between_0_and_1(reference, current, p_value) -> None:
    frames = [pl.DataFrame({"x": values}, schema={"x": pl.Float64}) for values in (reference, current)]
    before = sketch_frame(frames[0], columns=["x"])
    after = sketch_frame(frames[1], columns=["x"], edges=before)
    found = homogeneity(before.columns["x"], after.columns["x"])
    assert 0 <= found.p_value <= 1
    assert np.isfinite(found.corrected_psi)
    if p_value is not None:
        assert found.p_value == pytest.approx(p_value, abs=1e-15)


def test_huge_counts_have_a_chance_too() -> None:
    assert chance_of_difference([10**12, 10**12], [10**9, 10**9]) == pytest.approx(1)
    assert chance_of_difference([10**12, 10**12], [10**9, 2 * 10**9]) == 0
    assert homogeneity(*columns([], [1.0])) is None


def test_p_values_are_corrected_by_holm() -> None:
    found = adjusted_p_values({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert adjusted_p_values({}) == {}
    assert list(adjusted_p_values({"a": 0.7, "b": 0.8}).values()) == [1.0, 1.0]
    few = dict(enumerate(np.linspace(0.001, 0.2, 5)))
    assert all(
        holm >= other
        for holm, other in zip(adjusted_p_values(few).values(), false_discovery_control(list(few.values())), strict=True)
    )
