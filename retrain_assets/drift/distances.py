"""Distances between two histograms over the same cells. Functions of the counts alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
