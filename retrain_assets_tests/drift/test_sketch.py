"""A sketch of parts equals the sketch of the whole, survives JSON, and sees what the model would see."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew

from retrain_assets.contract import StageError, canonical_json
from retrain_assets.drift import Sketch, aligned_counts, population_stability_index, quantile, sketch_frame, wasserstein

numbers = st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, math.nan, math.inf, -math.inf]))
rows = st.lists(
    st.tuples(numbers, st.sampled_from([None, "JFK", "LGA", "", "é"]), st.sampled_from([None, True, False])), max_size=20
)
SCHEMA = {"x": pl.Float64, "origin": pl.String, "holiday": pl.Boolean}


def frame_of(values: list) -> pl.DataFrame:
    return pl.DataFrame(values, schema=SCHEMA, orient="row")


@settings(max_examples=50)
@given(rows, rows, rows)
def test_the_sketch_of_parts_adds_up_to_the_sketch_of_the_whole(reference, one, other) -> None:
    edges = sketch_frame(frame_of(reference), columns=SCHEMA, bins=5)
    parts = [sketch_frame(frame_of(part), columns=SCHEMA, edges=edges) for part in (one, other)]
    whole = sketch_frame(frame_of(one + other), columns=SCHEMA, edges=edges)
    for merged in (parts[0] + parts[1], parts[1] + parts[0]):
        for name, column in whole.columns.items():
            sums, expected = merged.columns[name].to_json(), column.to_json()
            wide = column.std is not None and column.std > 1e-3 * max(abs(column.minimum), abs(column.maximum))
            for moment, rounding in {"mean": 1e-3, "std": 1e-3, "skewness": 1e-6 if wide else math.inf}.items():
                value, true_value = sums.pop(moment), expected.pop(moment)
                assert value == (None if true_value is None else pytest.approx(true_value, rel=1e-9, abs=rounding))
            assert sums == expected


@settings(max_examples=50)
@given(rows, rows, rows, rows)
def test_parts_add_up_in_any_order_and_grouping(reference, one, other, third) -> None:
    edges = sketch_frame(frame_of(reference), columns=SCHEMA, bins=5)
    a, b, c = (sketch_frame(frame_of(part), columns=SCHEMA, edges=edges) for part in (one, other, third))
    assert exact_part((a + b) + c) == exact_part(a + (b + c)) == exact_part(c + (b + a))


def exact_part(sketch: Sketch) -> dict:
    moments = ("mean", "std", "skewness")
    return {
        name: {key: value for key, value in column.items() if key not in moments} for name, column in sketch.to_json().items()
    }


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(np.random.default_rng(1).exponential(size=5000), id="skewed"),
        pytest.param(1e9 + np.random.default_rng(1).gamma(2, size=5000), id="far from zero"),
        pytest.param(1e200 * np.random.default_rng(1).exponential(size=5000), id="huge"),
        pytest.param(1e-200 * np.random.default_rng(1).exponential(size=5000), id="tiny"),
    ],
)
def test_moments_and_range_are_those_of_the_values_also_after_adding_parts(values) -> None:
    whole = sketch_frame(pl.DataFrame({"x": values}), columns=["x"])
    parts = [sketch_frame(pl.DataFrame({"x": part}), columns=["x"], edges=whole) for part in np.split(values, [7, 1000, 4999])]
    unit = np.max(np.abs(values))
    for found in (whole, parts[0] + parts[1] + parts[2] + parts[3]):
        column = found.columns["x"]
        assert column.mean / unit == pytest.approx(np.mean(values / unit), rel=1e-9)
        assert column.std / unit == pytest.approx(np.std(values / unit), rel=1e-6)
        assert column.skewness == pytest.approx(skew(values / unit), rel=1e-5)
        assert (column.minimum, column.maximum) == (values.min(), values.max())


def test_a_sketch_stored_before_range_and_skewness_were_kept_is_read_and_compared() -> None:
    new = sketch_frame(pl.DataFrame({"x": [1.0, 2.0, 5.0]}), columns=["x"])
    old = {key: value for key, value in new.to_json()["x"].items() if key not in NEW_KEYS}
    read = Sketch.from_json({"x": old})
    assert read.columns["x"].skewness is read.columns["x"].minimum is read.columns["x"].fitted_on is None
    current = sketch_frame(pl.DataFrame({"x": [1.0, 9.0]}), columns=["x"], edges=read)
    assert population_stability_index(*aligned_counts(read.columns["x"], current.columns["x"])) > 0.25
    assert wasserstein(read.columns["x"], current.columns["x"]).error is None
    assert (quantile(read.columns["x"], 0.5).low, quantile(read.columns["x"], 0.5).high) == (2, 5)
    assert (read + current).columns["x"].n == 5
    assert (read + current).columns["x"].minimum is None


NEW_KEYS = {"skewness", "minimum", "maximum", "whole", "fitted_on"}


@given(rows)
def test_every_row_is_counted_once_and_json_keeps_the_sketch(values) -> None:
    sketch = sketch_frame(frame_of(values), columns=SCHEMA, bins=5)
    assert Sketch.from_json(json.loads(canonical_json(sketch.to_json()))) == sketch
    for column in sketch.columns.values():
        assert sum(column.counts) + column.other + column.missing == column.n == len(values)


def test_whole_numbers_beyond_2_to_the_53_stay_numbers_with_a_point() -> None:
    values = pl.DataFrame({"x": [2.0**60, -(2.0**59), 3.0]})
    document = canonical_json(sketch_frame(values, columns=["x"]).to_json())
    assert canonical_json(Sketch.from_json(json.loads(document)).to_json()) == document


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        pytest.param([3.0] * 500, [3.0] * 400 + [4.0] * 100, id="a constant that starts to vary"),
        pytest.param([0, 1] * 250, [1] * 500, id="a flag that is always set"),
        pytest.param([0.0] * 970 + [float(i) for i in range(1, 31)], [0.0] * 500 + [5.0] * 500, id="a mostly zero column"),
        pytest.param(list(np.arange(500.0)), list(np.arange(500.0) + 400), id="a shift"),
        pytest.param(list(np.arange(500.0)), [None] * 500, id="values that went missing"),
        pytest.param(["JFK", "LGA"] * 250, ["JFK", "EWR"] * 250, id="a level never seen"),
        pytest.param(["JFK"] * 500, ["JFK"] * 250 + ["EWR"] * 250, id="a level beside the only one"),
        pytest.param([None] * 500, [1.0] * 500, id="a column that was empty in training"),
    ],
)
def test_a_large_change_is_seen(reference, current) -> None:
    before = sketch_frame(pl.DataFrame({"x": reference}), columns=["x"])
    after = sketch_frame(pl.DataFrame({"x": current}), columns=["x"], edges=before)
    assert population_stability_index(*aligned_counts(before.columns["x"], after.columns["x"])) > 0.25


def test_two_samples_of_one_distribution_are_close_at_the_smallest_judged_size() -> None:
    source = np.random.default_rng(7)
    before = sketch_frame(pl.DataFrame({"x": source.normal(size=20_000)}), columns=["x"])
    after = sketch_frame(pl.DataFrame({"x": source.normal(size=1_000)}), columns=["x"], edges=before)
    assert population_stability_index(*aligned_counts(before.columns["x"], after.columns["x"])) < 0.05


def test_rare_levels_are_counted_together() -> None:
    tails = pl.DataFrame({"tail": ["N1"] * 5 + ["N2"] * 3 + ["N3", "N4"]})
    column = sketch_frame(tails, columns=["tail"], max_levels=2).columns["tail"]
    assert (column.levels, column.counts, column.other) == (("N1", "N2"), (5, 3), 2)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pl.DataFrame({"y": [1.0]}), "column x.*missing"),
        (pl.DataFrame({"x": ["a"]}), "categorical, in the reference it is numeric"),
        (pl.DataFrame({"x": [[1.0]]}), "has no sketch"),
    ],
)
def test_a_column_that_cannot_be_compared_is_refused_by_name(frame, says) -> None:
    reference = sketch_frame(pl.DataFrame({"x": [1.0, 2.0]}), columns=["x"])
    with pytest.raises(StageError, match=says):
        sketch_frame(frame, columns=["x"], edges=reference)


def test_sketches_over_different_bins_are_not_added() -> None:
    one, other = (sketch_frame(pl.DataFrame({"x": values}), columns=["x"]) for values in ([1.0, 2.0], [3.0]))
    with pytest.raises(StageError, match="different bins"):
        one + other
