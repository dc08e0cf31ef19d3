"""One column of a window against its reference: every distance, and whether it differs by more than chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrain_assets.contract import finite
from retrain_assets.drift.bounds import Bounded, kolmogorov_smirnov, wasserstein
from retrain_assets.drift.chance import homogeneity
from retrain_assets.drift.column import ColumnSketch, aligned_counts
from retrain_assets.drift.distances import jensen_shannon, population_stability_index


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """Drift of one column. A number is None where it is undefined: no rows, no values, or no order among levels.

    Args:
        psi: population stability index over all cells, not corrected.
        corrected_psi: over pooled cells, minus what chance brings for so many rows, at least 0.
        p_value: chance of a difference at least this large without change.
        adjusted_p_value: the same, corrected for everything that was tested in the window.
        drifted: whether that is at or below the report's rate of false alarms.
        jensen_shannon: Jensen-Shannon distance, 0..1.
        kolmogorov_smirnov: lower bound of the Kolmogorov-Smirnov distance of the values, 0..1.
        kolmogorov_smirnov_error: the distance is at most this much larger.
        wasserstein: Wasserstein-1 distance in the column's unit.
        wasserstein_error: it is at most this far off.
        wasserstein_stds: the same in standard deviations of the reference.
        wasserstein_stds_error: it is at most this far off.
        missing_before: share of rows without a value in the reference.
        missing_after: the same in the window.
        mean_before: mean value in the reference.
        mean_after: the same in the window.
        importance: the model's importance of the feature; None for a prediction or a feature it was not told of.
        weight: what ``corrected_psi`` is multiplied with before it is compared with a limit, 0..1.
    """

    psi: float | None
    corrected_psi: float | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    drifted: bool = False
    jensen_shannon: float | None = None
    kolmogorov_smirnov: float | None = None
    kolmogorov_smirnov_error: float | None = None
    wasserstein: float | None = None
    wasserstein_error: float | None = None
    wasserstein_stds: float | None = None
    wasserstein_stds_error: float | None = None
    missing_before: float | None = None
    missing_after: float | None = None
    mean_before: float | None = None
    mean_after: float | None = None
    importance: float | None = None
    weight: float = 0.0

    @property
    def weighted_psi(self) -> float | None:
        """What counts towards the limit: weight times corrected index, 0 within chance; None where it is undefined."""
        if self.corrected_psi is None:
            return None
        return self.weight * self.corrected_psi if self.drifted else 0.0

    def to_json(self) -> dict[str, Any]:
        """JSON-able values, field names as keys; undefined numbers as None."""
        values: dict[str, Any] = finite({name: getattr(self, name) for name in self.__slots__})
        return values

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ColumnDrift:
        """The inverse of :meth:`to_json`."""
        return cls(**value)


def column_drift(
    reference: ColumnSketch | None, current: ColumnSketch | None, *, importance: float | None, weight: float
) -> ColumnDrift:
    """Compare a column's window with its reference; the p-value is not corrected for other columns yet.

    Raises:
        StageError: where the two were not counted over the same bins.
    """
    if reference is None or current is None or reference.n == 0 or current.n == 0:
        return ColumnDrift(psi=None, importance=importance, weight=weight)
    counts = aligned_counts(reference, current)
    tested = homogeneity(reference, current)
    distance, moved = kolmogorov_smirnov(reference, current), wasserstein(reference, current)
    in_stds = _in_stds(moved, reference.std)
    return ColumnDrift(
        psi=population_stability_index(*counts),
        corrected_psi=tested.corrected_psi if tested else None,
        p_value=tested.p_value if tested else None,
        jensen_shannon=jensen_shannon(*counts),
        kolmogorov_smirnov=distance.value if distance else None,
        kolmogorov_smirnov_error=distance.error if distance else None,
        wasserstein=moved.value if moved else None,
        wasserstein_error=moved.error if moved else None,
        wasserstein_stds=in_stds.value if in_stds else None,
        wasserstein_stds_error=in_stds.error if in_stds else None,
        missing_before=reference.missing / reference.n,
        missing_after=current.missing / current.n,
        mean_before=reference.mean,
        mean_after=current.mean,
        importance=importance,
        weight=weight,
    )


def _in_stds(moved: Bounded | None, std: float | None) -> Bounded | None:
    if moved is None or not std:
        return None
    return Bounded(moved.value / std, None if moved.error is None else moved.error / std)
