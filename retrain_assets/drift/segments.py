"""Performance in segments, where outcomes are there: the loss in each against the same segment of the reference hold-out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from retrain_assets.contract import finite

LEAST_ROWS = 30
"""Rows a segment needs on both sides to be tested: fewer say too little about the spread of the loss."""


@dataclass(frozen=True, slots=True)
class SegmentLoss:
    """Loss of the champion in one segment: squared error of the score (Brier) for a binary task, log loss for a multiclass one,
    squared error over the label's variance for a regression.

    Args:
        column: what the rows are segmented by.
        value: the segment.
        rows: rows of the window with a known label.
        mean: their mean loss.
        variance: variance of their losses (divisor n - 1).
        reference_rows: rows of the segment in the reference hold-out.
        reference_mean: their mean loss.
        reference_variance: variance of their losses.
    """

    column: str
    value: str
    rows: int
    mean: float | None
    variance: float | None
    reference_rows: int
    reference_mean: float | None
    reference_variance: float | None


@dataclass(frozen=True, slots=True)
class SegmentDrift:
    """Change of the loss in one segment.

    Args:
        column: what the rows are segmented by.
        value: the segment.
        rows: rows of the window.
        reference_rows: rows of the reference.
        mean: mean loss in the window.
        reference_mean: mean loss in the reference.
        increase: how much it grew; negative where it fell.
        p_value: chance of an increase at least this large without change.
        adjusted_p_value: the same, corrected for everything that was tested in the window.
        drifted: whether that is at or below the report's rate of false alarms.
    """

    column: str
    value: str
    rows: int
    reference_rows: int
    mean: float
    reference_mean: float
    increase: float
    p_value: float
    adjusted_p_value: float | None = None
    drifted: bool = False

    @property
    def name(self) -> str:
        """The segment in words: ``origin = JFK``."""
        return f"{self.column} = {self.value}"

    def judged(self, adjusted_p_value: float, rate: float) -> SegmentDrift:
        """The same with its corrected p-value."""
        return replace(self, adjusted_p_value=adjusted_p_value, drifted=adjusted_p_value <= rate)

    def to_json(self) -> dict[str, Any]:
        """JSON-able values, field names as keys."""
        values: dict[str, Any] = finite({name: getattr(self, name) for name in self.__slots__})
        return values

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SegmentDrift:
        """The inverse of :meth:`to_json`."""
        return cls(**value)


def segment_drifts(segments: Sequence[SegmentLoss]) -> list[SegmentDrift]:
    """The segments with enough rows on both sides, the largest increase of the loss first; not corrected for their number yet."""
    found = [drift for segment in segments if (drift := _drift(segment)) is not None]
    return sorted(found, key=lambda drift: (-drift.increase, drift.column, drift.value))


def increase_by_chance(increase: float, variance: float, rows: float, reference_variance: float, reference_rows: float) -> float:
    """One-sided p-value of an increase of a mean, 0..1: the larger one of Welch's test and Student's with a common variance.

    Losses are skewed. Where the smaller sample happens to lack the large ones, its mean and its variance are both too small, and
    Welch's test, which leans on that variance, is up to hundreds of times above its level in the far tail. Without any change the
    variance is common, and that of the larger sample does not fall for it.

    Source: Welch, "The generalization of Student's problem when several different population variances are involved",
    Biometrika 34, 1947.
    """
    from scipy.special import stdtr

    one, other = max(variance, 0.0) / rows, max(reference_variance, 0.0) / reference_rows
    if one + other == 0:
        return 0.0 if increase > 0 else 1.0
    freedom = (one + other) ** 2 / (one**2 / max(rows - 1, 1) + other**2 / max(reference_rows - 1, 1))
    welch = float(stdtr(freedom, -increase / math.sqrt(one + other)))
    freedom = max(rows + reference_rows - 2, 1)
    common = (max(variance, 0.0) * (rows - 1) + max(reference_variance, 0.0) * (reference_rows - 1)) / freedom
    if common <= 0:
        return welch
    return max(welch, float(stdtr(freedom, -increase / math.sqrt(common * (1 / rows + 1 / reference_rows)))))


def _drift(segment: SegmentLoss) -> SegmentDrift | None:
    numbers = (segment.mean, segment.variance, segment.reference_mean, segment.reference_variance)
    mean, variance, reference_mean, reference_variance = (math.nan if number is None else number for number in numbers)
    if min(segment.rows, segment.reference_rows) < LEAST_ROWS:
        return None
    if not all(map(math.isfinite, (mean, variance, reference_mean, reference_variance))):
        return None
    increase = mean - reference_mean
    return SegmentDrift(
        column=segment.column,
        value=segment.value,
        rows=segment.rows,
        reference_rows=segment.reference_rows,
        mean=mean,
        reference_mean=reference_mean,
        increase=increase,
        p_value=increase_by_chance(increase, variance, segment.rows, reference_variance, segment.reference_rows),
    )
