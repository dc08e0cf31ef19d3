"""The histogram of requests: bins, sums over units, merging and subtracting."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from retrain_assets.experiment.estimation.quantiles import (
    BINS,
    GREATEST,
    LEAST,
    NO_BIN,
    RequestHistogram,
    bin_of,
    edges,
    histograms,
)

Columns = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


def requests(seed: int, units: int = 40, first_unit: int = 0) -> Columns:
    """Units with one to a dozen requests, their values a hundred or so, alike within a unit."""
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(units), rng.integers(1, 12, units))
    values = np.exp(4 + rng.normal(0, 0.5, units)[unit] + rng.normal(0, 0.5, len(unit)))
    return unit + first_unit, values


def test_a_value_lies_between_the_ends_of_its_bin_which_is_one_per_cent_wide() -> None:
    values = np.exp(np.random.default_rng(1).uniform(np.log(LEAST), np.log(GREATEST), 10_000))
    ends, bins = edges(), bin_of(values)
    assert (values <= ends[bins] * (1 + 1e-12)).all()
    assert (values >= ends[bins - 1] * (1 - 1e-12)).all()
    assert ends[1:-1] / ends[:-2] == pytest.approx(np.full(BINS - 2, 1.01), abs=1e-5)
    assert ends[0] == pytest.approx(LEAST)
    assert ends[-2] == pytest.approx(GREATEST)


def test_values_outside_the_range_share_the_outermost_bins_and_nan_has_none() -> None:
    outside = [0.0, -3.0, -np.inf, LEAST / 2, LEAST, GREATEST * 1.02, np.inf, np.nan]
    assert bin_of(outside).tolist() == [0, 0, 0, 0, 0, BINS - 1, BINS - 1, NO_BIN]


def test_running_totals_are_the_sums_over_units_that_a_count_by_hand_gives() -> None:
    unit, values = requests(2)
    histogram = RequestHistogram.of(unit, bin_of(values))
    size = np.bincount(unit)
    for place in (0, *np.quantile(bin_of(values), [0.01, 0.3, 0.5, 0.9, 1.0]).astype(int)):
        below = np.bincount(unit[bin_of(values) <= place], minlength=len(size))
        expected = [below.sum(), (below**2).sum(), (below * size).sum()]
        assert histogram.cumulated()[:, place].tolist() == expected
    assert (histogram.units, histogram.requests, histogram.squares) == (40, size.sum(), (size**2).sum())
    assert histogram.problem is None


def test_histograms_of_different_units_add_to_the_histogram_of_all_and_subtract_again() -> None:
    first, second = requests(3), requests(4, units=25, first_unit=40)
    one, other = (RequestHistogram.of(unit, bin_of(values)) for unit, values in (first, second))
    both = RequestHistogram.of(np.append(first[0], second[0]), bin_of(np.append(first[1], second[1])))
    assert one + other == both
    assert both - other == one
    assert both - one - other == RequestHistogram.empty()
    assert hash(one + other) == hash(both)
    assert one != other


def test_cells_are_counted_apart_in_any_order_of_rows_also_where_a_unit_is_in_several() -> None:
    unit, values = requests(5)
    cell = np.random.default_rng(6).integers(0, 3, len(unit))
    shuffled = np.random.default_rng(7).permutation(len(unit))
    found = histograms(cell[shuffled], unit[shuffled], bin_of(values)[shuffled], cells_in_all=4)
    assert found == [RequestHistogram.of(unit[cell == k], bin_of(values)[cell == k]) for k in range(4)]
    assert found[3] == RequestHistogram.empty()


def test_rows_that_count_equal_requests_give_what_the_single_requests_give() -> None:
    unit, values = requests(8)
    rows, counts = np.unique(np.stack([unit, bin_of(values // 20 * 20)]), axis=1, return_counts=True)
    assert counts.max() > 1
    assert RequestHistogram.of(rows[0], rows[1], counts) == RequestHistogram.of(unit, bin_of(values // 20 * 20))


def test_a_large_cell_counted_in_parts_gives_the_sums_of_the_whole() -> None:
    unit, values = requests(9, units=60_000)
    parts = [RequestHistogram.of(unit[k::3][:0], bin_of(values[:0])) for k in range(3)]
    for k in range(3):
        mine = unit % 3 == k
        parts[k] = RequestHistogram.of(unit[mine], bin_of(values[mine]))
    assert RequestHistogram.of(unit, bin_of(values)) == parts[0] + parts[1] + parts[2]


def test_units_taken_away_that_were_never_in_are_named_as_the_problem() -> None:
    one, other = (RequestHistogram.of(unit, bin_of(values)) for unit, values in (requests(10, 5), requests(11, 9)))
    assert "taken away" in str((one - other).problem)


def test_a_value_without_bin_and_a_cell_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="bins must lie in"):
        RequestHistogram.of([1, 2], bin_of([3.0, np.nan]))
    with pytest.raises(ValueError, match=r"cells in 0\.\.1"):
        histograms([0, 2], [0, 1], [5, 5], cells_in_all=2)
