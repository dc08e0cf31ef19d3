"""The distances are those of the reference vectors."""

from __future__ import annotations

import polars as pl
import pytest

from retrain_assets.drift import (
    ColumnSketch,
    Sketch,
    aligned_counts,
    jensen_shannon,
    jensen_shannon_divergence,
    kolmogorov_smirnov_binned,
    population_stability_index,
    sketch_frame,
)


def test_every_distance_agrees_with_the_reference_vectors(oracles) -> None:
    for case in oracles("drift"):
        counts = case["ref_counts"], case["cur_counts"]
        assert population_stability_index(*counts, floor=1e-6) == pytest.approx(case["psi_eps_1e6"], abs=1e-12)
        assert population_stability_index(*counts) == pytest.approx(case["psi_eps_1e4"], abs=1e-12)
        assert jensen_shannon_divergence(*counts) == pytest.approx(case["js_divergence_base2"], abs=1e-12)
        if case["js_divergence_base2"] > 1e-6:
            assert jensen_shannon(*counts) == pytest.approx(case["js_distance_base2"], abs=1e-12)
        if case["kind"] == "numeric":
            assert kolmogorov_smirnov_binned(*counts) == pytest.approx(case["ks_binned"], abs=1e-12)


def test_sketches_count_the_samples_as_the_reference_vectors_do(oracles) -> None:
    for case in oracles("drift"):
        samples = [pl.DataFrame({"x": case[name]}) for name in ("reference", "current")]
        if case["kind"] == "numeric":
            edges = Sketch({"x": ColumnSketch("numeric", tuple(case["bin_edges"]), (), (), 0, 0, 0, None, None)})
            sketches = [sketch_frame(sample, columns=["x"], edges=edges).columns["x"] for sample in samples]
            assert [list(one.counts) for one in sketches] == [case["ref_counts"], case["cur_counts"]]
        else:
            sketches = [sketch_frame(sample, columns=["x"]).columns["x"] for sample in samples]
            counted = [[one.count_of(level) for level in case["levels"]] for one in sketches]
            assert counted == [case["ref_counts"], case["cur_counts"]]
        psi = population_stability_index(*aligned_counts(*sketches))
        if case["kind"] == "categorical":
            assert psi == pytest.approx(case["psi_eps_1e4"], abs=1e-12)


@pytest.mark.parametrize(
    ("reference", "current", "says"),
    [([1, 2], [1], "same cells"), ([1, -1], [1, 1], "negative"), ([0, 0], [1, 1], "without any row")],
)
def test_histograms_that_cannot_be_compared_are_refused(reference, current, says) -> None:
    with pytest.raises(ValueError, match=says):
        population_stability_index(reference, current)
