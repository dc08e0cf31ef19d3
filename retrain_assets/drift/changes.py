"""Changes of one number between reference and window: labels, success measures and metrics that were estimated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from retrain_assets.contract import LOWER_IS_BETTER, finite
from retrain_assets.drift.chance import chance_of_difference
from retrain_assets.drift.estimation import Estimate
from retrain_assets.drift.segments import increase_by_chance


@dataclass(frozen=True, slots=True)
class LiveLabels:
    """Rows of the window whose label is known.

    Args:
        rows: how many.
        label_mean: mean label (share of positives for a binary task); None without rows.
        prediction_mean: mean prediction of the same rows; None without rows.
        reference_label_mean: mean label of the reference; None where it is unknown.
        reference_rows: rows of the reference; None where it is unknown: then the change of the labels cannot be tested.
        label_variance: variance of the labels; None for labels that are 0 or 1.
        reference_label_variance: the same in the reference.
    """

    rows: int
    label_mean: float | None
    prediction_mean: float | None
    reference_label_mean: float | None
    reference_rows: int | None = None
    label_variance: float | None = None
    reference_label_variance: float | None = None


@dataclass(frozen=True, slots=True)
class MeasureChange:
    """One success measure, reference window against live window.

    Args:
        rows: live rows with the measure.
        reference: its mean in the reference.
        current: its mean in the window.
        direction: which way is better.
    """

    rows: int
    reference: float | None
    current: float | None
    direction: Literal["increase", "decrease"]

    @property
    def worsening(self) -> float | None:
        """Change in the bad direction, relative to the reference; None where it is undefined."""
        if self.reference is None or self.current is None or self.reference == 0:
            return None
        change = (self.current - self.reference) / abs(self.reference)
        return change if self.direction == "decrease" else -change


@dataclass(frozen=True, slots=True)
class MetricTest:
    """A metric that is one number in reference and window.

    Args:
        reference: its value in the reference.
        current: its value in the window.
        change: what its drift metric is where it is beyond chance: absolute difference of the label means, or by how much an
            estimated metric is worse.
        p_value: chance of a change at least this large without one behind it.
        adjusted_p_value: the same, corrected for everything that was tested in the window.
        drifted: whether that is at or below the report's rate of false alarms.
    """

    reference: float
    current: float
    change: float
    p_value: float
    adjusted_p_value: float | None = None
    drifted: bool = False

    def judged(self, adjusted_p_value: float, rate: float) -> MetricTest:
        """The same with its corrected p-value."""
        return replace(self, adjusted_p_value=adjusted_p_value, drifted=adjusted_p_value <= rate)

    def to_json(self) -> dict[str, Any]:
        """JSON-able values, field names as keys."""
        values: dict[str, Any] = finite({name: getattr(self, name) for name in self.__slots__})
        return values

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> MetricTest:
        """The inverse of :meth:`to_json`."""
        return cls(**value)


def gap(one: float | None, other: float | None) -> float | None:
    """Absolute difference; None where a side is missing."""
    return None if one is None or other is None else abs(one - other)


def label_test(labels: LiveLabels) -> MetricTest | None:
    """Test whether the mean label changed, in either direction; None where a side is unknown or has no rows.

    Shares (no variance given) by :func:`~retrain_assets.drift.chance.chance_of_difference`, which is exact enough for few rows;
    other means by Welch's test, doubled for both directions.
    """
    current, reference, rows = labels.label_mean, labels.reference_label_mean, labels.reference_rows
    if current is None or reference is None or not rows or labels.rows == 0:
        return None
    change = abs(current - reference)
    if labels.label_variance is not None and labels.reference_label_variance is not None:
        by_chance = increase_by_chance(change, labels.label_variance, labels.rows, labels.reference_label_variance, rows)
        p_value = min(1.0, 2 * by_chance)
    elif min(current, reference) >= 0 and max(current, reference) <= 1:
        positives = np.rint([reference * rows, current * labels.rows]).astype(np.int64)
        p_value = chance_of_difference([positives[0], rows - positives[0]], [positives[1], labels.rows - positives[1]])
    else:
        return None
    return MetricTest(reference=reference, current=current, change=change, p_value=p_value)


def estimate_test(metric: str, reference: Estimate | None, current: Estimate | None) -> MetricTest | None:
    """Test whether an estimated metric is worse than on the reference's hold-out scores; None where a side is undefined.

    One-sided, normal, with the sampling errors of both: the rows of a window differ by chance even when nothing changed.
    """
    from scipy.special import ndtr

    if reference is None or current is None:
        return None
    worse = current.value - reference.value if metric in LOWER_IS_BETTER else reference.value - current.value
    error = math.hypot(reference.standard_error, current.standard_error)
    p_value = float(ndtr(-worse / error)) if error > 0 else float(worse <= 0)
    return MetricTest(reference=reference.value, current=current.value, change=worse, p_value=p_value)
