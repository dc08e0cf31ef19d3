"""Correction of p-values for the number of looks, so that many slices do not make one false alarm likely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values, in the order given; rejecting those at or below alpha errs in any of them with at most alpha.

    Holds whatever the dependence between the tests, so slices may overlap (Holm, A simple sequentially rejective multiple test
    procedure, Scandinavian Journal of Statistics 1979).

    Args:
        p_values: each between 0 and 1, not NaN; none of them is fine.
    """
    given = np.asarray(p_values, dtype=float)
    order = np.argsort(given, kind="stable")
    stepped = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    adjusted = np.empty(len(given))
    adjusted[order] = np.minimum(stepped, 1.0)
    return tuple(adjusted.tolist())
