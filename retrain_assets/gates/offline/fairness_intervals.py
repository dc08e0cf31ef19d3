"""Bounds of the rates of groups, and of the largest difference between two of them: small groups and their selection included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from retrain_assets.gates.offline.fairness import GroupRates

Array = np.ndarray
_DENOMINATORS = {"selection_rate": "effective_rows", "tpr": "effective_positives", "fpr": "effective_negatives"}


@dataclass(frozen=True, slots=True)
class LargestDifference:
    """The largest difference of one rate between two groups, one-sided bounds of it, and which groups it is between."""

    estimate: float
    at_least: float
    at_most: float
    highest: str
    lowest: str


def rate_bounds(groups: Sequence[GroupRates], rate: str, confidence: float) -> tuple[Array, Array]:
    """Lower and upper bound of one rate in each group, each at the confidence; NaN where the group does not have the rate.

    Proportions by Wilson's score interval (Probable inference, the law of succession, and statistical inference, JASA 1927),
    which holds in small groups and at 0 and 1; ``calibration`` by its standard error.
    """
    reach = NormalDist().inv_cdf(confidence)
    values = _numbers(groups, rate)
    if rate == "calibration":
        error = _numbers(groups, "calibration_error")
        return values - reach * error, values + reach * error
    return wilson(values, _numbers(groups, _DENOMINATORS[rate]), reach)


def wilson(share: Array, rows: Array, reach: float) -> tuple[Array, Array]:
    """Wilson's score interval of a share of ``rows``, ``reach`` standard deviations of the normal distribution to each side."""
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = (share + reach**2 / (2 * rows)) / (1 + reach**2 / rows)
        half = reach / (1 + reach**2 / rows) * np.sqrt(share * (1 - share) / rows + reach**2 / (4 * rows**2))
    return np.minimum(np.maximum(middle - half, 0.0), share), np.maximum(np.minimum(middle + half, 1.0), share)


def difference_between(groups: Sequence[GroupRates], rate: str, confidence: float) -> LargestDifference | None:
    """The largest difference of one rate, with bounds that hold although the two groups were picked for being extreme.

    Every difference between two groups has bounds from the two groups' own (Newcombe, Interval estimation for the difference
    between independent proportions, Statistics in Medicine 1998, method 10; Zou and Donner's MOVER, 2008), at a confidence that
    holds for all ordered pairs together (Bonferroni). The largest of the lower bounds then bounds the true largest difference
    from below. None with fewer than two groups that have the rate.

    Args:
        groups: the groups to compare.
        rate: a field of :class:`~retrain_assets.gates.offline.fairness.GroupRates`.
        confidence: of each bound, one-sided.
    """
    needed = "calibration_error" if rate == "calibration" else rate
    having = [group for group in groups if getattr(group, needed) is not None]
    if len(having) < 2:
        return None
    values = _numbers(having, rate)
    lower, upper = rate_bounds(having, rate, 1 - (1 - confidence) / (len(having) * (len(having) - 1)))
    difference = values[:, None] - values[None, :]
    below = difference - np.hypot((values - lower)[:, None], (upper - values)[None, :])
    above = difference + np.hypot((upper - values)[:, None], (values - lower)[None, :])
    np.fill_diagonal(below, -np.inf)
    np.fill_diagonal(above, -np.inf)
    return LargestDifference(
        estimate=float(values.max() - values.min()),
        at_least=max(0.0, float(below.max())),
        at_most=float(above.max()),
        highest=having[int(values.argmax())].group,
        lowest=having[int(values.argmin())].group,
    )


def _numbers(groups: Sequence[GroupRates], name: str) -> Array:
    """One field of every group, NaN where it has none; effective counts that were not taken are the counts themselves."""
    counted = {"effective_rows": "rows", "effective_positives": "positives"}
    values = []
    for group in groups:
        value = getattr(group, name)
        if value is None and name in counted:
            value = getattr(group, counted[name])
        elif value is None and name == "effective_negatives":
            value = group.rows - group.positives
        values.append(np.nan if value is None else float(value))
    return np.array(values)
