"""The distances are those of the reference vectors, and those of sketches enclose the ones of the values."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrain_assets.drift import (
    ColumnSketch,
    Sketch,
    aligned_counts,
    chi_square,
    jensen_shannon,
    jensen_shannon_divergence,
    kolmogorov_smirnov,
    kolmogorov_smirnov_binned,
    kolmogorov_smirnov_bound,
    kolmogorov_smirnov_exact,
    population_stability_index,
    quantile,
    sketch_frame,
    wasserstein,
    wasserstein_binned,
    wasserstein_exact,
)


def test_every_distance_agrees_with_the_reference_vectors(oracles) -> None:
    for case in oracles("drift"):
        counts = case["ref_counts"], case["cur_counts"]
        assert population_stability_index(*counts, floor=1e-6) == pytest.approx(case["psi_eps_1e6"], abs=1e-12)
        assert population_stability_index(*counts) == pytest.approx(case["psi_eps_1e4"], abs=1e-12)
        assert jensen_shannon_divergence(*counts) == pytest.approx(case["js_divergence_base2"], abs=1e-12)
        if case["js_divergence_base2"] > 1e-6:
            assert jensen_shannon(*counts) == pytest.approx(case["js_distance_base2"], abs=1e-12)
        found = chi_square(*counts)
        assert found.dof == case["chi2_dof"]
        if case["chi2_p"] is None:
            assert (found.statistic, found.p_value) == (None, None)
        else:
            assert found.statistic == pytest.approx(case["chi2_statistic"], rel=1e-12, abs=1e-12)
            assert found.p_value == pytest.approx(case["chi2_p"], rel=1e-9)


def test_distances_of_numbers_agree_with_the_reference_vectors(oracles) -> None:
    for case in oracles("drift"):
        if case["kind"] != "numeric":
            continue
        counts, values = (case["ref_counts"], case["cur_counts"]), (case["reference"], case["current"])
        edges = np.array(case["bin_edges"])
        unit = max(1.0, abs(case["wasserstein1"]))
        assert kolmogorov_smirnov_binned(*counts) == pytest.approx(case["ks_binned"], abs=1e-12)
        assert kolmogorov_smirnov_bound(*counts) >= case["ks_statistic"] - 1e-12
        middle = (edges[1:] + edges[:-1]) / 2
        assert wasserstein_binned(*counts, middle) == pytest.approx(case["wasserstein1_binned"], abs=1e-12 * unit)
        assert wasserstein_exact(*values) == pytest.approx(case["wasserstein1"], abs=1e-12 * unit)
        for method, field, rounding in (
            ("exact", "ks_p_exact", 1e-6),
            ("asymp", "ks_p_asymp", 1e-9),
            ("auto", "ks_p_scipy_auto", 1e-6),
        ):
            exact = kolmogorov_smirnov_exact(*values, method=method)
            assert exact.statistic == pytest.approx(case["ks_statistic"], abs=1e-12)
            assert exact.p_value == pytest.approx(case[field], rel=rounding, abs=1e-300)


def test_sketches_count_the_samples_as_the_reference_vectors_do(oracles) -> None:
    for case in oracles("drift"):
        samples = [pl.DataFrame({"x": case[name]}) for name in ("reference", "current")]
        if case["kind"] == "numeric":
            edges = Sketch({"x": ColumnSketch("numeric", tuple(case["bin_edges"]), (), (), 0, 0, 0, None, None)})
            sketches = [sketch_frame(sample, columns=["x"], edges=edges).columns["x"] for sample in samples]
            assert [list(one.counts) for one in sketches] == [case["ref_counts"], case["cur_counts"]]
            assert_encloses(sketches, case["ks_statistic"], case["wasserstein1"])
        else:
            sketches = [sketch_frame(sample, columns=["x"]).columns["x"] for sample in samples]
            counted = [one.counts_of(tuple(case["levels"])) for one in sketches]
            assert counted == [case["ref_counts"], case["cur_counts"]]
            assert kolmogorov_smirnov(*sketches) is wasserstein(*sketches) is None
        psi = population_stability_index(*aligned_counts(*sketches))
        if case["kind"] == "categorical":
            assert psi == pytest.approx(case["psi_eps_1e4"], abs=1e-12)


def assert_encloses(sketches: list[ColumnSketch], distance: float, moved: float) -> None:
    found, work = kolmogorov_smirnov(*sketches), wasserstein(*sketches)
    assert found.value - 1e-12 <= distance <= found.value + found.error + 1e-12
    assert work.value - work.error - 1e-9 * max(1, moved) <= moved <= work.value + work.error + 1e-9 * max(1, moved)


floats = st.one_of(st.floats(-1e3, 1e3), st.sampled_from([0.0, 1.0, 2.0, 3.0]))
samples = st.lists(floats, min_size=1, max_size=40)


@settings(max_examples=200, deadline=None)
@given(st.lists(floats, max_size=40), samples, samples, st.integers(1, 8))
def test_the_stated_errors_of_binned_distances_hold(fitted, reference, current, bins) -> None:
    edges = sketch_frame(pl.DataFrame({"x": fitted}, schema={"x": pl.Float64}), columns=["x"], bins=bins)
    sketches = [sketch_frame(pl.DataFrame({"x": one}), columns=["x"], edges=edges).columns["x"] for one in (reference, current)]
    every = np.array(reference + current)
    below = [np.searchsorted(np.sort(one), every, side="right") / len(one) for one in (reference, current)]
    assert_encloses(sketches, np.max(np.abs(below[0] - below[1])), wasserstein_exact(reference, current))


@settings(max_examples=200, deadline=None)
@given(samples, st.integers(1, 8), st.floats(0, 1))
def test_the_stated_bounds_of_a_quantile_hold(values, bins, share) -> None:
    sketch = sketch_frame(pl.DataFrame({"x": values}), columns=["x"], bins=bins).columns["x"]
    found, exact = quantile(sketch, share), float(np.quantile(values, share, method="inverted_cdf"))
    assert found.low <= exact <= found.high
    assert found.low <= found.value <= found.high
    below, at_or_below = np.mean(np.array(values) < found.value), np.mean(np.array(values) <= found.value)
    assert below - found.rank_error - 1e-12 <= share <= at_or_below + found.rank_error + 1e-12


def test_whole_numbers_with_a_bin_each_have_no_error() -> None:
    draw = np.random.default_rng(3)
    values = draw.poisson(3, 2000), draw.poisson(4, 500)
    before = sketch_frame(pl.DataFrame({"x": values[0]}), columns=["x"])
    after = sketch_frame(pl.DataFrame({"x": values[1]}), columns=["x"], edges=before)
    found, moved = (distance(before.columns["x"], after.columns["x"]) for distance in (kolmogorov_smirnov, wasserstein))
    assert found == pytest.approx((kolmogorov_smirnov_exact(*values).statistic, 0), abs=1e-12)
    assert moved.error < 0.03  # only values beyond the last bin of the reference
    assert quantile(before.columns["x"], 0.5).value == np.median(values[0])


def test_the_error_is_small_for_many_bins() -> None:
    draw = np.random.default_rng(3)
    values = draw.normal(size=20_000), draw.normal(0.3, 1.2, size=5_000)
    before = sketch_frame(pl.DataFrame({"x": values[0]}), columns=["x"])
    after = sketch_frame(pl.DataFrame({"x": values[1]}), columns=["x"], edges=before)
    assert kolmogorov_smirnov(before.columns["x"], after.columns["x"]).error < 0.08
    moved = wasserstein(before.columns["x"], after.columns["x"])
    assert moved.value == pytest.approx(wasserstein_exact(*values), abs=0.05)


@pytest.mark.parametrize(
    ("reference", "current", "distance", "moved"),
    [
        pytest.param([1.0], [3.0], 1.0, 2.0, id="one row each"),
        pytest.param([3.0] * 9, [3.0] * 7, 0.0, 0.0, id="one constant"),
        pytest.param([3.0] * 9, [5.0] * 7, 1.0, 2.0, id="two constants"),
        pytest.param([0.0, 1.0], [1000.0, 1001.0], 1.0, 1000.0, id="disjoint supports"),
        pytest.param([1e300, 2e300], [1e300, 2e300], 0.0, 0.0, id="huge values"),
        pytest.param([None, 1.0], [float("inf"), 1.0], 0.0, 0.0, id="missing values"),
    ],
)
def test_edge_cases_of_distances(reference, current, distance, moved) -> None:
    before = sketch_frame(pl.DataFrame({"x": reference}), columns=["x"])
    after = sketch_frame(pl.DataFrame({"x": current}), columns=["x"], edges=before)
    assert kolmogorov_smirnov(before.columns["x"], after.columns["x"]).value == pytest.approx(distance)
    found = wasserstein(before.columns["x"], after.columns["x"])
    assert abs(found.value - moved) <= found.error + 1e-9
    assert found.value == pytest.approx(moved, rel=1e-3)


def test_a_column_without_values_has_no_distance() -> None:
    before = sketch_frame(pl.DataFrame({"x": [1.0, 2.0]}), columns=["x"])
    after = sketch_frame(pl.DataFrame({"x": [None, float("nan")]}, schema={"x": pl.Float64}), columns=["x"], edges=before)
    assert kolmogorov_smirnov(before.columns["x"], after.columns["x"]) is None
    assert wasserstein(before.columns["x"], after.columns["x"]) is None
    assert quantile(after.columns["x"], 0.5) is None
    with pytest.raises(ValueError, match="without any finite value"):
        wasserstein_exact([1.0], [None, float("inf")])


@pytest.mark.parametrize("counts", [([10**15, 3 * 10**15], [10**15, 3 * 10**15]), ([10**12, 0], [0, 1])])
def test_huge_counts_are_no_trouble(counts) -> None:
    for distance in (population_stability_index, jensen_shannon, kolmogorov_smirnov_binned):
        assert np.isfinite(distance(*counts))
    assert 0 <= chi_square(*counts).p_value <= 1


@pytest.mark.parametrize(
    ("reference", "current", "says"),
    [([1, 2], [1], "same cells"), ([1, -1], [1, 1], "negative"), ([0, 0], [1, 1], "without any row")],
)
def test_histograms_that_cannot_be_compared_are_refused(reference, current, says) -> None:
    for distance in (population_stability_index, chi_square, kolmogorov_smirnov_bound):
        with pytest.raises(ValueError, match=says):
            distance(reference, current)
