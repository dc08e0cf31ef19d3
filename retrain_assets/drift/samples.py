"""Exact distances from the values themselves, for whoever wants more than the sketches can give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Values = Sequence[float | None] | npt.NDArray[np.float64]


class KolmogorovSmirnov(NamedTuple):
    """Two-sample two-sided Kolmogorov-Smirnov test.

    Args:
        statistic: largest difference of the empirical distribution functions, 0..1.
        p_value: chance of one at least as large without any difference.
    """

    statistic: float
    p_value: float


def kolmogorov_smirnov_exact(
    reference: Values, current: Values, method: Literal["auto", "exact", "asymp"] = "auto"
) -> KolmogorovSmirnov:
    """The Kolmogorov-Smirnov test on values; missing and infinite ones are left out.

    Args:
        reference: values of one sample.
        current: values of the other.
        method: how the p-value is computed, as in ``scipy.stats.ks_2samp``.

    Raises:
        ValueError: where a sample has no finite value.
    """
    from scipy.stats import ks_2samp

    found = ks_2samp(*_finite(reference, current), method=method)
    return KolmogorovSmirnov(float(found.statistic), float(found.pvalue))


def wasserstein_exact(reference: Values, current: Values) -> float:
    """Wasserstein-1 distance of values, in their unit; missing and infinite ones are left out.

    Raises:
        ValueError: where a sample has no finite value.
    """
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(*_finite(reference, current)))


def _finite(*samples: Values) -> list[npt.NDArray[np.float64]]:
    arrays = [np.array([np.nan if value is None else value for value in sample], dtype=np.float64) for sample in samples]
    held = [array[np.isfinite(array)] for array in arrays]
    if not all(len(array) for array in held):
        raise ValueError("a sample without any finite value has no distribution")
    return held
