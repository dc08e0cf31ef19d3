"""Distances between two histograms over the same cells, as functions of the counts (and bin edges where the unit matters)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Counts = Sequence[int] | npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


def population_stability_index(reference: Counts, current: Counts, floor: float = 1e-4) -> float:
    """Population stability index, ``sum (q - p) ln(q / p)``.

    Args:
        reference: counts per cell, p after division by their sum.
        current: counts per cell, q.
        floor: smallest share of a cell, so that an empty one does not make the index infinite; not renormalised.

    Returns:
        0 for equal shares; by custom above 0.1 a change worth a look, above 0.25 a large one. Without any drift its expectation
        is about (cells - 1)(1 / n + 1 / m) for n and m rows.

    Raises:
        ValueError: for histograms of different length, negative counts, or without any row.

    Source: Yurdakul and Naranjo, "Statistical properties of the population stability index", Journal of Risk Model
    Validation 14(4), 2020.
    """
    p, q = _shares(reference, current)
    p, q = np.maximum(p, floor), np.maximum(q, floor)
    return float(np.sum((q - p) * np.log(q / p)))


def jensen_shannon(reference: Counts, current: Counts) -> float:
    """Jensen-Shannon distance in base 2, 0..1: the square root of :func:`jensen_shannon_divergence`."""
    return math.sqrt(jensen_shannon_divergence(reference, current))


def jensen_shannon_divergence(reference: Counts, current: Counts) -> float:
    """Jensen-Shannon divergence in base 2, 0..1 (Lin, "Divergence measures based on the Shannon entropy", 1991).

    Raises:
        ValueError: as :func:`population_stability_index`.
    """
    p, q = _shares(reference, current)
    middle = (p + q) / 2
    return max(0.0, (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2)


def kolmogorov_smirnov_binned(reference: Counts, current: Counts) -> float:
    """Largest difference of the cumulative shares at the bin edges, 0..1: a lower bound of the Kolmogorov-Smirnov distance.

    Raises:
        ValueError: as :func:`population_stability_index`.
    """
    p, q = _shares(reference, current)
    return float(np.max(np.abs(np.cumsum(p) - np.cumsum(q))))


def kolmogorov_smirnov_bound(
    reference: Counts, current: Counts, one_value: Sequence[bool] | npt.NDArray[np.bool_] | None = None
) -> float:
    """Upper bound of the Kolmogorov-Smirnov distance of the values behind two binned counts, 0..1.

    With F_i and G_i the cumulative shares at the upper edge of bin i, nothing inside the bin can be further apart than
    ``max(F_i - G_i-1, G_i - F_i-1)``; the true distance lies between :func:`kolmogorov_smirnov_binned` and the largest of these.

    Args:
        reference: counts per bin, ascending.
        current: counts per bin.
        one_value: per bin, whether it can hold one value only: there the edge is exact.

    Raises:
        ValueError: as :func:`population_stability_index`.
    """
    p, q = _shares(reference, current)
    upper_p, upper_q = np.cumsum(p), np.cumsum(q)
    inside = np.maximum(upper_p - (upper_q - q), upper_q - (upper_p - p))
    exact = np.zeros(len(p), dtype=bool) if one_value is None else np.asarray(one_value, dtype=bool)
    return min(1.0, float(np.max(np.where(exact, np.abs(upper_p - upper_q), inside))))


def wasserstein_binned(reference: Counts, current: Counts, positions: Sequence[float] | npt.NDArray[np.float64]) -> float:
    """Wasserstein-1 distance of two histograms whose rows sit at one position per bin, in the unit of the positions.

    Args:
        reference: counts per bin.
        current: counts per bin.
        positions: ascending position of each bin, mostly its middle.

    Raises:
        ValueError: as :func:`population_stability_index`.

    Source: Vallender, "Calculation of the Wasserstein distance between probability distributions on the line", Theory of
    Probability and its Applications 18, 1974: the area between the cumulative shares.
    """
    p, q = _shares(reference, current)
    return float(np.sum(np.abs(np.cumsum(p - q)[:-1]) * np.diff(np.asarray(positions, dtype=np.float64))))


class ChiSquare(NamedTuple):
    """Pearson's test that two histograms come from one distribution.

    Args:
        statistic: Pearson's chi-square of the 2 x m table; None where all rows are in one cell.
        dof: degrees of freedom, m - 1.
        p_value: its upper tail; None where there is no statistic.
    """

    statistic: float | None
    dof: int
    p_value: float | None


def chi_square(reference: Counts, current: Counts) -> ChiSquare:
    """Pearson's chi-square test of homogeneity; cells empty in both are left out, no correction for continuity.

    Raises:
        ValueError: as :func:`population_stability_index`.
    """
    from scipy.special import chdtrc

    p, q = _shares(reference, current)
    rows = np.array([np.sum(np.asarray(counts, dtype=np.float64)) for counts in (reference, current)])
    held = (p > 0) | (q > 0)
    dof = int(held.sum()) - 1
    if dof == 0:
        return ChiSquare(None, 0, None)
    p, q = p[held], q[held]
    middle = (rows[0] * p + rows[1] * q) / rows.sum()
    statistic = float(np.sum((p - q) ** 2 / middle) * rows[0] * rows[1] / rows.sum())
    return ChiSquare(statistic, dof, float(chdtrc(dof, statistic)))


def _relative_entropy(p: Shares, q: Shares) -> float:
    held = p > 0
    return float(np.sum(p[held] * np.log2(p[held] / q[held])))


def _shares(reference: Counts, current: Counts) -> tuple[Shares, Shares]:
    p, q = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if p.ndim != 1 or p.shape != q.shape:
        raise ValueError(f"two histograms over the same cells are needed, not shapes {p.shape} and {q.shape}")
    if not (np.all(p >= 0) and np.all(q >= 0)):
        raise ValueError("counts must not be negative")
    if not (p.sum() > 0 and q.sum() > 0):
        raise ValueError("a histogram without any row has no shares")
    return p / p.sum(), q / q.sum()
