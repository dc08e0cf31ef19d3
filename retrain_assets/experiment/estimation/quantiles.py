"""Values of requests in logarithmic bins, with the sums that quantiles of clustered requests need; they add and subtract exactly.

Inference on them is in :mod:`retrain_assets.experiment.estimation.quantile_difference`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LEAST = 1e-3
"""Lower end of the binned range: smaller values, 0 included, share the first bin, which has no lower end."""

GREATEST = 1e7
"""Upper end of the binned range: greater values share the last bin, which has no upper end."""

INNER_BINS = 2315
"""Bins of equal width on the log scale between LEAST and GREATEST: each is 1 % wide."""

BINS = INNER_BINS + 2

NO_BIN = -1
"""What :func:`bin_of` gives for NaN; no histogram takes it."""

_LOG_WIDTH = math.log(GREATEST / LEAST) / INNER_BINS
_KEY_BITS = 12  # BINS < 2 ** 12
_CHUNK = 1 << 17


def bin_of(values: npt.ArrayLike) -> npt.NDArray[np.int16]:
    """The bin of each value: 0 up to LEAST, 1 .. INNER_BINS between, BINS - 1 above GREATEST, NO_BIN for NaN.

    In polars: ``pl.col(c).map_batches(lambda column: pl.Series(bin_of(column.to_numpy())), return_dtype=pl.Int16)``.

    Args:
        values: (n,) values in the unit of the measure.
    """
    given = np.asarray(values, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        place = np.log(given)
        place -= math.log(LEAST)
        place *= 1 / _LOG_WIDTH
        np.ceil(place, out=place)
    np.clip(place, 0, BINS - 1, out=place)
    np.copyto(place, 0.0, where=given <= LEAST)
    np.copyto(place, float(NO_BIN), where=np.isnan(given))
    return place.astype(np.int16)


def edges() -> Floats:
    """Upper ends of the bins, (BINS,); the last is infinite."""
    inner = LEAST * np.exp(_LOG_WIDTH * np.arange(BINS - 1))
    return np.append(inner, math.inf)


def _none() -> Integers:
    return np.zeros((3, 0), dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class RequestHistogram:
    """Values of one arm's requests in logarithmic bins, with what the units as clusters need.

    With K the number of a unit's requests up to a bin's upper end and m all its requests, the sums over units of K, K^2 and
    K m are the running totals of the rows of ``sums``: a request that is its unit's j-th smallest brings 1, 2 j - 1 and m.

    Args:
        bins: numbers of the bins that hold a request, ascending, (b,).
        sums: per such bin, over its requests: their number, the sum of 2 j - 1, the sum of m; (3, b).
        units: units with a request.
        requests: requests, the sum of m over units.
        squares: sum of m^2 over units.
    """

    bins: Integers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    sums: Integers = field(default_factory=_none)
    units: int = 0
    requests: int = 0
    squares: int = 0

    @classmethod
    def empty(cls) -> RequestHistogram:
        """The histogram of no request."""
        return cls()

    @classmethod
    def of(cls, units: npt.ArrayLike, bins: npt.ArrayLike, counts: npt.ArrayLike | None = None) -> RequestHistogram:
        """The histogram of one cell; arguments as in :func:`histograms`."""
        codes = np.asarray(units, dtype=np.int64)
        return histograms(np.zeros_like(codes), codes, bins, counts, cells_in_all=1)[0]

    def __add__(self, other: RequestHistogram) -> RequestHistogram:
        """The histogram of both groups of units (which must not share a unit)."""
        return self._with(other, 1)

    def __sub__(self, other: RequestHistogram) -> RequestHistogram:
        """The histogram without a group of units that is among them."""
        return self._with(other, -1)

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same sums."""
        if not isinstance(other, RequestHistogram):
            return NotImplemented
        totals = (self.units, self.requests, self.squares) == (other.units, other.requests, other.squares)
        return totals and np.array_equal(self.bins, other.bins) and np.array_equal(self.sums, other.sums)

    def __hash__(self) -> int:
        """Equal histograms have equal totals."""
        return hash((self.units, self.requests, self.squares))

    @property
    def problem(self) -> str | None:
        """Why these cannot be the sums of any requests; None when they can."""
        if min(self.units, self.requests, self.squares) < 0 or (self.sums < 0).any():
            return "the histogram of requests has negative counts: units were taken away that were not in it"
        if int(self.sums[0].sum()) != self.requests or not self.units <= self.requests <= self.squares:
            return "the histogram of requests does not add up"
        return None

    def cumulated(self) -> Integers:
        """Sums over units of K, K^2 and K m at the upper end of every bin, (3, BINS)."""
        dense = np.zeros((3, BINS), dtype=np.int64)
        dense[:, self.bins] = self.sums
        return dense.cumsum(axis=1)

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict."""
        totals = {"units": self.units, "requests": self.requests, "squares": self.squares}
        return {"bins": self.bins.tolist(), "sums": self.sums.tolist(), **totals}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RequestHistogram:
        """The inverse of :meth:`to_json`."""
        sums = np.array(value["sums"], dtype=np.int64).reshape(3, -1)
        return cls(np.array(value["bins"], dtype=np.int64), sums, value["units"], value["requests"], value["squares"])

    def _with(self, other: RequestHistogram, sign: int) -> RequestHistogram:
        dense = np.zeros((3, BINS), dtype=np.int64)
        dense[:, self.bins] = self.sums
        dense[:, other.bins] += sign * other.sums
        kept = np.flatnonzero(dense.any(axis=0))
        return RequestHistogram(
            kept,
            dense[:, kept],
            self.units + sign * other.units,
            self.requests + sign * other.requests,
            self.squares + sign * other.squares,
        )


def histograms(
    cells: npt.ArrayLike,
    units: npt.ArrayLike,
    bins: npt.ArrayLike,
    counts: npt.ArrayLike | None = None,
    *,
    cells_in_all: int,
) -> list[RequestHistogram]:
    """One histogram per cell, from one row per request or per (cell, unit, bin) with its number of requests; in any order.

    Args:
        cells: (n,) number of the row's cell, 0 .. cells_in_all - 1.
        units: (n,) number of the row's unit, from 0; the same unit may be in several cells.
        bins: (n,) bins of :func:`bin_of`.
        counts: (n,) requests per row; each row is one request by default.
        cells_in_all: how many histograms to give.

    Raises:
        ValueError: for a bin, unit or cell outside its range.
    """
    cell, unit, place = (np.asarray(column) for column in (cells, units, bins))
    if not len(cell):
        return [RequestHistogram.empty() for _ in range(cells_in_all)]
    if place.min() < 0 or place.max() >= BINS or unit.min() < 0 or cell.min() < 0 or cell.max() >= cells_in_all:
        raise ValueError(f"bins must lie in 0..{BINS - 1}, cells in 0..{cells_in_all - 1}, units must not be negative")
    n_units = int(unit.max()) + 1
    keys = cell.astype(np.int64)
    keys *= n_units
    keys += unit
    keys <<= _KEY_BITS
    keys |= place
    keys, number = _ordered(keys, None if counts is None else np.asarray(counts, dtype=np.int64))
    sums = np.zeros((3, cells_in_all * BINS), dtype=np.int64)
    of_units = np.zeros((3, cells_in_all), dtype=np.int64)
    start = 0
    while start < len(keys):
        after = (int(keys[min(start + _CHUNK, len(keys)) - 1]) >> _KEY_BITS) + 1
        stop = int(np.searchsorted(keys, after << _KEY_BITS))
        _count(keys[start:stop], None if number is None else number[start:stop], n_units, sums, of_units)
        start = stop
    dense = sums.reshape(3, cells_in_all, BINS)
    return [_sparse(dense[:, k], *(int(one) for one in of_units[:, k])) for k in range(cells_in_all)]


def _ordered(keys: Integers, counts: Integers | None) -> tuple[Integers, Integers | None]:
    if counts is None:
        keys.sort()
        return keys, None
    order = np.argsort(keys)
    return keys[order], counts[order]


def _count(keys: Integers, number: Integers | None, n_units: int, sums: Integers, of_units: Integers) -> None:
    """Add what whole units bring: their sorted keys and requests per key, to (3, cells x BINS) and (3, cells) sums."""
    member = keys >> _KEY_BITS
    first = np.flatnonzero(np.diff(member, prepend=-1))
    lengths = np.diff(first, append=len(keys))
    number = np.ones_like(keys) if number is None else number
    size = np.add.reduceat(number, first)
    rank = np.cumsum(number)
    rank -= np.repeat(rank[first] - number[first], lengths)
    cell = member // n_units
    slot = cell * BINS + (keys & ((1 << _KEY_BITS) - 1))
    for row, brought in zip(sums, (number, number * (2 * rank - number), number * np.repeat(size, lengths)), strict=True):
        np.add.at(row, slot, brought)
    for row, brought in zip(of_units, (np.ones_like(size), size, size * size), strict=True):
        np.add.at(row, cell[first], brought)


def _sparse(dense: Any, units: int, requests: int, squares: int) -> RequestHistogram:
    kept = np.flatnonzero(dense[0])
    return RequestHistogram(kept, dense[:, kept].copy(), units, requests, squares)
