"""How differently from the champion the candidate treats the same rows: decisions that flip, predictions that move."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrain_assets.drift import adjusted_p_values
from retrain_assets.gates.offline.beyond_chance import alikeness, design_effect, excess_p_value
from retrain_assets.gates.offline.evaluation import Flips, Stability
from retrain_assets.gates.offline.slice_members import SliceMembers

Array = np.ndarray


def regression_stability(labels: Array, candidate: Array, champion: Array) -> Stability:
    """Mean absolute change of a prediction, also in standard deviations of the label (None when the label does not vary).

    Args:
        labels: a number a row.
        candidate: predictions of the candidate.
        champion: predictions of the champion for the same rows.
    """
    with np.errstate(over="ignore"):
        change = float(np.abs(candidate - champion).mean())
        return Stability((), change, _in_deviations(change, labels))


def decision_stability(
    candidate: Array,
    champion: Array,
    members: Sequence[SliceMembers],
    *,
    threshold: float,
    units: Array | None,
    limit: float | None,
) -> Stability:
    """Decisions that differ from the champion's, on all rows and in every slice.

    ``mean_change`` is the mean absolute change of the probability (multiclass: the total variation distance), ``shift`` the same
    in standard deviations of the champion's probability (binary).

    Args:
        candidate: probability of 1, one a row; multiclass: rows x k.
        champion: the champion's for the same rows.
        members: rows of every slice.
        threshold: the positive decision is taken at or above this probability (binary).
        units: number of the unit of each row; None when every row is a unit of its own.
        limit: largest share of flips in a slice; None where the contract sets none.
    """
    if candidate.ndim == 2:
        flipped, gained = candidate.argmax(axis=1) != champion.argmax(axis=1), None
        change, shift = float(np.abs(candidate - champion).sum(axis=1).mean() / 2), None
    else:
        gained = (candidate >= threshold) & (champion < threshold)
        flipped = gained | ((candidate < threshold) & (champion >= threshold))
        change = float(np.abs(candidate - champion).mean())
        shift = _in_deviations(change, champion)
    adjusted = _adjusted(flipped, members, units, limit) if limit is not None else {}
    slices = [
        _flips(part.column, part.value, part.judged, flipped[part.rows], None if gained is None else gained[part.rows], p_value)
        for k, part in enumerate(members)
        for p_value in [adjusted.get(k)]
    ]
    return Stability((_flips("", "", True, flipped, gained, None), *slices), change, shift)


def _flips(column: str, value: str, judged: bool, flipped: Array, gained: Array | None, p_value: float | None) -> Flips:
    to_positive = None if gained is None else float(gained.mean())
    return Flips(column, value, len(flipped), judged, float(flipped.mean()), to_positive, p_value)


def _adjusted(flipped: Array, members: Sequence[SliceMembers], units: Array | None, limit: float) -> dict[int, float]:
    """Holm's p-value of "flips no more than the limit", by the number of the judged slice."""
    judged = [k for k, part in enumerate(members) if part.judged]
    if not judged:
        return {}
    parts = [flipped[members[k].rows].astype(float) for k in judged]
    alike = alikeness(flipped.astype(float), units) if units is not None else 0.0
    effects = [
        design_effect(part, None if units is None else units[members[k].rows], alike)
        for k, part in zip(judged, parts, strict=True)
    ]
    rows, hits = np.array([len(part) for part in parts], dtype=float), np.array([part.sum() for part in parts])
    p_values = excess_p_value(hits, rows * limit, rows * limit**2, np.array(effects))
    return adjusted_p_values(dict(zip(judged, p_values.tolist(), strict=True)))


def _in_deviations(change: float, values: Array) -> float | None:
    deviation = float(values.std())
    return change / deviation if deviation > 1e-12 * max(1.0, float(np.abs(values).max())) else None
