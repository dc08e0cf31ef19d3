"""What two sketches of a numeric column say about quantities of its values, each with a bound of the error of binning."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retrain_assets.drift.column import ColumnSketch, cell_ranges
from retrain_assets.drift.distances import kolmogorov_smirnov_binned, kolmogorov_smirnov_bound, wasserstein_binned


class Bounded(NamedTuple):
    """A value that is known up to an error.

    Args:
        value: the value.
        error: the true one is at most this far away; None where there is no bound (sketches stored without their range).
    """

    value: float
    error: float | None


class Quantile(NamedTuple):
    """A quantile read from a histogram.

    Args:
        value: interpolated inside its bin.
        low: the true quantile is not below this.
        high: nor above this.
        rank_error: the share of values up to ``value`` is at most this far from the asked one: the share of the bin.
    """

    value: float
    low: float
    high: float
    rank_error: float


def kolmogorov_smirnov(reference: ColumnSketch, current: ColumnSketch) -> Bounded | None:
    """The Kolmogorov-Smirnov distance of the values, 0..1: never below ``value``, at most ``error`` above it.

    Exact where every bin holds one value, as for whole numbers with a bin each. None for levels and for a column without values.
    """
    if not _comparable(reference, current):
        return None
    one_value = cell_ranges(reference, current)[2]
    least = kolmogorov_smirnov_binned(reference.counts, current.counts)
    most = kolmogorov_smirnov_bound(reference.counts, current.counts, one_value)
    return Bounded(least, max(0.0, most - least))


def wasserstein(reference: ColumnSketch, current: ColumnSketch) -> Bounded | None:
    """The Wasserstein-1 distance of the values, in their unit; None for levels and for a column without values.

    Rows are taken to sit in the middle of their bin; moving each one there costs at most half the bin (more in an outer bin with
    values beyond its edge), which bounds the error by the triangle inequality. The distance is never below the difference of the
    means, which is known exactly.
    """
    if not _comparable(reference, current):
        return None
    low, high, one_value = cell_ranges(reference, current)
    edges = np.array(reference.edges)
    positions = np.where(one_value, low, edges[:-1] + (edges[1:] - edges[:-1]) / 2)
    shares = np.add(*(np.asarray(sketch.counts, dtype=np.float64) / sketch.values for sketch in (reference, current)))
    held = shares > 0
    distance = wasserstein_binned(np.asarray(reference.counts)[held], np.asarray(current.counts)[held], positions[held])
    moved = float(np.sum(shares[held] * np.maximum(positions - low, high - positions)[held]))
    if reference.mean is None or current.mean is None:
        return None
    least = max(distance - moved, abs(reference.mean - current.mean))
    most = max(distance + moved, least)
    value = min(max(distance, least), most)
    return Bounded(value, max(value - least, most - value) if np.isfinite(moved) else None)


def quantile(sketch: ColumnSketch, share: float) -> Quantile | None:
    """A quantile of a numeric column; None for levels and for a column without values.

    Args:
        sketch: the column.
        share: share of values at or below the quantile, 0..1.

    Raises:
        ValueError: for a share outside 0..1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a quantile is asked for a share from 0 to 1, not {share}")
    if sketch.kind != "numeric" or sketch.values == 0:
        return None
    low, high, _ = cell_ranges(sketch)
    below = np.cumsum(sketch.counts)
    place = int(np.searchsorted(below, max(1, np.ceil(share * sketch.values))))
    count = sketch.counts[place]
    least = low[place] if sketch.minimum is None else max(low[place], sketch.minimum)
    most = high[place] if sketch.maximum is None else min(high[place], sketch.maximum)
    start, end = (edge if np.isfinite(bound) else other for bound, edge, other in _ends(sketch, place, least, most))
    inside = np.clip((share * sketch.values - (below[place] - count)) / count, 0, 1)
    return Quantile(float(start + inside * (end - start)), float(least), float(most), count / sketch.values)


def _ends(sketch: ColumnSketch, place: int, least: float, most: float) -> tuple[tuple[float, float, float], ...]:
    return (least, least, sketch.edges[place]), (most, most, sketch.edges[place + 1])


def _comparable(reference: ColumnSketch, current: ColumnSketch) -> bool:
    return reference.kind == current.kind == "numeric" and reference.values > 0 and current.values > 0
