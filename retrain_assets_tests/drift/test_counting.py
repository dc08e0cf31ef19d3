"""Bins are what their definition says, however the values are counted."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain_assets.drift import sketch_frame
from retrain_assets.drift.counting import BLOCK, EDGES_IN_TURN, STREAMED_ROWS, fitted_edges, rows_below

numbers = st.one_of(st.floats(-100, 100), st.sampled_from([0.0, 1.0, 2.0]))


@given(st.lists(numbers, min_size=1, max_size=60), st.integers(1, 8))
def test_edges_are_quantiles_of_what_does_not_fill_a_bin_by_itself(values, bins) -> None:
    ordered = np.sort(np.array(values) + 0.0)
    distinct, ties = np.unique(ordered, return_counts=True)
    edges = fitted_edges(ordered, bins)
    if len(distinct) <= bins:
        assert edges[1:-2] == tuple(distinct)
        return
    atoms = distinct[ties >= len(ordered) / bins]
    spread = ordered[~np.isin(ordered, atoms)]
    shares = np.linspace(0, 1, max(bins - len(atoms), 1) + 1)
    quantiles = np.quantile(spread, shares, method="inverted_cdf")
    assert edges == tuple(np.unique(np.concatenate([quantiles, atoms, np.nextafter(atoms, np.inf)])))


@pytest.mark.parametrize("edges", [0, 1, 19, EDGES_IN_TURN, EDGES_IN_TURN + 1, 200])
@pytest.mark.parametrize("rows", [0, 1, BLOCK, 2 * BLOCK + 3])
def test_a_value_on_an_edge_belongs_to_the_bin_above_it(rows, edges) -> None:
    draw = np.random.default_rng(rows)
    values = draw.integers(0, 300, rows).astype(np.float64)
    bounds = np.sort(draw.choice(300, edges, replace=False)).astype(np.float64)
    assert list(rows_below(values, tuple(bounds))) == [int((values < bound).sum()) for bound in bounds]


def test_levels_of_many_rows_are_counted_as_those_of_few() -> None:
    few = pl.DataFrame({"origin": ["JFK", None, "LGA", "é", "", None, "JFK"]})
    many = pl.concat([few] * (STREAMED_ROWS // few.height + 2))
    times = many.height // few.height
    one, other = (sketch_frame(frame, columns=["origin"]).columns["origin"] for frame in (few, many))
    assert other.levels == one.levels == ("", "JFK", "LGA", "é")
    assert other.counts == tuple(times * count for count in one.counts) == tuple(times * count for count in (1, 2, 1, 1))
    assert (other.missing, other.n) == (2 * times, many.height)
